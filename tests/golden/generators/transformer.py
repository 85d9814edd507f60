"""PyTorch reference numbers for transformers: single operations, a decoder and an encoder.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
    python tests/golden/generators/transformer.py

Writes <case>.json and <case>.safetensors to tests/golden/transformer. The models
are transformers' own GPT2LMHeadModel and BertForSequenceClassification, made
small. Everything runs on the CPU, on one thread, from fixed seeds. README.md
there says what the files hold.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.numpy import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

OUT = pathlib.Path(__file__).resolve().parent.parent / "transformer"
SOURCE = ["torch==2.15.0", "transformers==5.23.0"]
MAX_BYTES = 300_000

BATCH, CONTEXT, VOCABULARY, HIDDEN, HEADS, LAYERS, INTERMEDIATE = 3, 9, 31, 24, 3, 2, 48
CLASSES, TYPES = 5, 2
LENGTHS = [9, 6, 1]
STEPS, LR, DECAY, BETAS, EPS = 20, 1e-3, 0.01, (0.9, 0.999), 1e-8
IGNORE = -100


def save(name, tensors, info):
    tensors = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    info = {"case": name, "source": SOURCE, **info}
    path, jpath = OUT / f"{name}.safetensors", OUT / f"{name}.json"
    save_file(tensors, path)
    path.chmod(0o644)  # save_file creates it 0600
    jpath.write_text(json.dumps(info, indent=1, allow_nan=False) + "\n", encoding="ascii")
    back = load_file(path)
    for key, value in tensors.items():
        assert np.isfinite(value).all(), key
        assert back[key].dtype == value.dtype and np.array_equal(back[key], value), key
        assert value.dtype in (np.float32, np.float64, np.int32), key
    for written in (path, jpath):
        assert written.stat().st_size < MAX_BYTES, written.name
    print(f"{name}: {len(tensors)} arrays, {path.stat().st_size} bytes")


def array(tensor):
    return tensor.detach().numpy().copy()


# ---- models ----


def draw_parameters(model, generator):
    """Values far from a fresh model's zeros and ones, where a mistake would not show. All are f32."""
    drawn = {}
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
        is_norm = ".ln_" in name or "LayerNorm" in name
        if is_norm and name.endswith("weight"):
            drawn[name] = 1.0 + 0.2 * noise
        elif name.endswith("bias"):
            drawn[name] = 0.1 * noise
        else:
            drawn[name] = 0.25 * noise
    return drawn


def with_parameters(make, drawn, dtype):
    model = make().to(dtype)
    model.train()  # there is no dropout
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(drawn[name].to(dtype))  # f32 -> f64 is exact
    return model


def first_pass(model, places, forward):
    """Activations where `places` says, logits, loss and every gradient."""
    kept = {}

    def keep(name):
        def hook(_module, _inputs, output):
            kept[name] = array(output[0] if isinstance(output, tuple) else output)
        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in places(model).items()]
    logits, loss = forward(model)
    loss.backward()
    for hook in hooks:
        hook.remove()
    grads = {name: array(parameter.grad) for name, parameter in model.named_parameters()}
    return {**kept, "logits": array(logits)}, loss.item(), grads


