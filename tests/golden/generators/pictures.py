"""PyTorch reference numbers for pictures: operations, small ResNets of torchvision's blocks, small EfficientNet-Lites of timm's.

    python tests/golden/generators/pictures.py

Writes <case>.json and <case>.safetensors to tests/golden/pictures, each array as torch has it: [pictures, channels, height, width],
weights [outputs, inputs of a group, height, width]. Everything runs in f64 from fixed seeds and is stored as f32.
"""
import copy
import json
import pathlib
import types
from functools import partial

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
from safetensors.numpy import save_file
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet

OUT = pathlib.Path(__file__).resolve().parent.parent / "pictures"
torch.set_num_threads(1)

# name: pictures, inputs, height, width, outputs, kernel, stride, padding, dilation, groups, bias
CONVS = {
    "three": (2, 3, 7, 9, 5, (3, 3), 1, (1, 1), 1, 1, True),
    "one": (2, 8, 5, 4, 12, (1, 1), 1, (0, 0), 1, 1, False),
    "one_strided": (3, 5, 5, 6, 9, (1, 1), 2, (0, 0), 1, 1, True),
    "stem": (2, 3, 13, 11, 8, (7, 7), 2, (3, 3), 1, 1, False),
    "three_strided": (2, 4, 8, 8, 6, (3, 3), 2, (1, 1), 1, 1, True),
    "flat": (1, 6, 6, 5, 4, (1, 3), 1, (0, 1), 1, 1, True),
    "dilated": (2, 4, 9, 8, 3, (5, 5), 1, (4, 4), 2, 1, False),
    "rest": (2, 3, 7, 5, 4, (2, 2), 2, (0, 0), 1, 1, True),
    "small": (1, 2, 2, 2, 3, (4, 3), 1, (2, 1), 1, 1, True),
    "groups_of_two": (2, 6, 5, 7, 4, (3, 3), 1, (1, 1), 1, 2, True),
    "groups_strided": (3, 8, 6, 6, 8, (3, 3), 2, (1, 1), 1, 4, False),
    "groups_of_one_to_two": (2, 3, 6, 5, 6, (3, 3), 1, (1, 1), 1, 3, True),
    "depthwise": (2, 10, 6, 7, 10, (3, 3), 1, (1, 1), 1, 10, False),
    "depthwise_strided": (3, 7, 9, 8, 7, (5, 5), 2, (2, 2), 1, 7, True),
    "depthwise_dilated": (2, 4, 8, 7, 4, (3, 3), 1, (2, 2), 2, 4, True),
}


def save(name, arrays, info, packages=(torch, torchvision)):
    OUT.mkdir(parents=True, exist_ok=True)
    arrays = {key: np.ascontiguousarray(array.detach().numpy(), dtype=np.float32) for key, array in arrays.items()}
    path = OUT / f"{name}.safetensors"
    save_file(arrays, path)
    path.chmod(0o644)  # save_file creates it 0600
    info = {"script": pathlib.Path(__file__).name, "source": [f"{package.__name__}=={package.__version__.split('+')[0]}" for package in packages], **info}
    (OUT / f"{name}.json").write_text(json.dumps(info, separators=(",", ":")) + "\n")


def noise(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float32).double()


