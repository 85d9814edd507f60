#!/usr/bin/env python3
"""Turns weights that PyTorch saved (.pth, .pt, .bin) into safetensors, without PyTorch.

    python3 pth_to_safetensors.py resnet18.pth resnet18.safetensors

Reads both of torch.save's formats. Of the pickle in them only tensors and plain containers are loaded: a file that wants to run
anything else is refused. Of a checkpoint that holds more than weights, its state_dict, model_state or model is taken."""

import collections
import io
import itertools
import json
import pathlib
import pickle
import struct
import sys
import zipfile

# torch's storages: safetensors' word for the numbers, and the bytes of one.
STORAGES = {
    "FloatStorage": ("F32", 4), "DoubleStorage": ("F64", 8), "HalfStorage": ("F16", 2), "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8), "IntStorage": ("I32", 4), "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1), "BoolStorage": ("BOOL", 1),
}
INSIDE = ("state_dict", "model_state_dict", "model_state", "model")

Tensor = collections.namedtuple("Tensor", "kind key offset shape strides")


class Unpickler(pickle.Unpickler):
    """Loads tensors as descriptions of themselves."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def persistent_load(self, saved):
        _, kind, key, _, numbers = saved[:5]
        self.storages[key] = kind
        return (kind, key, numbers)

    def find_class(self, module, name):
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: Tensor(storage[0], storage[1], offset, shape, strides)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is neither a tensor nor a container")


def zipped(path):
    """The object of a file in today's format, and the bytes of its storages."""
    with zipfile.ZipFile(path) as file:
        pickled = next(name for name in file.namelist() if name.endswith("data.pkl"))
        unpickler = Unpickler(io.BytesIO(file.read(pickled)))
        saved = unpickler.load()
        root = pickled.removesuffix("data.pkl")
        return saved, {key: file.read(f"{root}data/{key}") for key in unpickler.storages}


def legacy(path):
    """The same for the format before PyTorch 1.6."""
    with open(path, "rb") as file:
        for _ in range(3):
            Unpickler(file).load()
        unpickler = Unpickler(file)
        saved = unpickler.load()
        storages = {}
        for key in Unpickler(file).load():
            (numbers,) = struct.unpack("<q", file.read(8))
            storages[key] = file.read(numbers * unpickler.storages[key][1])
        return saved, storages


def weights(saved):
    """The tensors of a checkpoint, by name."""
    while isinstance(saved, dict):
        tensors = {str(name): value for name, value in saved.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        saved = next((saved[key] for key in INSIDE if key in saved), None)
    raise ValueError("there are no tensors by name in it: only a state_dict has them, not a whole model")


def data(tensor, storage):
    """A tensor's bytes, row by row."""
    size = tensor.kind[1]
    count, plain = 1, []
    for side in reversed(tensor.shape):
        plain.insert(0, count)
        count *= side
    if tuple(plain) == tuple(tensor.strides) or count <= 1:
        return storage[tensor.offset * size:][:count * size]
    # A row at a time: its numbers are a step apart.
    numbers = memoryview(storage).cast({1: "B", 2: "H", 4: "I", 8: "Q"}[size])
    *outer, last = zip(tensor.shape, tensor.strides)
    places = itertools.product(*(range(side) for side, _ in outer))
    begins = (tensor.offset + sum(at * step for at, (_, step) in zip(place, outer)) for place in places)
    count, step = last
    return b"".join(numbers[begin:begin + (count - 1) * step + 1:step or 1].tobytes() * (1 if step else count) for begin in begins)


def main(source, target):
    saved, storages = (zipped if zipfile.is_zipfile(source) else legacy)(source)
    header, parts, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in weights(saved).items():
        part = data(tensor, storages[tensor.key])
        header[name] = {"dtype": tensor.kind[0], "shape": list(tensor.shape), "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(target).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    print(f"{len(parts)} tensors, {at} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except pickle.UnpicklingError as error:
        sys.exit(f"{sys.argv[1]}: no file of torch.save that can be read: {error}")
    except (EOFError, KeyError, IndexError, StopIteration, struct.error, zipfile.BadZipFile):
        sys.exit(f"{sys.argv[1]}: cut short, or no file of torch.save")
    except (OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
