"""Rules of abstention: numbers against a slow reference, the promise, and kinds never seen."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.artifact.abstention import (
    FEWEST,
    NEIGHBOUR,
    REASONS,
    Rules,
    fit_rules,
    measures,
    read_rules,
    write_rules,
)

LEVEL = 2000.0


def cell(
    seed: int,
    *,
    radius: float = 9.0,
    blur: float = 0.0,
    centres: tuple[tuple[float, float], ...] = ((0.0, 0.0),),
    strength: float = 0.3,
    size: tuple[int, int] = (48, 54),
    planes: int = 1,
) -> np.ndarray:
    """A disc with a rim and grains, (P, h, w) counts with shot noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]] - np.array(size)[:, None, None] / 2
    radius *= rng.uniform(0.9, 1.1)
    soft = 0.8 + blur
    image = np.zeros(size)
    for row, column in centres:
        away = np.hypot(y - row, x - column)
        image -= strength / (1 + np.exp((away - radius) / soft))
        image += strength * np.exp(-(((away - radius) / (1.2 + blur)) ** 2)) / (1 + blur)
    image *= rng.uniform(0.85, 1.15)
    expected = LEVEL * (1 + image) * rng.uniform(0.9, 1.1)
    return rng.poisson(np.stack([expected] * planes)).astype(np.uint16)


def embedded(images: list[np.ndarray]) -> np.ndarray:
    """An embedding that knows nothing but noise."""
    return np.random.default_rng(0).normal(size=(len(images), 6)).astype(np.float32)


@pytest.fixture(scope="module")
def rules() -> Rules:
    known = [cell(seed) for seed in range(200)]
    return fit_rules(known, embedded(known), None, 0.05)


def told(rules: Rules, images: list[np.ndarray]) -> dict[str, float]:
    """Reason -> share of the cells it speaks against; 'any' of them."""
    found = rules.abstains(images, np.zeros((len(images), 6), np.float32))
    shares = dict(zip(REASONS, found.mean(axis=0).tolist(), strict=True))
    return {**shares, "any": float(found.any(axis=1).mean())}


def slow(image: np.ndarray, white: float | None) -> list[float]:
    """The numbers of one image by loops in float64."""
    planes = []
    for plane in image.astype(np.float64):
        h, w = plane.shape
        rows = [k * (h - 1) // 31 for k in range(32)]
        columns = [k * (w - 1) // 31 for k in range(32)]
        border = sorted(
            [plane[0, c] for c in columns]
            + [plane[-1, c] for c in columns]
            + [plane[r, 0] for r in rows]
            + [plane[r, -1] for r in rows]
        )[63]
        d = (plane - border) / max(border if white is None else white, 1)
        h, w = max(8, h + h % 2), max(8, w + w % 2)
        d = np.pad(d, ((0, h - d.shape[0]), (0, w - d.shape[1])), mode="edge")
        planes.append(
            [[d[r : r + 2, c : c + 2].mean() for c in range(0, w, 2)] for r in range(0, h, 2)]
        )
    d = np.array(planes)
    energy = (d**2).sum(axis=0)
    whole = energy.sum()
    fine = 0.0
    for plane in d:
        for r in range(plane.shape[0] - 3):
            for c in range(plane.shape[1] - 3):
                fine += (
                    plane[r + 1 : r + 3, c + 1 : c + 3].mean() - plane[r : r + 4, c : c + 4].mean()
                ) ** 2
    y, x = np.mgrid[: energy.shape[0], : energy.shape[1]]
    axes = np.linalg.eigvalsh(
        np.cov(np.stack([y.ravel(), x.ravel()]), aweights=energy.ravel(), ddof=0)
    )
    contrast = math.sqrt((energy**2).sum() / whole)
    extent = whole**2 / (energy**2).sum()
    return [
        *map(math.log, (contrast, math.sqrt(fine / whole), extent, math.sqrt(axes[1] / axes[0])))
    ]


@pytest.mark.parametrize(
    ("size", "planes", "white"),
    [((48, 54), 1, None), ((31, 40), 3, 65535.0), ((9, 7), 2, None), ((5, 33), 1, None)],
)
def test_numbers_agree_with_a_slow_reference(
    size: tuple[int, int], planes: int, white: float | None
) -> None:
    images = [cell(seed, size=size, planes=planes) for seed in range(3)]
    expected = [slow(image, white) for image in images]
    np.testing.assert_allclose(measures(images, white), expected, rtol=2e-3, atol=2e-3)


def test_cells_like_the_known_ones_pass_as_often_as_promised(rules: Rules) -> None:
    fresh = [cell(seed) for seed in range(1000, 1600)]
    found = rules.abstains(fresh, np.random.default_rng(9).normal(size=(600, 6)))
    assert rules.false_alarms == 0.05
    assert 0.01 < found.any(axis=1).mean() < 0.1


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("debris", {"radius": 3.0}),
        ("several", {"centres": ((0.0, -10.0), (0.0, 10.0))}),
        ("defocus", {"blur": 4.0}),
        ("contrast", {"strength": 0.7}),
        ("empty", {"strength": 0.01}),
    ],
)
def test_kinds_never_seen_are_refused_for_their_reason(
    rules: Rules, reason: str, changed: dict[str, float]
) -> None:
    assert told(rules, [cell(seed, **changed) for seed in range(50, 90)])[reason] > 0.8  # type: ignore[arg-type]


