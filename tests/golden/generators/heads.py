"""Losses of labels and numbers by PyTorch, and metrics by scikit-learn.

    pip install torch==2.15.0 scikit-learn==1.9.1 numpy==2.4.6
    python tests/golden/generators/heads.py

Prints the values that tests/integration/heads.rs and evaluation_metrics.rs state: short lists, by formulas that the tests have too.
"""

import numpy as np
import torch
from sklearn import metrics

ROWS, OUTPUTS = 5, 3


def noise(count, step):
    """Numbers from -1 to 1 that any language gives alike."""
    return [((place * step) % 101) / 50 - 1 for place in range(count)]


def shown(name, values):
    print(f"{name}: {[float(f'{value:.9g}') for value in np.asarray(values, dtype=np.float64).ravel()]}")


def losses():
    z = torch.tensor(noise(ROWS * OUTPUTS, 37), dtype=torch.float64).reshape(ROWS, OUTPUTS) * 8
    z[1, 0], z[2, 1] = 60.0, -60.0
    labels = (torch.tensor(noise(ROWS * OUTPUTS, 29), dtype=torch.float64).reshape(ROWS, OUTPUTS) > 0).double()
    numbers = torch.tensor(noise(ROWS * OUTPUTS, 29), dtype=torch.float64).reshape(ROWS, OUTPUTS) * 3 + 1000
    for name, loss, targets, shift in [
        ("binary_cross_entropy", torch.nn.BCEWithLogitsLoss(), labels, 0.0),
        ("squared_error", torch.nn.MSELoss(), numbers, 1000.0),
    ]:
        outputs = (z + shift).clone().requires_grad_()
        value = loss(outputs, targets)
        value.backward()
        shown(f"{name} loss", [value.item()])
        shown(f"{name} gradient", outputs.grad)


def classes():
    # Class 4 is never right and never answered; class 3 is answered alone.
    truth = [0, 0, 0, 1, 1, 2, 2, 2, 2, 0, 1]
    answer = [0, 1, 0, 1, 3, 2, 2, 0, 2, 0, 1]
    shown("accuracy", [metrics.accuracy_score(truth, answer)])
    shown("f1 macro", [metrics.f1_score(truth, answer, average="macro", zero_division=0)])
    shown("f1 weighted", [metrics.f1_score(truth, answer, average="weighted", zero_division=0)])
    print(metrics.confusion_matrix(truth, answer, labels=range(5)).tolist())


def labels():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]])
    answer = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    shown("label accuracy", [(truth == answer).mean()])
    shown("label f1 macro", [metrics.f1_score(truth, answer, average="macro", zero_division=0)])
    print(metrics.multilabel_confusion_matrix(truth, answer).tolist())


def numbers():
    # Targets far from 0, of two outputs.
    truth = np.array([noise(40, 37), noise(40, 29)], dtype=np.float32).T * np.float32(3) + np.float32([[10000, -7]])
    answer = truth + np.array([noise(40, 17), noise(40, 53)], dtype=np.float32).T * np.float32(0.5)
    truth, answer = truth.astype(np.float32).astype(np.float64), answer.astype(np.float32).astype(np.float64)
    shown("mse", [metrics.mean_squared_error(truth, answer)])
    shown("r2", [metrics.r2_score(truth, answer)])


if __name__ == "__main__":
    losses()
    classes()
    labels()
    numbers()
