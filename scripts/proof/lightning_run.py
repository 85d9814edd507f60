"""The proof's run by PyTorch, Lightning and finetuning-scheduler.

    python lightning_run.py FOLDER SCHEDULE OUT.json"""

import csv
import json
import logging
import pathlib
import sys
import tempfile
import time
import warnings

import lightning.pytorch as pl
import numpy as np
import torch
from finetuning_scheduler import FinetuningScheduler, FTSCheckpoint, FTSEarlyStopping
from transformers import AutoModelForSequenceClassification, AutoTokenizer

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "real"))
from order import order  # noqa: E402

BATCH, CONTEXT, EPOCHS, SEED = 32, 32, 14, 1
warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Module(pl.LightningModule):
    def __init__(self, start):
        super().__init__()
        self.model = AutoModelForSequenceClassification.from_pretrained(
            start, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0
        )
        self.no_decay = ["bias", "LayerNorm"]
        self.losses, self.epochs = [], []

    def training_step(self, batch, place):
        ids, mask, labels = batch
        loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        self.losses.append(loss.item())
        return loss

    def on_validation_epoch_start(self):
        self.sums = [0.0, 0, 0]

    def validation_step(self, batch, place):
        ids, mask, labels = batch
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        self.sums[0] += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        self.sums[1] += (logits.argmax(1) == labels).sum().item()
        self.sums[2] += len(labels)

    def on_validation_epoch_end(self):
        loss, right, count = self.sums
        self.log("val_loss", loss / count)
        self.epochs.append({"val_loss": loss / count, "val_accuracy": right / count})

    def configure_optimizers(self):
        named = [(name, value) for name, value in self.named_parameters() if value.requires_grad]
        decays = lambda name: not any(word in name for word in self.no_decay)
        return torch.optim.AdamW(
            [
                {"params": [value for name, value in named if decays(name)], "weight_decay": 0.01},
                {"params": [value for name, value in named if not decays(name)], "weight_decay": 0.0},
            ],
            lr=1e-3,
        )


class Rows(torch.utils.data.Sampler):
    """The order of each epoch."""

    def __init__(self, count):
        self.count, self.epoch = count, 0

    def __iter__(self):
        rows = order(self.count, SEED, self.epoch)[: self.count // BATCH * BATCH]
        self.epoch += 1
        return iter(rows)

    def __len__(self):
        return self.count // BATCH * BATCH


class Depths(pl.Callback):
    """The phase of each epoch."""

    def __init__(self):
        self.depths = []

    def on_train_epoch_start(self, trainer, module):
        (scheduler,) = [callback for callback in trainer.callbacks if isinstance(callback, FinetuningScheduler)]
        self.depths.append(scheduler.curr_depth)


def main(folder, schedule, out):
    torch.set_num_threads(2)
    folder = pathlib.Path(folder)
    module = Module(folder / "start")
    tokenizer = AutoTokenizer.from_pretrained(folder / "start")
    labels = module.model.config.label2id

    def read(name):
        with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        words = tokenizer([text for text, _ in rows], truncation=True, max_length=CONTEXT, padding="max_length", return_tensors="pt")
        return torch.utils.data.TensorDataset(words["input_ids"], words["attention_mask"], torch.tensor([labels[sense] for _, sense in rows]))

    train, test = read("train"), read("test")
    depths = Depths()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = pl.Trainer(
            accelerator="cpu", devices=1, max_epochs=EPOCHS, logger=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=scratch,
            callbacks=[
                FinetuningScheduler(ft_schedule=schedule, logging_level=logging.ERROR),
                FTSEarlyStopping(monitor="val_loss", mode="min", patience=1),
                FTSCheckpoint(dirpath=scratch, monitor="val_loss", save_top_k=1),
                depths,
            ],
        )
        began = time.perf_counter()
        trainer.fit(
            module,
            torch.utils.data.DataLoader(train, batch_size=BATCH, sampler=Rows(len(train))),
            torch.utils.data.DataLoader(test, batch_size=64),
        )
        seconds = time.perf_counter() - began
    told = {"depths": depths.depths, "losses": module.losses, "epochs": module.epochs, "seconds": seconds}
    pathlib.Path(out).write_text(json.dumps(told))


main(*sys.argv[1:])
