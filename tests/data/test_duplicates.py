"""Duplicates: every copy is found, different cells are not, and no pair is compared in vain."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from tests.synthetic import make_store
from unstained.data.audit.duplicates import (
    candidate_pairs,
    exact_pairs,
    find_duplicates,
    number_clusters,
    perceptual_hash,
)
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.imaging.axes import Axes

CANVAS = 64


def pack(path: Path, images: list[np.ndarray]) -> CellStore:
    """A store of one acquisition with these images (h, w)."""
    with StoreWriter(path, study="s", axes=Axes(("Ch1",))) as writer:
        cells = [Cell(i, f"{i}.tif", "g", image[None, None]) for i, image in enumerate(images)]
        writer.write(Origin("acq", "a"), cells)
    return CellStore.open(path)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Different cells of three morphologies."""
    path = tmp_path_factory.mktemp("blobs") / "store"
    store = make_store(path, cells_per_group=40, groups_per_class=2)
    return [image[0] for image in store.images(np.arange(len(store)))]


def test_different_cells_are_not_duplicates(blobs: list[np.ndarray], tmp_path: Path) -> None:
    found = find_duplicates(pack(tmp_path / "s", blobs), CANVAS, 8, 500)
    assert len(found.pairs) == 0
    assert (found.cluster == -1).all()


def test_copies_of_every_kind_are_found(blobs: list[np.ndarray], tmp_path: Path) -> None:
    brighter = np.rint(blobs[7] * 1.31).astype(np.uint16)
    coarser = (blobs[9] // 4).astype(np.uint16)
    framed = np.pad(blobs[11], 3, mode="edge")
    images = [*blobs, blobs[3], brighter, blobs[3], coarser, framed]
    found = find_duplicates(pack(tmp_path / "s", images), CANVAS, 4, 500)
    n = len(blobs)
    pairs = {tuple(pair): bool(exact) for pair, exact in zip(found.pairs, found.exact, strict=True)}
    assert pairs == {
        (3, n): True,
        (3, n + 2): True,
        (7, n + 1): False,
        (9, n + 3): False,
        (11, n + 4): False,
    }
    clusters = found.cluster[[3, n, n + 2, 7, n + 1, 9, n + 3, 11, n + 4]]
    assert clusters.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert (np.delete(found.cluster, [3, 7, 9, 11, n, n + 1, n + 2, n + 3, n + 4]) == -1).all()
    assert found.correlation[found.exact].tolist() == [1, 1]
    assert (found.correlation[~found.exact] > 0.99).all()


def test_a_large_cluster_is_one_cluster(blobs: list[np.ndarray], tmp_path: Path) -> None:
    gains = np.linspace(0.5, 1.5, 60)
    images = [np.rint(blobs[0] * gain).astype(np.uint16) for gain in gains] + blobs[1:20]
    found = find_duplicates(pack(tmp_path / "s", images), CANVAS, 6, 500)
    assert (found.cluster[:60] == 0).all()
    assert (found.cluster[60:] == -1).all()
    assert 59 <= len(found.pairs) < 60 * 59 / 2


def test_featureless_images_are_no_near_duplicates(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    blank = [np.full((40, 50), level, np.uint16) for level in (100, 101, 102)]
    noise = [np.rint(100 + rng.normal(0, 2, (40, 50))).astype(np.uint16) for _ in range(200)]
    found = find_duplicates(pack(tmp_path / "s", blank + noise), CANVAS, 8, 500)
    assert len(found.pairs) == 0


def test_result_repeats(blobs: list[np.ndarray], tmp_path: Path) -> None:
    store = pack(tmp_path / "s", [*blobs[:50], *blobs[:10]])
    first, second = (find_duplicates(store, CANVAS, 2, 500) for _ in range(2))
    assert np.array_equal(first.pairs, second.pairs)
    assert np.array_equal(first.cluster, second.cluster)
    assert len(first.pairs) == 10


def test_hash_is_the_sign_of_dct_coefficients() -> None:
    contrast = np.random.default_rng(1).normal(size=(20, 48, 48)).astype(np.float32)
    hashes, signatures = perceptual_hash(contrast)
    for image, found, signature in zip(contrast, hashes, signatures, strict=True):
        coefficients = dctn(image.astype(float), type=2)
        low, wide = coefficients[1:9, 1:9].ravel(), coefficients[1:13, 1:13].ravel()
        bits = low > np.median(low)
        assert int(found) == sum(1 << i for i in range(64) if bits[i])
        assert np.abs(127 * wide / np.linalg.norm(wide) - signature).max() < 0.51


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), distance=st.integers(0, 64), near=st.integers(1, 12))
def test_candidates_are_exactly_the_close_pairs(seed: int, distance: int, near: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**63, 12, dtype=np.uint64)
    flips = np.zeros(40, np.uint64)
    for bit in range(near):
        flips |= (rng.random(40) < 0.5).astype(np.uint64) << np.uint64(bit * 5)
    hashes = base[rng.integers(0, 12, 40)] ^ flips
    found = [tuple(pair) for pairs in candidate_pairs(hashes, distance) for pair in pairs.tolist()]
    wanted = {
        (i, j)
        for i, j in combinations(range(40), 2)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= distance
    }
    assert set(found) == wanted
    assert len(found) == len(wanted), "no pair twice"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25))