def test_embeddings_far_from_all_known_ones_are_refused(rules: Rules) -> None:
    images = [cell(seed) for seed in range(40)]
    far = rules.abstains(images, np.full((40, 6), 30.0))
    assert far[:, list(REASONS).index("unlike")].all()
    broken = rules.abstains(images[:1], np.full((1, 6), np.nan))
    assert broken[0, list(REASONS).index("unlike")]


@pytest.mark.parametrize("count", [0, 700, 65535])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (48, 54), (300, 2)])
def test_images_without_contrast_are_empty(rules: Rules, count: int, size: tuple[int, int]) -> None:
    assert told(rules, [np.full((1, *size), count, np.uint16)])["empty"] == 1


def test_too_few_known_cells_refuse_only_what_is_empty() -> None:
    known = [cell(seed) for seed in range(FEWEST - 1)]
    few = fit_rules(known, embedded(known), None, 0.05)
    assert told(few, [cell(3, radius=2.0), cell(4, blur=6.0)])["any"] == 0
    assert told(few, [np.zeros((1, 9, 9), np.uint16)])["empty"] == 1


def test_a_promise_is_no_stronger_than_the_cells_allow() -> None:
    known = [cell(seed) for seed in range(30)]
    assert fit_rules(known, embedded(known), None, 0.001).false_alarms == 1 / 31


@given(order=st.permutations(range(8)))
@settings(max_examples=10)
def test_a_cell_is_judged_alone(rules: Rules, order: list[int]) -> None:
    mixed = [cell(seed, size=(40 + seed % 3, 50)) for seed in range(8)]
    embeddings = embedded(mixed)
    together = rules.abstains([mixed[k] for k in order], embeddings[list(order)])
    alone = [rules.abstains([mixed[k]], embeddings[[k]])[0] for k in order]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("white", [None, 65535.0])
def test_rules_come_back_as_they_were_written(tmp_path: Path, white: float | None) -> None:
    known = [cell(seed) for seed in range(NEIGHBOUR * 6)]
    rules = fit_rules(known, embedded(known), white, 0.1)
    write_rules(tmp_path, rules)
    again = read_rules(tmp_path)
    assert again.white == white
    assert (again.threshold, again.false_alarms) == (rules.threshold, rules.false_alarms)
    for name in ("reference", "spread", "centre", "reach"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rules, name))
