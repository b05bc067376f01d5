"""When a model should not be asked: cells unlike those that it was judged on.

Five numbers tell how usual a cell is. Four are of its image, of the deviation d of counts from the
image's own border in units of the level that contrast is relative to (imaging/background.py),
averaged over 2 x 2 pixels, with e the sum of d^2 over planes:

- contrast: root of sum e^2 / sum e, the deviation where the cell is; an empty image has none.
- sharpness: root of the share of the energy between 4 and 8 pixels (a difference of box means);
  little where out of focus. Finer structure is the camera's noise as well.
- extent: (sum e)^2 / sum e^2, the pixels that hold the energy (a participation ratio); little of
  debris, much of a clump.
- elongation: long over short axis of e as of a body's mass; much of two cells beside each other.

The fifth is the distance of the embedding to the k-th nearest of reference cells, in standard
deviations of each feature (Sun et al. 2022, arXiv:2204.06507).

Validation cells are the reference: of each number their median and the ends that hold four fifths
make a scale, the largest departure on it is a cell's score, and one threshold on that score is
passed by a stated share of cells like them, however the numbers hang together. Distances among the
reference leave the cell itself out. Numpy only: the rules travel with the model to servers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from unstained.artifact.artifact import ABSTENTION_FILE
from unstained.imaging.background import border_background, levels

Floats = npt.NDArray[np.float64]

REASONS: Final[Mapping[str, str]] = {
    "empty": "less contrast than in known cells: nothing to see",
    "contrast": "more contrast than in known cells",
    "defocus": "less sharp than known cells: out of focus",
    "noise": "grainier than known cells",
    "debris": "smaller than known cells: a fragment or debris",
    "clump": "larger than known cells: a clump",
    "several": "longer than known cells: several beside each other",
    "unlike": "unlike the cells that the model knows",
}
"""Reason -> words."""
ENDS_OF: Final = (
    ("empty", "contrast"),
    ("defocus", "noise"),
    ("debris", "clump"),
    (None, "several"),
    (None, "unlike"),
)
"""Reasons at the lower and upper end of each number."""

REFERENCE_CELLS: Final = 256
"""Validation cells at the most that rules rest on."""
FEWEST: Final = 20
"""Validation cells below which the ends of what is usual cannot be told."""
NEIGHBOUR: Final = 5
NUMBERS: Final = len(ENDS_OF)
USUAL: Final = (0.1, 0.9)
"""Quantiles that make the scale: narrow, so that debris among the reference does not stretch it."""
LEAST: Final = 1e-9


@dataclass(frozen=True)
class Rules:
    """What is usual, from validation cells.

    Attributes:
        reference: (n, D) embeddings in units of `spread`.
        spread: (D,) standard deviation of each feature, 1 where it is 0.
        centre: (5,) medians of contrast, sharpness, extent, elongation and distance (logarithms).
        reach: (2, 5) from the median to the lower and to the upper end.
        threshold: of the score; infinite where validation cells were too few.
        false_alarms: share of cells like the validation cells that pass the threshold, at most.
        white: counts of white, where contrast is relative to it.
    """

    reference: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    centre: Floats
    reach: Floats
    threshold: float
    false_alarms: float
    white: float | None

    def abstains(self, images: Sequence[np.ndarray], embeddings: np.ndarray) -> np.ndarray:
        """Judge cells.

        Args:
            images: B images (P, h, w), raw counts as the instrument wrote them.
            embeddings: (B, D).

        Returns:
            (B, R) bool in the order of `REASONS`.
        """
        told = measures(images, self.white)
        distances = self._distances(np.asarray(embeddings, np.float32) / self.spread)
        unusual = self.departures(np.column_stack([told, distances])) > self.threshold
        found = {name: np.zeros(len(images), bool) for name in REASONS}
        for number, ends in enumerate(ENDS_OF):
            for end, name in enumerate(ends):
                if name is not None:
                    found[name] = unusual[:, end, number]
        found["empty"] |= told[:, 0] < math.log(LEAST) + 1
        found["unlike"] |= ~np.isfinite(embeddings).all(axis=1)
        return np.stack([*found.values()], axis=1)

    def departures(self, numbers: Floats) -> Floats:
        """How far numbers (B, 5) lie below and above what is usual, (B, 2, 5)."""
        away = numbers - self.centre
        found = np.stack([-away / self.reach[0], away / self.reach[1]], axis=1)
        for number, (lower, _) in enumerate(ENDS_OF):
            if lower is None:
                found[:, 0, number] = 0
        return found

    def _distances(self, scaled: npt.NDArray[np.float32]) -> Floats:
        """(B,) logarithm of the distance to the k-th nearest of the reference."""
        return np.log(_kth(_between(scaled, self.reference), NEIGHBOUR) + LEAST)


def fit_rules(
    images: Sequence[np.ndarray], embeddings: np.ndarray, white: float | None, rate: float
) -> Rules:
    """What is usual among cells.

    Args:
        images: n validation cells (P, h, w), raw counts.
        embeddings: (n, D) of them.
        white: counts of white, where contrast is relative to it.
        rate: share of such cells that may be refused; no less than 1 / (n + 1) can be promised.
    """
    count = len(images)
    values = np.asarray(embeddings, np.float32)
    spread = values.std(axis=0) if count else np.ones(values.shape[1], np.float32)
    spread = np.where(spread > 0, spread, 1).astype(np.float32)
    reference = values / spread
    if count < FEWEST:
        nothing = (np.zeros(NUMBERS), np.ones((2, NUMBERS)), math.inf, 0.0)
        return Rules(reference[:0], spread, *nothing, white)
    apart = _between(reference, reference)
    np.fill_diagonal(apart, np.inf)
    distances = np.log(_kth(apart, NEIGHBOUR) + LEAST)
    numbers = np.column_stack([measures(images, white), distances])
    centre = np.median(numbers, axis=0)
    low, high = np.quantile(numbers, USUAL, axis=0)
    reach = np.maximum(np.stack([centre - low, high - centre]), LEAST)
    rules = Rules(reference, spread, centre, reach, math.inf, max(rate, 1 / (count + 1)), white)
    scores = np.sort(rules.departures(numbers).max(axis=(1, 2)))
    rank = min(count, math.ceil(round((count + 1) * (1 - rate), 9)))
    return Rules(
        reference, spread, centre, reach, float(scores[rank - 1]), rules.false_alarms, white
    )


def measures(images: Sequence[np.ndarray], white: float | None) -> Floats:
    """What images tell, beside their embedding.

    Args:
        images: B images (P, h, w) of any sizes, raw counts.
        white: counts of white, where contrast is relative to it.

    Returns:
        (B, 4) logarithms of contrast, sharpness, extent and elongation.
    """
    found = np.empty((len(images), NUMBERS - 1))
    shapes: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        shapes.setdefault(image.shape, []).append(number)
    for rows in shapes.values():
        found[rows] = _of_one_size(np.stack([images[row] for row in rows]), white)
    return found


def write_rules(folder: Path, rules: Rules) -> None:
    """Write the rules into an artifact."""
    numbers = [
        rules.threshold,
        rules.false_alarms,
        math.nan if rules.white is None else rules.white,
    ]
    arrays: dict[str, npt.NDArray[Any]] = {
        "reference": np.ascontiguousarray(rules.reference, np.float32),
        "spread": rules.spread,
        "centre": rules.centre,
        "reach": rules.reach,
        "numbers": np.array(numbers),
    }
    save_file(arrays, folder / ABSTENTION_FILE)
    (folder / ABSTENTION_FILE).chmod(0o644)  # a server runs as somebody else


def read_rules(folder: Path) -> Rules:
    """Rules of a verified artifact."""
    arrays = load_file(folder / ABSTENTION_FILE)
    threshold, false_alarms, white = map(float, arrays.pop("numbers"))
    return Rules(
        **arrays,
        threshold=threshold,
        false_alarms=false_alarms,
        white=None if math.isnan(white) else white,
    )


def _of_one_size(images: np.ndarray, white: float | None) -> Floats:
    """(B, P, h, w) raw counts to (B, 4), see `measures`."""
    border = border_background(images)[:, :, None, None]
    level = np.maximum(levels(images, white), 1)[:, :, None, None]
    d = _binned((images.astype(np.float32) - border) / level)
    energy = np.square(d).sum(axis=1)
    whole = energy.sum(axis=(1, 2), dtype=np.float64)
    held = np.maximum(whole, LEAST**2)
    square = np.square(energy).sum(axis=(1, 2), dtype=np.float64)
    elongation = _elongation(energy, held)
    smooth = _means(d, 1)
    band = smooth[..., 1:-1, 1:-1] - _means(smooth, 2)
    fine = np.square(band).sum(axis=(1, 2, 3), dtype=np.float64)
    contrast = np.sqrt(square / held)
    extent = whole**2 / np.maximum(square, LEAST**4)
    told = np.column_stack([contrast, np.sqrt(fine / held), extent, elongation])
    return np.asarray(np.log(np.maximum(told, LEAST)))


def _means(images: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    """Means of each pixel, that `step` rows below, and those `step` columns right of both."""
    pairs = images[..., :-step, :] + images[..., step:, :]
    return np.asarray((pairs[..., :-step] + pairs[..., step:]) / 4, np.float32)


def _elongation(energy: npt.NDArray[np.float32], held: Floats) -> Floats:
    """(B, h, w) energy and its sums to (B,): long axis over short axis of its second moments."""
    by_row, by_column = energy.sum(axis=2, dtype=np.float64), energy.sum(axis=1, dtype=np.float64)
    y, x = (np.arange(size, dtype=np.float64) for size in energy.shape[1:])
    row, column = by_row @ y / held, by_column @ x / held
    vertical = by_row @ y**2 / held - row**2
    horizontal = by_column @ x**2 / held - column**2
    across = (energy.astype(np.float64) @ x * y).sum(axis=1) / held - row * column
    middle, half = (vertical + horizontal) / 2, np.hypot((vertical - horizontal) / 2, across)
    return np.asarray(np.sqrt((middle + half) / np.maximum(middle - half, LEAST)))


def _binned(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Means over 2 x 2 pixels; small images are continued by their edges to 4 x 4 of these."""
    rows, columns = (max(8, size + size % 2) - size for size in images.shape[-2:])
    if rows or columns:
        images = np.pad(images, ((0, 0), (0, 0), (0, rows), (0, columns)), mode="edge")
    pairs = images[..., ::2, :] + images[..., 1::2, :]
    return np.asarray((pairs[..., ::2] + pairs[..., 1::2]) / 4, np.float32)


def _between(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> Floats:
    """(B, n) Euclidean distances of (B, D) and (n, D)."""
    products = (left @ right.T).astype(np.float64)
    own, others = (np.square(side.astype(np.float64)).sum(axis=1) for side in (left, right))
    return np.asarray(np.sqrt(np.maximum(own[:, None] + others[None] - 2 * products, 0)))


def _kth(distances: Floats, k: int) -> Floats:
    """(B, n) to (B,): the k-th smallest of each row; 0 where nothing is known."""
    if not distances.shape[1]:
        return np.zeros(len(distances))
    return np.asarray(np.partition(distances, min(k, distances.shape[1]) - 1, axis=1)[:, k - 1])