def train(model, forward):
    """The loss before each of the steps."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LR, weight_decay=DECAY, betas=BETAS, eps=EPS, foreach=False, fused=False
    )
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        _, loss = forward(model)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return losses


def model_case(name, make, places, forward, inputs, seed, info):
    drawn = draw_parameters(make(), torch.Generator().manual_seed(seed))
    fresh = lambda dtype: with_parameters(make, drawn, dtype)
    kept, loss, grads = first_pass(fresh(torch.float64), places, forward)
    kept32, loss32, grads32 = first_pass(fresh(torch.float32), places, forward)
    loss_f64, loss_f32 = train(fresh(torch.float64), forward), train(fresh(torch.float32), forward)
    assert loss_f64[0] == loss and loss_f32[0] == loss32

    norm = lambda value: float(np.sqrt((value.astype(np.float64) ** 2).sum()))
    off = {key: norm(grads32[key].astype(np.float64) - grads[key]) for key in grads}
    tensors = {f"init.{key}": array(value) for key, value in drawn.items()}
    tensors |= {key: array(value.int()) for key, value in inputs.items()}
    tensors |= {f"activation.{key}": value for key, value in kept.items()}
    tensors |= {f"grad.{key}": value.astype(np.float32) for key, value in grads.items()}
    save(name, tensors, {
        **info,
        "seed": seed,
        "steps": STEPS,
        "optimizer": {"lr": LR, "weight_decay": DECAY, "betas": list(BETAS), "eps": EPS},
        "tensors": [{"name": key, "shape": list(value.shape)} for key, value in drawn.items()],
        "loss": loss,
        "loss_f64": loss_f64,
        "loss_f32": loss_f32,
        "grad_norm": {key: norm(value) for key, value in grads.items()},
        "f32_vs_f64": {
            "loss": max(abs(a - b) for a, b in zip(loss_f32, loss_f64)),
            "activation": {key: float(np.abs(kept32[key] - value).max()) for key, value in kept.items()},
            "grad_norm_of_difference": off,
        },
    })
    print(f"  loss {loss_f64[0]:.6f} -> {loss_f64[-1]:.6f}, f32 off by "
          f"{max(abs(a - b) for a, b in zip(loss_f32, loss_f64)):.1e}, smallest gradient "
          f"{min((norm(value), key) for key, value in grads.items())}")


def decoder():
    generator = torch.Generator().manual_seed(2001)
    drawn = torch.randint(0, VOCABULARY, (BATCH, CONTEXT + 1), generator=generator)
    inputs, targets = drawn[:, :-1], drawn[:, 1:]
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, n_inner=INTERMEDIATE,
        activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, layer_norm_epsilon=1e-5,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, use_cache=False, attn_implementation="eager",
    )

    def make():
        model = GPT2LMHeadModel(config)
        assert model.lm_head.weight is model.transformer.wte.weight
        return model

    def places(model):
        trunk = model.transformer
        blocks = {f"block.{number}": block for number, block in enumerate(trunk.h)}
        return {"embedding": trunk.drop, **blocks, "final_norm": trunk.ln_f}

    def forward(model):
        logits = model(input_ids=inputs).logits
        return logits, F.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1))

    model_case("decoder", make, places, forward, {"inputs": inputs, "targets": targets}, 2002, {
        "kind": "decoder",
        "model": "GPT2LMHeadModel",
        "config": sizes() | {"layer_norm_eps": 1e-5, "activation": "gelu_new", "tied": True},
    })


def encoder():
    generator = torch.Generator().manual_seed(2003)
    # Padding holds tokens and types like any other: what stands there must not matter.
    inputs = torch.randint(0, VOCABULARY, (BATCH, CONTEXT), generator=generator)
    types = torch.randint(0, TYPES, (BATCH, CONTEXT), generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    mask = (torch.arange(CONTEXT)[None, :] < torch.tensor(LENGTHS)[:, None]).long()
    config = BertConfig(
        vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, hidden_size=HIDDEN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, intermediate_size=INTERMEDIATE, type_vocab_size=TYPES, num_labels=CLASSES,
        hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=1e-12,
        pad_token_id=None,  # with one, torch gives that token's embedding no gradient
        attn_implementation="eager",
    )

    def places(model):
        blocks = {f"block.{number}": block for number, block in enumerate(model.bert.encoder.layer)}
        return {"embedding": model.bert.embeddings, **blocks, "pooled": model.bert.pooler}

    def forward(model):
        logits = model(input_ids=inputs, attention_mask=mask, token_type_ids=types).logits
        return logits, F.cross_entropy(logits, labels)

    tensors = {"inputs": inputs, "types": types, "mask": mask, "labels": labels}
    model_case("encoder", lambda: BertForSequenceClassification(config), places, forward, tensors, 2004, {
        "kind": "encoder",
        "model": "BertForSequenceClassification",
        "config": sizes() | {"layer_norm_eps": 1e-12, "activation": "gelu", "types": TYPES, "classes": CLASSES},
    })


def sizes():
    return {"batch": BATCH, "context": CONTEXT, "vocabulary": VOCABULARY, "hidden": HIDDEN, "heads": HEADS,
            "layers": LAYERS, "intermediate": INTERMEDIATE}


# ---- operations ----


class Operations:
    """Cases `name` with arrays `name.what`: inputs are f32, what torch makes of them in f64 is f64."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(2005)
        self.tensors, self.cases = {}, []

    def draw(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float32)

    def add(self, name, operation, forward, inputs, fixed=None, **settings):
        """Output `y` of `forward`, and the gradient of each input where that of `y` is a drawn `dy`."""
        wide = {key: value.double().requires_grad_() for key, value in inputs.items()}
        y = forward(**wide)
        scalar = y.dim() == 0
        dy = None if scalar else self.draw(*y.shape)
        grads = torch.autograd.grad(y, list(wide.values()), None if scalar else dy.double())
        self.tensors |= {f"{name}.{key}": array(value) for key, value in inputs.items()}
        self.tensors |= {f"{name}.{key}": array(value.int()) for key, value in (fixed or {}).items()}
        if not scalar:
            self.tensors[f"{name}.dy"] = array(dy)
            self.tensors[f"{name}.y"] = array(y)
        self.tensors |= {f"{name}.d{key}": array(grad) for key, grad in zip(wide, grads)}
        self.cases.append({"name": name, "operation": operation, **settings, **({"loss": y.item()} if scalar else {})})

    def layer_norm(self, name, rows, width, eps, spread):
        inputs = {"x": 3.0 + spread * self.draw(rows, width), "weight": self.draw(width), "bias": self.draw(width)}
        forward = lambda x, weight, bias: F.layer_norm(x, (width,), weight, bias, eps)
        self.add(name, "layer_norm", forward, inputs, eps=eps)

    def gelu(self, name, approximate):
        x = torch.cat([torch.linspace(-9.0, 9.0, 145), torch.tensor([-1e-6, 1e-6, -30.0, 30.0])])
        self.add(name, name, lambda x: F.gelu(x, approximate=approximate), {"x": x})

    def cross_entropy(self, name, ignored, smoothing):
        rows = 7
        targets = torch.randint(0, VOCABULARY, (rows,), generator=self.generator)
        targets[ignored] = IGNORE
        forward = lambda logits: F.cross_entropy(logits, targets, ignore_index=IGNORE, label_smoothing=smoothing)
        inputs, fixed = {"logits": 3.0 * self.draw(rows, VOCABULARY)}, {"targets": targets}
        self.add(name, "cross_entropy", forward, inputs, fixed, ignore_index=IGNORE, label_smoothing=smoothing)

    def embedding(self):
        indices = torch.tensor([[4, 0, 4, 4, 2], [6, 4, 0, 6, 4], [4, 4, 4, 2, 5]])
        forward = lambda weight: F.embedding(indices, weight)
        self.add("embedding", "embedding", forward, {"weight": self.draw(7, 13)}, {"indices": indices})

    def attention(self, name, lengths, context, width, causal):
        shape = (len(lengths), HEADS, context, width)
        mask = torch.arange(context)[None, :] < torch.tensor(lengths)[:, None]
        seen = mask[:, None, None, :].expand(-1, 1, context, -1)
        if causal:
            seen = seen & torch.ones(context, context, dtype=torch.bool).tril()
        forward = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        inputs = {key: self.draw(*shape) for key in "qkv"}
        self.add(name, "attention", forward, inputs, {"mask": mask}, causal=causal, scale=1.0 / math.sqrt(width))


