"""Within what are images compared when a sample of cells may have another mix of classes?

- 'labels': within the true classes, where those of the new cells are known.
- 'groups': where each group of tested cells holds one class, as cultures that were each treated to
  become one lineage do, within groups of the same commonest predicted class. All cells of such a
  group are compared, wrongly predicted ones too: within predicted classes a new mix alone would
  change which cells are taken for a class, and ring.
- 'weights': else, over all cells, after the tested ones were weighted to the composition of the new
  ones, estimated from how often tested cells of each class are predicted each class (black-box
  shift estimation; Lipton, Wang & Smola 2018, arXiv:1802.03916).
- 'none': a study without classes, or without a tested cell of known class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from unstained.statistics.metrics import Floats, Labels, confusion_matrix
from unstained.statistics.mixtures import adjusted_shares

Basis = Literal["labels", "groups", "weights", "none"]

SLACK: Final = 0.1
"""How much less of one predicted class a new group may hold than any tested group of one class."""


@dataclass(frozen=True)
class Called:
    """What a model said of N cells.

    Attributes:
        predicted: (N,) classes 0..K-1.
        labels: (N,) true classes, -1 where not known.
        groups: (N,) what is recorded together.
    """

    predicted: Labels
    labels: Labels
    groups: np.ndarray


@dataclass(frozen=True)
class Within:
    """How two samples are compared.

    Attributes:
        basis: see the module.
        mixes: of both samples, (N,) classes whose fractions are the composition.
        kinds: of both samples, (N,) numbers within which images are compared.
        weights: (N,) of the tested cells.
        shares: (K,) fractions of classes among the new cells: known or estimated; NaN where a class
            has no tested cell.
    """

    basis: Basis
    mixes: tuple[Labels, Labels]
    kinds: tuple[Labels, Labels]
    weights: Floats
    shares: Floats


def within(tested: Called, new: Called, classes: int) -> Within:
    """Choose by what is known of the cells.

    Args:
        tested: cells whose class is known.
        new: cells since.
        classes: K.
    """
    even, alike = np.ones(len(tested.labels)), _zeros(tested, new)
    if (new.labels >= 0).all():
        labels = tested.labels, new.labels
        shares = np.bincount(new.labels, minlength=classes) / len(new.labels)
        return Within("labels", labels, labels, even, shares)
    shares = estimated_shares(tested, new, classes)
    mixes = tested.predicted, new.predicted
    if _of_one_class(tested, new, classes):
        kinds = (
            _commonest(tested.predicted, tested.groups, classes)[0],
            _commonest(new.predicted, new.groups, classes)[0],
        )
        return Within("groups", kinds, kinds, even, shares)
    before = np.bincount(tested.labels, minlength=classes) / len(tested.labels)
    ratio = np.divide(shares, before, out=np.zeros(classes), where=before > 0)
    weights = np.nan_to_num(ratio, nan=1.0)[tested.labels]
    return Within("weights", mixes, alike, weights if weights.any() else even, shares)


def estimated_shares(tested: Called, new: Called, classes: int) -> Floats:
    """(K,) fractions of classes that explain how often new cells are predicted each class."""
    confusion = confusion_matrix(tested.labels, tested.predicted, classes)
    counts = np.bincount(new.predicted, minlength=classes).astype(np.float64)
    return np.asarray(adjusted_shares(counts[None], confusion[None])[0][0])


def _of_one_class(tested: Called, new: Called, classes: int) -> bool:
    """Whether tested groups hold one class each, and new groups look as if they did."""
    label, _ = _commonest(tested.labels, tested.groups, classes)
    if not (label == tested.labels).all():
        return False
    _, held = _commonest(tested.predicted, tested.groups, classes)
    _, holds = _commonest(new.predicted, new.groups, classes)
    return bool(holds.min() >= held.min() - SLACK)


def _commonest(values: Labels, groups: np.ndarray, classes: int) -> tuple[Labels, Floats]:
    """(N,) commonest value of each cell's group, and its fraction there."""
    names, group = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), classes))
    np.add.at(counts, (group, values), 1)
    shares = counts.max(axis=1) / counts.sum(axis=1)
    return np.asarray(counts.argmax(axis=1)[group]), np.asarray(shares[group])


def _zeros(tested: Called, new: Called) -> tuple[Labels, Labels]:
    return np.zeros(len(tested.groups), np.int64), np.zeros(len(new.groups), np.int64)
