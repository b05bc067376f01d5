"""Cells that occur twice: the same pixels, or nearly the same.

Exact duplicates share the digest of their pixels. Near-duplicates are found without a loop over all
pairs: a 64-bit perceptual hash of the contrast canvas (signs of low DCT frequencies against their
median; Zauner 2010, "Implementation and benchmarking of perceptual image hash functions") and the
DCT coefficients propose pairs, normalised cross-correlation of the pixels decides. Contrast is
relative to the background, so a copy with another gain or bit depth is found; one that is turned,
mirrored, shifted, cropped or recoloured is another kind (audit/augmented.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from unstained.data.audit.augmented import augmented_pairs
from unstained.data.canvas import Canvases, iter_canvases, place
from unstained.data.store.cell_store import CellStore
from unstained.data.store.columns import read_columns, strings
from unstained.progress import progress

HASH_FREQUENCIES: Final = 8
"""DCT frequencies 1 to 8 along either axis: 64 bits. Frequency 0 is illumination."""

FREQUENCIES: Final = 12
"""Frequencies 1 to 12 along either axis are kept as a signature of 144 bytes."""

MIN_SIGNATURE: Final = 0.997
"""Least correlation of two signatures for the pixels to be read. 99 % of copies that are rounded
to a tenth of the levels reach it; without it smooth cells would be read again and again."""

MIN_CORRELATION: Final = 0.99
"""Least correlation of the pixels of near-duplicates. Among 3,400 imaging-flow-cytometry cells the
most similar different ones reach 0.97; copies that are rounded reach 0.995 and more."""

HASH_CELLS: Final = 512
PAIRS_AT_ONCE: Final = 512


@dataclass(frozen=True)
class Duplicates:
    """Pairs that establish clusters of duplicate cells, and the clusters.

    A cluster of m cells is listed by m - 1 or a few more pairs, not by all of them.

    Attributes:
        pairs: (M, 2) int64 rows, the smaller first, sorted.
        exact: (M,) bool: the pixels are identical.
        augmented: (M,) bool: one is a turned, mirrored, shifted, cropped or recoloured copy.
        correlation: (M,) float32 normalised cross-correlation; 1 where exact.
        cluster: (N,) int32 number of the cluster, in order of its first row; -1 for cells that
            have no duplicate.
    """

    pairs: np.ndarray
    exact: np.ndarray
    augmented: np.ndarray
    correlation: np.ndarray
    cluster: np.ndarray


def find_duplicates(
    store: CellStore, canvas: int, distance: int, augmented_cells: int
) -> Duplicates:
    """Find duplicates among all cells of a store.

    Memory is bounded by one batch of cells and 152 bytes a cell, and what augmented copies need.

    Args:
        store: the cells.
        canvas: side in pixels of the square that is compared.
        distance: bits in which the hashes of near-duplicates may differ, 0 to 64.
        augmented_cells: cells among which augmented copies are looked for, at the most, spread
            evenly over all.
    """
    exact, representative = exact_pairs(read_columns(store, "sha256")["sha256"])
    hashes, signatures = _hash_cells(store, representative, canvas)
    near, correlation = _confirmed(store, representative, hashes, signatures, canvas, distance)
    known = np.concatenate([exact, near])
    copies, likeness = _augmented(store, representative, known, augmented_cells)
    pairs = np.concatenate([known, copies])
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    kinds = np.repeat([0, 1, 2], [len(exact), len(near), len(copies)])[order]
    alike = [np.ones(len(exact), np.float32), correlation, likeness]
    return Duplicates(
        pairs=pairs[order],
        exact=kinds == 0,
        augmented=kinds == 2,
        correlation=np.concatenate(alike)[order],
        cluster=number_clusters(len(store), pairs),
    )


def _augmented(
    store: CellStore, rows: np.ndarray, known: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Augmented copies among some cells, those left out that are other duplicates already."""
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    pairs, likeness = augmented_pairs(store, rows)
    component = _components(len(store), known)
    new = component[pairs[:, 0]] != component[pairs[:, 1]]
    return pairs[new], likeness[new]


def exact_pairs(digests: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of equal digests, each cell with the first of its kind.

    Args:
        digests: (N,) sha256 as hexadecimal strings.

    Returns:
        (M, 2) int64 pairs and the (R,) int64 rows that are the first of their kind.
    """
    raw = b"".join(bytes.fromhex(digest) for digest in strings(digests))
    words = np.frombuffer(raw, ">u8").reshape(-1, 4)
    _, first, code = np.unique(words, axis=0, return_index=True, return_inverse=True)
    later = np.flatnonzero(first[code] != np.arange(len(code)))
    pairs = np.stack([first[code[later]], later], axis=1).astype(np.int64)
    return pairs, np.sort(first).astype(np.int64)


def number_clusters(count: int, pairs: np.ndarray) -> np.ndarray:
    """Connected components of `pairs` among `count` rows; -1 for rows without a pair."""
    component = _components(count, pairs)
    cluster = np.full(count, -1, np.int32)
    member = np.unique(pairs)
    _, first, inverse = np.unique(component[member], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    cluster[member] = rank[inverse]
    return cluster


def _components(count: int, pairs: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (count, count))
    return np.asarray(connected_components(edges, directed=False)[1])


def perceptual_hash(contrast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash and low-frequency signature of contrast canvases.

    Args:
        contrast: (B, S, S) float32, the mean over planes.

    Returns:
        (B,) uint64, bit i set where coefficient i of the lowest 64 exceeds their median; and
        (B, 144) int8, coefficients scaled to unit length times 127, 0 for a featureless canvas.
    """
    side = contrast.shape[-1]
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    basis = np.cos(np.pi * frequency * (np.arange(side) + 0.5) / side).astype(np.float32)
    coefficients = basis @ contrast @ basis.T
    lowest = coefficients[:, :HASH_FREQUENCIES, :HASH_FREQUENCIES].reshape(len(contrast), -1)
    bits = lowest > np.median(lowest, axis=1, keepdims=True)
    hashes = np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0]
    values = coefficients.reshape(len(contrast), -1)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    signature = np.rint(127 * values / np.where(length > 0, length, 1))
    return hashes.astype(np.uint64), signature.astype(np.int8)


