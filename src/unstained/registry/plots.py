"""Plots that a run in MLflow carries: confusion counts, ROC curves, predicted against true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure


def confusion_figure(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Figure:
    """Confusion matrix, shaded by the fraction of each true class.

    Args:
        truth: (N,) classes 0..K-1.
        predicted: (N,) predicted classes.
        names: K class names.
    """
    classes = len(names)
    counts = np.bincount(truth * classes + predicted, minlength=classes**2)
    counts = counts.reshape(classes, classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.6 + 1.1 * classes, 1.4 + 0.9 * classes), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(classes, classes):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{share:.0%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
        )
    axes.set_xticks(range(classes), names)
    axes.set_yticks(range(classes), names)
    axes.set(xlabel="predicted", ylabel="actual", title="Test cells")
    return figure


def roc_figure(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """One-against-the-rest ROC curves.

    Args:
        curves: class -> false positive rates, true positive rates.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    for name, (fpr, tpr) in curves.items():
        area = float(np.trapezoid(tpr, fpr))
        axes.plot(fpr, tpr, label=f"{name}, area {area:.3f}")
    axes.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        title="Test cells",
        aspect="equal",
    )
    axes.legend(loc="lower right")
    return figure


def scatter_figure(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Predicted against true numbers, a panel each.

    Args:
        pairs: name -> true and predicted numbers (N,), none missing.
    """
    figure = Figure(figsize=(4 * len(pairs), 4), layout="constrained")
    for axes, (name, (truth, predicted)) in zip(
        figure.subplots(1, len(pairs), squeeze=False)[0], pairs.items(), strict=True
    ):
        axes.scatter(truth, predicted, s=6, alpha=0.5, linewidths=0)
        if len(truth):
            ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
            axes.plot(ends, ends, color="grey", linewidth=0.8, linestyle="--")
        axes.set(xlabel="true", ylabel="predicted", title=f"{name}, test cells")
    return figure
