"""What timm's param_groups_layer_decay leaves of the rate of each parameter of small models.

    pip install torch==2.15.0 timm==1.0.31
    python tests/golden/generators/layer_decay.py [FOLDER]

Writes layer_decay_<family>.json to tests/golden/layer_decay.
"""

import json
import pathlib
import sys

import timm
from timm.optim import param_groups_layer_decay

DECAY = 0.75

MODELS = {"vit": ("vit_tiny_patch16_224", {"depth": 4}), "resnet": ("resnet18", {}), "efficientnet_lite": ("tf_efficientnet_lite0", {})}

root = pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).resolve().parent.parent
for family, (name, sizes) in MODELS.items():
    model = timm.create_model(name, num_classes=10, **sizes)
    names = {id(param): name for name, param in model.named_parameters()}
    groups = param_groups_layer_decay(model, weight_decay=0.05, layer_decay=DECAY)
    scales = {names[id(param)]: group["lr_scale"] for group in groups for param in group["params"]}
    trace = {
        "script": "layer_decay.py",
        "source": f"timm=={timm.__version__}",
        "callable": "timm.optim.param_groups_layer_decay",
        "layer_decay": DECAY,
        "scales": [[name, scales[name]] for name, _ in model.named_parameters()],
    }
    (root / "layer_decay" / f"layer_decay_{family}.json").write_text(json.dumps(trace))