def _hash_cells(store: CellStore, rows: np.ndarray, canvas: int) -> tuple[np.ndarray, np.ndarray]:
    hashes = np.empty(len(rows), np.uint64)
    signatures = np.empty((len(rows), FREQUENCIES**2), np.int8)
    start = 0
    with progress("look for duplicates", len(rows), "cells") as advance:
        for part, cells in iter_canvases(store, rows, canvas, HASH_CELLS):
            stop = start + len(part)
            contrast = cells.contrast(slice(None), 1.0).mean(dim=1).numpy()
            hashes[start:stop], signatures[start:stop] = perceptual_hash(contrast)
            start = stop
            advance(len(part))
    return hashes, signatures


def candidate_pairs(hashes: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Pairs of hashes that differ in at most `distance` bits, each pair once.

    Multi-index hashing: with distance + 1 bands of bits, such a pair agrees in at least one band
    (Norouzi, Punjani and Fleet 2014), so only cells of one bucket are compared. Memory is bounded
    by the number of hashes.

    Args:
        hashes: (n,) uint64.
        distance: 0 to 64 bits.

    Yields:
        (m, 2) int64 positions in `hashes`, m at least 1.
    """
    bands = _bands(distance)
    for number, band in enumerate(bands):
        key = hashes & band
        order = np.argsort(key, kind="stable")
        key, sorted_hashes = key[order], hashes[order]
        left = np.arange(len(order))
        for gap in range(1, len(order)):
            left = left[left + gap < len(order)]
            left = left[key[left] == key[left + gap]]
            if not len(left):
                break
            difference = sorted_hashes[left] ^ sorted_hashes[left + gap]
            wanted = np.bitwise_count(difference) <= distance
            for earlier in bands[:number]:
                wanted &= (difference & earlier) != 0
            found = left[wanted]
            if len(found):
                yield np.sort(np.stack([order[found], order[found + gap]], axis=1), axis=1)


def _bands(distance: int) -> list[np.uint64]:
    """Masks of distance + 1 disjoint bands; one empty mask where there are too few bits."""
    if distance >= 64:
        return [np.uint64(0)]
    edges = np.linspace(0, 64, distance + 2).astype(int)
    return [np.uint64((1 << int(b)) - (1 << int(a))) for a, b in pairwise(edges)]


def _confirmed(
    store: CellStore,
    rows: np.ndarray,
    hashes: np.ndarray,
    signatures: np.ndarray,
    canvas: int,
    distance: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Near-duplicate pairs of rows (M, 2) and their correlation (M,).

    A pair whose cells are already in one cluster is not looked at again, so that a cluster of m
    cells costs about m comparisons of pixels and not m squared.
    """
    seen = np.flatnonzero(signatures.any(axis=1))
    pairs, correlations = np.empty((0, 2), np.int64), np.empty(0, np.float32)
    component = np.arange(len(rows))
    for candidates in candidate_pairs(hashes[seen], distance):
        candidates = seen[candidates]
        candidates = candidates[_alike(signatures, candidates)]
        for start in range(0, len(candidates), PAIRS_AT_ONCE):
            part = candidates[start : start + PAIRS_AT_ONCE]
            part = part[component[part[:, 0]] != component[part[:, 1]]]
            if not len(part):
                continue
            correlation = _correlations(store, rows[part], canvas)
            same = correlation >= MIN_CORRELATION
            if same.any():
                pairs = np.concatenate([pairs, part[same]])
                correlations = np.concatenate([correlations, correlation[same]])
                component = _components(len(rows), pairs)
    return rows[pairs], correlations


def _alike(signatures: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    a = signatures[pairs[:, 0]].astype(np.float32)
    b = signatures[pairs[:, 1]].astype(np.float32)
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) >= MIN_SIGNATURE * length)


def _correlations(store: CellStore, pairs: np.ndarray, canvas: int) -> np.ndarray:
    """Normalised cross-correlation of the pairs' contrast canvases, (m,) float32."""
    rows, position = np.unique(pairs, return_inverse=True)
    cells = place(store.images(rows), canvas, store.white)
    values = _standardised(cells)
    first, second = position.reshape(pairs.shape).T
    return np.asarray((values[first] * values[second]).sum(axis=1))


def _standardised(cells: Canvases) -> np.ndarray:
    """Contrast of all channels as unit vectors without mean, (n, C*S*S) float32."""
    values = cells.contrast(slice(None), 1.0).flatten(1).numpy()
    values = values - values.mean(axis=1, keepdims=True)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))
