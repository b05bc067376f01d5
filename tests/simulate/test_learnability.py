"""What can be learned from simulated cells: lineage from morphology, and from nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from unstained.config.project import load_params
from unstained.simulate.instrument import Recording, record
from unstained.simulate.lineages import LINEAGES, draw_cell
from unstained.simulate.plan import plan_study
from unstained.simulate.streams import stream

Study = tuple[list[Recording], np.ndarray, np.ndarray]


def simulate(repository: Path, difficulty: float, seed: int = 0) -> Study:
    """3 x 5 acquisitions of 16 cells, brightfield alone: recordings, labels, groups."""
    nsc = load_params(repository / "params.yaml").studies["nsc"]
    data = nsc.data.model_copy(update={"markers": {}})
    demo = nsc.recipes["demo"].sections().simulate
    assert demo is not None
    params = demo.model_copy(
        update={
            "acquisitions_per_class": 5,
            "cells_per_acquisition": 16,
            "difficulty": difficulty,
            "debris": 0.0,
            "doublets": 0.0,
        }
    )
    recordings, labels, groups = [], [], []
    for plan in plan_study(params, data, seed):
        if not re.match("[aon]_", plan.name):
            continue
        for start in range(0, 16, 4):
            index = np.arange(start, start + 4)
            cells = [
                draw_cell(
                    plan.lineage,
                    difficulty=difficulty,
                    debris=0.0,
                    doublets=0.0,
                    generator=stream(seed, plan.name, "shape", int(i)),
                )
                for i in index
            ]
            recordings += record(cells, index, plan, data, seed)
        labels += [list(LINEAGES).index(plan.lineage)] * 16
        groups += [plan.name] * 16
    return recordings, np.array(labels), np.array(groups)


@pytest.fixture(scope="module")
def half(repository: Path) -> Study:
    return simulate(repository, 0.5)


def contrast(recording: Recording) -> np.ndarray:
    image = recording.channels["Ch1"].astype(float)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return image / np.median(border) - 1


def crop_of_mask(recording: Recording) -> np.ndarray:
    height = recording.channels["Ch1"].shape[0]
    return recording.mask[32 - height // 2 :][:height, 2:62]


def morphology(recording: Recording) -> np.ndarray:
    """Area, axes, roughness of the outline, texture and radial profile, within the true mask."""
    image, mask = contrast(recording), crop_of_mask(recording)
    y, x = np.nonzero(mask)
    small, large = np.linalg.eigvalsh(np.cov(y, x))
    edge = sum(np.abs(np.diff(mask.astype(int), axis=axis)).sum() for axis in (0, 1))
    rough = np.diff(image, axis=1)[mask[:, 1:] & mask[:, :-1]].std()
    distance = np.hypot(*(np.indices(mask.shape) - np.array([y.mean(), x.mean()])[:, None, None]))
    rings = [image[(distance >= r) & (distance < r + 3)].mean() for r in range(0, 18, 3)]
    level = image[mask].std() + 1e-6
    return np.array([len(y), large / small, edge**2 / len(y), rough / level, *rings])


def grouped_recall(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    trees = ExtraTreesClassifier(100, min_samples_leaf=2, random_state=0)
    guess = cross_val_predict(trees, features, labels, groups=groups, cv=folds)
    return float(balanced_accuracy_score(labels, guess))


def test_morphology_tells_lineages_apart_and_brightness_does_not(half: Study) -> None:
    recordings, labels, groups = half
    shape = np.stack([morphology(r) for r in recordings])
    assert grouped_recall(shape, labels, groups) > 0.6
    bright = np.stack([[contrast(r).mean(), contrast(r).std()] for r in recordings])
    assert grouped_recall(bright[:, :1], labels, groups) < 0.45
    assert grouped_recall(bright, labels, groups) < 0.5
    size = np.array([r.channels["Ch1"].shape for r in recordings])
    assert grouped_recall(size, labels, groups) < 0.45


def test_difficulty_one_leaves_nothing_to_learn(repository: Path) -> None:
    recordings, labels, groups = simulate(repository, 1.0)
    shape = np.stack([morphology(r) for r in recordings])
    assert grouped_recall(shape, labels, groups) < 1 / 3 + 0.11


def test_contrast_is_that_of_real_suspended_cells(half: Study) -> None:
    """Jurkat tiles: standard deviation 0.087, dark rim of -0.12, bright middle, noise 0.008."""
    recordings, _, _ = half
    images = [contrast(r) for r in recordings]
    assert 0.05 < np.median([image.std() for image in images]) < 0.12
    masks = [crop_of_mask(r) for r in recordings]
    rim, middle = [], []
    for image, mask in zip(images, masks, strict=True):
        inner = torch.nn.functional.avg_pool2d(
            torch.from_numpy(mask[None].astype(np.float32)), 7, 1, 3
        )[0].numpy()
        rim.append(image[(inner > 0.2) & ~mask].mean())
        middle.append(image[inner > 0.99].mean())
    assert np.median(rim) < -0.05
    assert np.median(middle) > 0.02
    corners = np.concatenate([image[:4, :4].ravel() for image in images])
    assert 0.006 < np.median(np.abs(corners - np.median(corners))) * 1.4826 < 0.02