def convs():
    arrays, cases = {}, []
    for seed, (name, case) in enumerate(CONVS.items()):
        pictures, inputs, height, width, outputs, kernel, stride, padding, dilation, groups, biased = case
        generator = torch.Generator().manual_seed(seed)
        x = noise(generator, pictures, inputs, height, width).requires_grad_()
        weight = noise(generator, outputs, inputs // groups, *kernel).requires_grad_()
        bias = noise(generator, outputs).requires_grad_()
        z = F.conv2d(x, weight, bias if biased else None, stride, padding, dilation, groups)
        dz = noise(generator, *z.shape)
        z.backward(dz)
        part = {"x": x, "weight": weight, "bias": bias, "z": z, "dz": dz, "dx": x.grad, "dweight": weight.grad}
        if biased:
            part["dbias"] = bias.grad
        arrays |= {f"{name}.{key}": array for key, array in part.items()}
        cases.append(
            {"name": name, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": biased}
        )
    save("convs", arrays, {"cases": cases})


# name: pictures, channels, height, width, eps, momentum, whether in training; `after` batches more come before; ghost batches
NORMS = {
    "train": (3, 5, 4, 3, 1e-5, 0.1, True, 0, 1),
    "eval": (3, 5, 4, 3, 1e-5, 0.1, False, 2, 1),
    "wide": (5, 22, 3, 3, 1e-3, 0.01, True, 1, 1),
    "all_alike": (2, 8, 5, 5, 1e-5, None, True, 3, 1),
    "one_number": (4, 1, 1, 1, 1e-5, 0.3, True, 0, 1),
    "eval_wide": (2, 36, 3, 5, 1e-3, 0.01, False, 1, 1),
    "ghosts": (7, 6, 2, 3, 1e-3, 0.05, True, 1, 3),
    "ghosts_all_alike": (9, 21, 1, 1, 1e-5, None, True, 2, 2),
    "eval_ghosts": (4, 5, 1, 1, 1e-3, 0.05, False, 1, 2),
}


def norms():
    arrays, cases = {}, []
    for seed, (name, case) in enumerate(NORMS.items()):
        pictures, channels, height, width, eps, momentum, trains, after, ghosts = case
        generator = torch.Generator().manual_seed(100 + seed)
        norm = torch.nn.BatchNorm2d(channels, eps, momentum).double()
        x = (noise(generator, pictures, channels, height, width) * 2 + 3).requires_grad_()
        with torch.no_grad():
            norm.weight.copy_(1 + 0.3 * noise(generator, channels))
            norm.bias.copy_(0.5 * noise(generator, channels))
        for _ in range(after):
            norm(noise(generator, *x.shape) + 1)
        before = {key: buffer.clone().double() for key, buffer in norm.named_buffers()}
        norm.train(trains)
        y = torch.cat([norm(ghost) for ghost in x.chunk(ghosts)])
        dy = noise(generator, *y.shape)
        norm.zero_grad()
        y.backward(dy)
        part = {"x": x, "weight": norm.weight, "bias": norm.bias, "y": y, "dy": dy, "dx": x.grad}
        part |= {"dweight": norm.weight.grad, "dbias": norm.bias.grad}
        part |= {f"before.{key}": value.reshape(-1) for key, value in before.items()}
        part |= {f"after.{key}": value.double().reshape(-1) for key, value in norm.named_buffers()}
        arrays |= {f"{name}.{key}": array for key, array in part.items()}
        cases.append({"name": name, "eps": eps, "momentum": momentum, "trains": trains, "ghosts": ghosts})
    save("norms", arrays, {"cases": cases})


# name: pictures, channels, height, width, kernel, stride, padding, whether the mean
POOLS = {
    "largest": (2, 5, 7, 6, 3, 2, 1, False),
    "largest_apart": (3, 8, 5, 5, 2, 2, 0, False),
    "largest_over": (1, 3, 6, 7, 3, 1, 1, False),
    "mean": (2, 6, 6, 7, 3, 2, 1, True),
    "mean_apart": (2, 9, 4, 6, 2, 2, 0, True),
}


def pools():
    arrays, cases = {}, []
    for seed, (name, case) in enumerate(POOLS.items()):
        pictures, channels, height, width, kernel, stride, padding, mean = case
        generator = torch.Generator().manual_seed(200 + seed)
        # Few values, so that several are the largest.
        x = (noise(generator, pictures, channels, height, width) * 2).round().requires_grad_()
        y = (F.avg_pool2d if mean else F.max_pool2d)(x, kernel, stride, padding)
        dy = noise(generator, *y.shape)
        y.backward(dy)
        arrays |= {f"{name}.{key}": array for key, array in {"x": x, "y": y, "dy": dy, "dx": x.grad}.items()}
        cases.append({"name": name, "kernel": kernel, "stride": stride, "padding": padding, "mean": mean})
    save("pools", arrays, {"cases": cases})


class Small(torchvision.models.ResNet):
    """torchvision's ResNet, of any width and number of channels. Its blocks and its forward pass are torchvision's."""

    def __init__(self, block, layers, width, classes):
        torch.nn.Module.__init__(self)
        self._norm_layer = torch.nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = width, 1, 1, 64
        self.conv1 = torch.nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.relu = torch.nn.ReLU(inplace=True)
        self.maxpool = torch.nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for stage, blocks in enumerate(layers):
            layer = self._make_layer(block, width << stage, blocks, stride=2 if stage else 1)
            setattr(self, f"layer{stage + 1}", layer)
        self.avgpool = torch.nn.AdaptiveAvgPool2d((1, 1))
        self.fc = torch.nn.Linear((width << len(layers) - 1) * block.expansion, classes)


# Blocks, how many in each stage, and the seed of values
RESNETS = {
    "resnet_basic": (torchvision.models.resnet.BasicBlock, (2, 1, 1, 1), 400),
    "resnet_bottleneck": (torchvision.models.resnet.Bottleneck, (1, 1, 1, 1), 401),
}
WIDTH, CLASSES, PICTURES, HEIGHT, COLUMNS, STEPS, LR, MOMENTUM = 4, 5, 5, 33, 47, 20, 0.01, 0.9
# Models whose parameters differ by roundings
ROUNDED = 8
# What the names of a trunk begin with that stays as it is
OF_RESNETS, OF_LITES = ("conv1", "bn1", "layer1", "layer2"), ("conv_stem", "bn1", "blocks.0", "blocks.1")


# timm's words for the stages, and whether convolutions have their zeros as in TensorFlow
LITES = {
    "lite_same": (("ds_r1_k3_s1_e1_c8", "ir_r2_k3_s2_e6_c16", "ir_r2_k5_s2_e3_c24"), True, 601),
    "lite_symmetric": (("ds_r1_k3_s1_e1_c8", "ir_r1_k5_s2_e2_c8", "ir_r2_k3_s1_e6_c16"), False, 602),
}


def resnets():
    for seed, (name, (block, layers, of_values)) in enumerate(RESNETS.items()):
        torch.manual_seed(300 + seed)
        trained(name, Small(block, layers, WIDTH, CLASSES), of_values, {"blocks": layers, "width": WIDTH}, OF_RESNETS)


class Ghosts(torch.nn.BatchNorm1d):
    """A batch norm of each of two parts of a batch."""

    def forward(self, x):
        return torch.cat([super(Ghosts, self).forward(part) for part in x.chunk(2)]) if self.training else super().forward(x)


HEADS = {
    "batch": lambda: torch.nn.BatchNorm1d(6),
    "ghost": lambda: Ghosts(6, eps=1e-3, momentum=0.05),
    "layer": lambda: torch.nn.LayerNorm(6),
}


def heads():
    """A ResNet of one stage below a hidden layer of 6, its norm, ReLU and the last layer."""
    for seed, (norm, made) in enumerate(HEADS.items()):
        torch.manual_seed(700 + seed)
        model = Small(torchvision.models.resnet.BasicBlock, (1,), WIDTH, CLASSES)
        hidden = torch.nn.Linear(WIDTH, 6)
        setattr(hidden, "LayerNorm" if norm == "layer" else "bn", made())
        model.head, model.fc = torch.nn.ModuleList([hidden]), torch.nn.Linear(6, CLASSES)
        model._forward_impl = types.MethodType(headed, model)
        trained(f"resnet_head_{norm}", model, 800 + seed, {"blocks": (1,), "width": WIDTH, "norm": norm}, OF_RESNETS)


def headed(model, x):
    x = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(x))))).mean((2, 3))
    (hidden,) = model.head
    norm = getattr(hidden, "bn", None) or hidden.LayerNorm
    return model.fc(torch.relu(norm(hidden(x))))


