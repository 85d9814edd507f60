"""What transformers draws: its filters of logits, and greedy texts of a small GPT-2.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3 safetensors==0.8.0 numpy==2.4.6
    python tests/golden/generators/generate.py [FOLDER]

Writes to tests/golden/generate a folder as save_pretrained leaves it (gpt2: config.json, generation_config.json,
model.safetensors, tokenizer.json), filters.json and greedy.json. README.md there says what they hold. Everything runs on the CPU,
on one thread, in f64, from fixed seeds."""

import json
import pathlib
import shutil
import sys

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import (
    LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper,
)

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).resolve()
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "generate"
GLOSSES = HERE.parents[3] / "data" / "glosses"
SOURCE = [f"{package.__name__}=={package.__version__}" for package in (torch, transformers)]
CONTEXT, VOCABULARY = 40, 300
# The first seed is taken with which the two highest logits never come nearer than this: no order of sums decides a text.
GAP = 0.01
PROMPTS = [("a small animal that", 20), ("Caf\u00e9 na\u00efve 12.5%", 12), ("", 16), ("the act of moving something", 26)]


def byte_pairs():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    (file,) = sorted(GLOSSES.glob("*.txt"))
    tokenizer.train_from_iterator(file.read_text(encoding="utf-8").splitlines()[:2000], trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def dump(name, told):
    told = {"script": HERE.name, "source": SOURCE, **told}
    (OUT / name).write_text(json.dumps(told, separators=(",", ":"), allow_nan=False) + "\n", encoding="ascii")


def filters():
    """Shares of the softmax after each filter and all of them, in generate's order: temperature, top-k, top-p."""
    generator = torch.Generator().manual_seed(3)
    cases = []
    for spread in (1.0, 4.0):
        # Two equal numbers: what stands at the edge of top-k stays.
        logits = (spread * torch.randn(1, 23, generator=generator)).float()
        logits[0, 5] = logits[0, 17]
        place = int((logits[0] > logits[0, 5]).sum()) + 1
        for temperature, top_k, top_p in [
            (1.0, None, None), (0.7, None, None), (1.0, 4, None), (1.0, place, None), (1.0, 100, None), (1.0, 1, None),
            (1.0, None, 0.9), (1.0, None, 0.5), (1.0, None, 1e-4), (1.0, None, 1.0), (0.5, 8, 0.8), (1.8, 12, 0.95),
        ]:
            steps = LogitsProcessorList()
            if temperature != 1.0:
                steps.append(TemperatureLogitsWarper(temperature))
            if top_k:
                steps.append(TopKLogitsWarper(top_k))
            if top_p and top_p < 1.0:
                steps.append(TopPLogitsWarper(top_p))
            shares = torch.softmax(steps(None, logits.double()), -1)[0]
            cases.append({"logits": logits[0].tolist(), "temperature": temperature, "top_k": top_k, "top_p": top_p,
                          "shares": [float(f"{share:.12g}") for share in shares.tolist()]})
    dump("filters.json", {"cases": cases})


def network(vocabulary, seed):
    """A GPT-2 whose output layer is its own, with norms and biases moved off ones and zeros."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary, n_embd=24, n_layer=2, n_head=3, n_positions=CONTEXT, bos_token_id=0, eos_token_id=0,
        initializer_range=0.4, tie_word_embeddings=False,
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape)
    return model


def texts(model, tokenizer):
    """The greedy text of each prompt, and the smallest distance of its two highest logits."""
    cases, gap = [], float("inf")
    for prompt, length in PROMPTS:
        # An empty prompt begins as generate does: with the token before a text.
        ids = tokenizer.encode(prompt).ids or [model.config.bos_token_id]
        given = torch.tensor([ids])

        def written(**more):
            return model.generate(given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=length,
                                  pad_token_id=0, output_logits=True, return_dict_in_generate=True, **more)

        with torch.no_grad():
            whole = written()
        tokens = whole.sequences[0, len(ids):].tolist()
        best = torch.stack(whole.logits)[:, 0].topk(2).values
        gap = min(gap, float((best[:, 0] - best[:, 1]).min()))
        case = {"prompt": prompt, "ids": ids, "new": length, "tokens": tokens, "text": tokenizer.decode(tokens)}
        # The same with one of these tokens as the end of a text.
        case["end"] = tokens[len(tokens) // 2]
        with torch.no_grad():
            case["until_end"] = written(eos_token_id=case["end"]).sequences[0, len(ids):].tolist()
        cases.append(case)
    return cases, gap


def greedy():
    tokenizer = byte_pairs()
    for seed in range(1, 100):
        model = network(tokenizer.get_vocab_size(), seed)
        path = OUT / "gpt2"
        shutil.rmtree(path, ignore_errors=True)
        model.save_pretrained(path)
        cases, gap = texts(model.double(), tokenizer)
        if gap > GAP:
            break
    (path / "model.safetensors").chmod(0o644)
    tokenizer.save(str(path / "tokenizer.json"), pretty=False)
    dump("greedy.json", {"seed": seed, "gap": gap, "cases": cases})


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    filters()
    greedy()
    total = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    print(f"{total} bytes")
    assert total < 300_000


main()