def test_clusters_are_connected_components(edges: list[tuple[int, int]]) -> None:
    pairs = np.array([edge for edge in edges if edge[0] != edge[1]], np.int64).reshape(-1, 2)
    cluster = number_clusters(20, pairs)
    reach = np.eye(20, dtype=bool)
    reach[pairs[:, 0], pairs[:, 1]] = reach[pairs[:, 1], pairs[:, 0]] = True
    for _ in range(5):
        reach = reach @ reach
    same = (cluster[:, None] == cluster) & (cluster >= 0)
    lonely = reach.sum(axis=1) == 1
    assert ((cluster == -1) == lonely).all()
    assert (same[~lonely] == reach[~lonely]).all()
    firsts = [int(np.flatnonzero(cluster == c)[0]) for c in range(cluster.max() + 1)]
    assert firsts == sorted(firsts)


def test_exact_pairs_join_each_cell_with_its_first() -> None:
    digests = pa.chunked_array([[c * 64 for c in "af"], [c * 64 for c in "a0af"]])
    pairs, first = exact_pairs(digests)
    assert pairs.tolist() == [[0, 2], [0, 4], [1, 5]]
    assert first.tolist() == [0, 1, 3]


@pytest.mark.realdata
def test_real_tiles_hold_three_copies(jurkat: Path, tmp_path: Path) -> None:
    """The public montages repeat a tile at the end of three phases (published counts: one less)."""
    import tifffile

    store_path, last = tmp_path / "store", {"Anaphase": 16, "Metaphase": 69, "Telophase": 28}
    with StoreWriter(store_path, study="s", axes=Axes(("Ch3",))) as writer:
        for phase, number in last.items():
            montage = tifffile.imread(jurkat / "Experiment_1" / phase / "Ch3_CP0001.tif")
            columns = montage.reshape(30, 40, 30, 40).transpose(2, 0, 1, 3)
            tiles = columns.reshape(900, 40, 40)[:number]
            cells = [Cell(i, phase, phase, tile[None, None].copy()) for i, tile in enumerate(tiles)]
            writer.write(Origin(phase, "M"), cells)
    store = CellStore.open(store_path)
    found = find_duplicates(store, 40, 2, 500)
    ids = store.columns("cell_id")["cell_id"]
    pairs = {(ids[a], ids[b]): bool(e) for (a, b), e in zip(found.pairs, found.exact, strict=True)}
    assert pairs == {
        ("Anaphase/12", "Anaphase/15"): True,
        ("Metaphase/62", "Metaphase/68"): False,
        ("Telophase/25", "Telophase/27"): False,
    }