def lites():
    for seed, (name, (stages, same, of_values)) in enumerate(LITES.items()):
        torch.manual_seed(500 + seed)
        model = EfficientNet(
            decode_arch_def([[stage] for stage in stages]),
            num_classes=CLASSES,
            num_features=20,
            stem_size=8,
            fix_stem=True,
            pad_type="same" if same else "",
            act_layer=torch.nn.ReLU6,
            norm_layer=partial(torch.nn.BatchNorm2d, eps=1e-3 if same else 1e-5),
        )
        trained(name, model, of_values, {"stages": stages, "same": same}, OF_LITES, (torch, timm))


def begun(model, generator):
    """Gives norms, biases and running statistics values that are not their first ones."""
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("running_var"):
                value.copy_(1 + 0.3 * torch.rand(value.shape, generator=generator))
            elif key.endswith("running_mean") or value.dim() == 1 and key.endswith("bias"):
                value.copy_(0.2 * torch.randn(value.shape, generator=generator))
            elif value.dim() == 1:
                value.copy_(1 + 0.2 * torch.randn(value.shape, generator=generator))
            elif value.dim() == 0:
                value.copy_(7)


def steps(model, how, trunk, x, labels):
    """20 steps: SGD with momentum, AdamW, SGD with batch norms that neither train nor track (`held`), or SGD on a trunk that goes by
    its running statistics (`still`). AdamW's eps is large, for it makes whole steps of gradients that are nothing but rounding, such as
    those of what a batch norm takes away. Gives what is told of them, the logits of the first step and of a test, and the first gradients."""
    for key, part in model.train().named_modules():
        if how == "held" and isinstance(part, torch.nn.BatchNorm2d):
            part.requires_grad_(False).track_running_stats = False
        if how == "still" and key.startswith(trunk):
            part.requires_grad_(False).eval()
    trains = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    rates = {"lr": 1e-3, "weight_decay": 0.01, "eps": 1e-4} if how == "adamw" else {"lr": LR, "momentum": MOMENTUM}
    optimizer = (torch.optim.AdamW if how == "adamw" else torch.optim.SGD)(trains.values(), **rates)
    losses, first = [], {}
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        losses.append(loss.item())
        if not first:
            first = {"trained": logits}
            first |= {f"grad.{key}": parameter.grad.clone() for key, parameter in trains.items()}
            first |= {f"after.{key}": value.clone().reshape(-1) for key, value in model.named_buffers()}
        optimizer.step()
    return {"losses": losses, "trains": list(trains), **rates}, first, model.eval()(x)