def operations():
    cases = Operations()
    cases.layer_norm("layer_norm", 5, 24, 1e-5, 2.0)
    cases.layer_norm("layer_norm_narrow", 3, 7, 1e-12, 0.5)
    cases.layer_norm("layer_norm_almost_constant", 3, 33, 1e-5, 1e-3)
    cases.gelu("gelu_erf", "none")
    cases.gelu("gelu_tanh", "tanh")
    cases.cross_entropy("cross_entropy", [], 0.0)
    cases.cross_entropy("cross_entropy_ignored", [0, 3, 6], 0.0)
    cases.cross_entropy("cross_entropy_smoothed", [], 0.1)
    cases.cross_entropy("cross_entropy_ignored_smoothed", [1, 2], 0.1)
    cases.embedding()
    cases.attention("attention", [9, 9], 9, 8, False)
    cases.attention("attention_causal", [9, 9], 9, 8, True)
    cases.attention("attention_padding", [9, 4], 9, 8, False)
    cases.attention("attention_causal_padding", [9, 4], 9, 8, True)
    cases.attention("attention_nothing_seen", [0, 5], 5, 8, False)
    cases.attention("attention_of_one", [1, 1], 1, 8, True)
    cases.attention("attention_odd", [17, 11], 17, 5, True)
    save("operations", cases.tensors, {"kind": "operations", "cases": cases.cases})


if __name__ == "__main__":
    found = [f"torch=={torch.__version__.split('+')[0]}", f"transformers=={transformers.__version__}"]
    if found != SOURCE:
        raise SystemExit(f"{found}, expected {SOURCE}")
    print("made with", ", ".join(SOURCE))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    operations()
    decoder()
    encoder()
