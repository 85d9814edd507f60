"""The run of run.yaml by PyTorch: the same rows in the same order, the same head, the same rates.

    python torch_run.py START_FOLDER DATA_FOLDER OUT.json [--epochs 3] [--lr 5e-5] [--seed 1] [--dropout 0.0] [--head]
        [--pad batch|context] [--steps N] [--no-test]"""

import argparse
import csv
import json
import pathlib
import time

import numpy as np
import torch
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

from order import order

BATCH, CONTEXT = 32, 64


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("start")
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--head", action="store_true", help="train the head alone, on features that are made once")
    parser.add_argument("--pad", choices=["batch", "context"], default="batch")
    parser.add_argument("--steps", type=int, help="stop after so many")
    parser.add_argument("--no-test", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    asked = arguments()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    tokenizer = AutoTokenizer.from_pretrained(asked.start)
    encoder = AutoModel.from_pretrained(
        asked.start, hidden_dropout_prob=asked.dropout, attention_probs_dropout_prob=asked.dropout
    )
    head_file = load_file(pathlib.Path(asked.start) / "head.safetensors")
    head = torch.nn.Linear(encoder.config.hidden_size, len(head_file["classifier.bias"]))
    with torch.no_grad():
        head.weight.copy_(torch.tensor(head_file["classifier.weight"]))
        head.bias.copy_(torch.tensor(head_file["classifier.bias"]))
    labels = {label: int(place) for place, label in encoder.config.id2label.items()}

    def read(name):
        with open(pathlib.Path(asked.data) / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = [(text, labels[sense]) for text, sense in list(csv.reader(file))[1:]]
        words = tokenizer([text for text, _ in rows], truncation=True, max_length=CONTEXT, padding=False)["input_ids"]
        return words, [label for _, label in rows]

    (train, train_labels), (test, test_labels) = read("train"), read("test")

    def batch(words, pad):
        length = CONTEXT if pad == "context" else max(map(len, words))
        ids, mask = np.zeros((len(words), length), np.int64), np.zeros((len(words), length), np.int64)
        for row, one in enumerate(words):
            ids[row, : len(one)], mask[row, : len(one)] = one, 1
        return torch.tensor(ids), torch.tensor(mask)

    def pooled(words, pad):
        ids, mask = batch(words, pad)
        rows = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).float()
        return (rows * weight).sum(1) / weight.sum(1)

    def tested():
        encoder.eval()
        with torch.no_grad():
            z = torch.cat([head(pooled(test[at : at + 64], "batch")) for at in range(0, len(test), 64)])
        encoder.train(not asked.head)
        y = torch.tensor(test_labels)
        return torch.nn.functional.cross_entropy(z, y).item(), (z.argmax(1) == y).float().mean().item(), z.argmax(1).tolist()

    for parameter in encoder.parameters():
        parameter.requires_grad = not asked.head
    encoder.train(not asked.head)
    params = [p for p in [*head.parameters(), *encoder.parameters()] if p.requires_grad]
    groups = [
        {"params": [p for p in params if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in params if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=asked.lr, fused=True)
    of_epoch = len(train) // BATCH
    steps = of_epoch * asked.epochs
    warm = round(steps * 0.1)
    rate = lambda s: s / max(1, warm) if s < warm else max(0.0, (steps - s) / max(1, steps - warm))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    features = None
    if asked.head:
        with torch.no_grad():
            features = torch.cat([pooled(train[at : at + 64], "batch") for at in range(0, len(train), 64)])
    losses, seconds, epochs, tokens = [], [], [], 0
    for epoch in range(asked.epochs):
        places = order(len(train), asked.seed, epoch)
        for at in range(0, of_epoch * BATCH, BATCH):
            rows = places[at : at + BATCH]
            began = time.perf_counter()
            if asked.head:
                z = head(features[rows])
            else:
                words = [train[row] for row in rows]
                tokens += len(words) * (CONTEXT if asked.pad == "context" else max(map(len, words)))
                z = head(pooled(words, asked.pad))
            loss = torch.nn.functional.cross_entropy(z, torch.tensor([train_labels[row] for row in rows]))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            seconds.append(time.perf_counter() - began)
            losses.append(loss.item())
            if asked.steps and len(losses) == asked.steps:
                break
        if not asked.no_test:
            loss, accuracy, found = tested()
            epochs.append({"val_loss": loss, "val_accuracy": accuracy})
            print(f"torch  epoch {epoch + 1}: loss {loss:.4f}, accuracy {100 * accuracy:.2f} %", flush=True)
        if asked.steps and len(losses) == asked.steps:
            break
    out = {"losses": losses, "epochs": epochs, "step_seconds": sorted(seconds)[len(seconds) // 2], "tokens": tokens}
    if epochs:
        out["predicted"] = [encoder.config.id2label[place] for place in found]
    pathlib.Path(asked.out).write_text(json.dumps(out))


main()
