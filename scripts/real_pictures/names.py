"""timm's names for what efficientnet-lite-pytorch calls the parts of EfficientNet-Lite0."""

BLOCKS = [1, 2, 2, 3, 3, 4, 1]
PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
EXPANDING = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3",
}
OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def in_timm(name):
    module, _, rest = name.partition(".")
    if module != "_blocks":
        return f"{OUTSIDE[module]}.{rest}"
    block, module, part = rest.split(".")
    stage, block = 0, int(block)
    while block >= BLOCKS[stage]:
        stage, block = stage + 1, block - BLOCKS[stage]
    return f"blocks.{stage}.{block}.{(EXPANDING if stage else PLAIN)[module]}.{part}"
