"""What timm's param_groups_layer_decay leaves of the rate of each parameter of a small vision transformer.

    pip install torch==2.15.0 timm==1.0.31
    python tests/golden/generators/layer_decay.py [FOLDER]

Writes layer_decay_vit.json to tests/golden/layer_decay.
"""

import json
import pathlib
import sys

import timm
from timm.optim import param_groups_layer_decay

DECAY = 0.75

model = timm.create_model("vit_tiny_patch16_224", depth=4, num_classes=10)
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
out = (pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).resolve().parent.parent) / "layer_decay"
(out / "layer_decay_vit.json").write_text(json.dumps(trace))