def rounded(model, seed):
    """The model in f64, with parameters that differ from it by as much as roundings to f32 do."""
    model, generator = copy.deepcopy(model).double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1 + 2.0**-24 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def trained(name, model, seed, info, trunk, packages=(torch, torchvision)):
    """Writes the model's file, and what it does in a test, in a first step, and after 20 steps of each kind. Near a kink of ReLU a rounding
    decides where steps lead: the spreads say how far such roundings, and torch's own f32, go from these losses and logits."""
    generator = torch.Generator().manual_seed(seed)
    begun(model, generator)
    path = OUT / f"{name}.model.safetensors"
    save_file({key: value.numpy().copy() for key, value in model.state_dict().items()}, path, {"format": "pt"})
    path.chmod(0o644)
    x = noise(generator, PICTURES, 3, HEIGHT, COLUMNS)
    labels = torch.randint(CLASSES, (PICTURES,), generator=generator)
    arrays = {"x": x, "tested": copy.deepcopy(model).double().eval()(x)}
    info = info | {"labels": labels.tolist()}
    for how in ("sgd", "adamw", "held", "still"):
        told, first, tested = steps(copy.deepcopy(model).double(), how, trunk, x, labels)
        others = [steps(rounded(model, seed), how, trunk, x, labels) for seed in range(ROUNDED)]
        others.append(steps(copy.deepcopy(model), how, trunk, x.float(), labels))
        told["loss_spread"] = max(abs(a - b) for other, _, _ in others for a, b in zip(told["losses"], other["losses"]))
        told["tested_spread"] = max((tested - other).abs().max().item() for _, _, other in others)
        info[how] = told
        arrays |= (first if how == "sgd" else {}) | {f"tested_after.{how}": tested}
    save(name, arrays, info, packages)


if __name__ == "__main__":
    convs()
    norms()
    pools()
    resnets()
    heads()
    lites()
