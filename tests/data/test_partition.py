"""Splits: a partition that tears nothing apart and does not depend on the order of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unstained.config.split import SplitParams
from unstained.data.splits import partition as splits
from unstained.data.splits.partition import PARTS, stable_keys
from unstained.errors import SplitError


class SplitFrame(NamedTuple):
    """A split whose table is a data frame."""

    table: pd.DataFrame
    notes: tuple[str, ...]


FRACTIONS = (0.7, 0.15, 0.15)
STRATEGIES = ("stratified", "grouped")
NO_CLUSTERS = pd.DataFrame({"cell_id": pd.Series(dtype=object), "cluster": pd.Series(dtype=int)})


def make_split(
    cells: pd.DataFrame, clusters: pd.DataFrame, params: SplitParams, seed: int
) -> SplitFrame:
    """`splits.make_split` of data frames."""
    found = splits.make_split(
        pa.Table.from_pandas(cells, preserve_index=False),
        pa.table(
            {
                "cell_id": pa.array(clusters["cell_id"].tolist(), pa.string()),
                "cluster": pa.array(clusters["cluster"].tolist(), pa.int64()),
            }
        ),
        params,
        seed,
    )
    return SplitFrame(found.table.to_pandas().set_index(cells.index), found.notes)


def params(strategy: str, folds: int = 3) -> SplitParams:
    return SplitParams(strategy=strategy, fractions=FRACTIONS, folds=folds)


def population(
    groups_per_class: int, cells: Callable[[int], int], classes: int = 3, external: int = 0
) -> pd.DataFrame:
    """Cells of pure groups; `cells` gives the size of the n-th group."""
    rows = []
    for label in range(classes):
        for group in range(groups_per_class + external):
            name = f"{'abcdef'[label]}_{group:02d}"
            for number in range(cells(group)):
                outside = group >= groups_per_class
                rows.append((f"{name}/{number}", name, "abcdef"[label], outside))
    return pd.DataFrame(rows, columns=["cell_id", "group", "label", "external"])


@st.composite
def populations(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Groups of uneven size, some of several classes, and duplicate clusters anywhere."""
    seed = draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 14, 40)
    cells = population(draw(st.integers(6, 10)), lambda group: int(sizes[group]))
    if draw(st.booleans()):  # some cells of another class in each group
        flip = rng.random(len(cells)) < 0.2
        cells.loc[flip, "label"] = rng.choice(list("abc"), flip.sum())
    number = draw(st.integers(0, 4))
    picked = rng.choice(len(cells), size=(number, 3), replace=False)
    clusters = pd.DataFrame(
        {
            "cell_id": cells["cell_id"].to_numpy()[picked.ravel()],
            "cluster": np.repeat(np.arange(number), 3),
        }
    )
    return cells, clusters


def split_or_skip(
    cells: pd.DataFrame, clusters: pd.DataFrame, strategy: str, seed: int
) -> pd.DataFrame:
    try:
        table = make_split(cells, clusters, params(strategy), seed).table
    except SplitError:  # clusters joined too many groups of a class
        assume(False)
        raise
    return table.merge(cells, on="cell_id")


@settings(max_examples=40, deadline=None)
@given(data=populations(), strategy=st.sampled_from(STRATEGIES), seed=st.integers(0, 99))
def test_invariants(data: tuple[pd.DataFrame, pd.DataFrame], strategy: str, seed: int) -> None:
    cells, clusters = data
    table = split_or_skip(cells, clusters, strategy, seed)
    assert len(table) == len(cells)
    assert set(table["part"]) == set(PARTS)
    assert (table.groupby("label")["part"].nunique() == 3).all(), "all classes in all parts"
    trained = table["part"].isin(["train", "val"])
    assert set(table.loc[trained, "fold"]) == {0, 1, 2}, "folds partition train and val"
    assert (table.loc[~trained, "fold"] == -1).all()
    linked = table.merge(clusters, on="cell_id")
    whole = {"cluster": linked} | ({"group": table} if strategy == "grouped" else {})
    for unit, frame in whole.items():
        assert (frame.groupby(unit)["part"].nunique() == 1).all()
        assert (frame.groupby(unit)["fold"].nunique() == 1).all()


@settings(max_examples=25, deadline=None)
@given(data=populations(), strategy=st.sampled_from(STRATEGIES), seed=st.integers(0, 99))
def test_order_of_rows_does_not_matter(
    data: tuple[pd.DataFrame, pd.DataFrame], strategy: str, seed: int
) -> None:
    cells, clusters = data
    expected = split_or_skip(cells, clusters, strategy, seed).set_index("cell_id")
    rng = np.random.default_rng(seed)
    shuffled = cells.iloc[rng.permutation(len(cells))].reset_index(drop=True)
    renumbered = clusters.iloc[rng.permutation(len(clusters))].reset_index(drop=True)
    renumbered["cluster"] = 90 - renumbered["cluster"]
    found = make_split(shuffled, renumbered, params(strategy), seed).table
    assert found["cell_id"].tolist() == shuffled["cell_id"].tolist()
    columns = ["part", "fold", "reference_part", "reference_fold"]
    pd.testing.assert_frame_equal(
        found.set_index("cell_id").loc[expected.index, columns], expected[columns]
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fractions_are_close_where_groups_are_many(strategy: str) -> None:
    sizes = np.random.default_rng(3).integers(20, 60, 60)
    cells = population(60, lambda group: int(sizes[group]))
    table = make_split(cells, NO_CLUSTERS, params(strategy, folds=5), seed=1).table
    shares = pd.crosstab(cells["label"], table["part"], normalize="index")
    assert np.abs(shares[list(PARTS)].to_numpy() - FRACTIONS).max() < 0.01
    folds = pd.crosstab(cells["label"], table["fold"], normalize="index")[range(5)]
    assert np.abs(folds.to_numpy() - 0.85 / 5).max() < 0.02


def test_demo_sized_data_get_eight_two_two_acquisitions() -> None:
    cells = population(12, lambda group: 48)
    table = make_split(cells, NO_CLUSTERS, params("grouped", folds=5), seed=7).table
    groups = pd.crosstab(cells["label"], table["part"], values=cells["group"], aggfunc="nunique")
    assert (groups["train"] == 8).all()
    assert (groups["val"] == 2).all()
    assert (groups["test"] == 2).all()
    inner = table["fold"] >= 0
    per_fold = cells[inner].groupby([table.loc[inner, "fold"], cells.loc[inner, "label"]])
    assert (per_fold["group"].nunique() == 2).all()


def test_seed_changes_the_partition_and_the_same_seed_repeats_it() -> None:
    cells = population(12, lambda group: 10)
    first, again, other = (
        make_split(cells, NO_CLUSTERS, params("grouped"), seed).table for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["part"] != other["part"]).any()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_reference_is_the_other_strategy(strategy: str) -> None:
    cells = population(12, lambda group: 10)
    other = "grouped" if strategy == "stratified" else "stratified"
    table = make_split(cells, NO_CLUSTERS, params(strategy), seed=5).table
    swapped = make_split(cells, NO_CLUSTERS, params(other), seed=5).table
    assert table["reference_part"].tolist() == swapped["part"].tolist()
    assert table["reference_fold"].tolist() == swapped["fold"].tolist()
    assert (table["part"] != table["reference_part"]).any()


def test_external_cells_are_a_part_of_their_own() -> None:
    cells = population(6, lambda group: 8, external=2)
    table = make_split(cells, NO_CLUSTERS, params("grouped"), seed=0).table
    external = cells["external"]
    assert (table.loc[external, ["part", "reference_part"]] == "external").all(axis=None)
    assert (table.loc[external, ["fold", "reference_fold"]] == -1).all(axis=None)
    assert not table.loc[~external, "part"].eq("external").any()


def test_duplicates_of_external_cells_are_told() -> None:
    cells = population(6, lambda group: 8, external=1)
    clusters = pd.DataFrame({"cell_id": ["a_00/1", "a_06/2"], "cluster": [0, 0]})
    notes = make_split(cells, clusters, params("grouped"), seed=0).notes
    assert any("1 cell that is not external is a duplicate" in note for note in notes)
    assert make_split(cells, NO_CLUSTERS, params("grouped"), seed=0).notes == ()


def test_too_few_groups_are_refused_by_name() -> None:
    cells = population(5, lambda group: 8)
    cells = cells[~cells["group"].isin(["b_02", "b_03", "b_04"])]
    with pytest.raises(SplitError, match=r"class b has 2 independent groups \(b_00, b_01\)") as e:
        make_split(cells, NO_CLUSTERS, params("grouped"), seed=0)
    assert "stratified" in e.value.remedy


def test_groups_joined_by_duplicates_count_as_one() -> None:
    cells = population(3, lambda group: 8)
    clusters = pd.DataFrame({"cell_id": ["c_00/1", "c_01/5"], "cluster": [4, 4]})
    with pytest.raises(SplitError, match=r"class c has 2 independent groups after joining"):
        make_split(cells, clusters, params("grouped", folds=2), seed=0)


def test_stratified_works_where_grouped_cannot_and_says_so() -> None:
    cells = population(2, lambda group: 40)
    result = make_split(cells, NO_CLUSTERS, params("stratified"), seed=0)
    assert result.table["reference_part"].isna().all()
    assert (result.table["reference_fold"] == -1).all()
    assert any("no grouped partition" in note for note in result.notes)


def test_class_of_two_cells_cannot_be_stratified() -> None:
    cells = population(1, lambda group: 30)
    cells = cells.drop(cells.index[cells["label"] == "b"][2:])
    with pytest.raises(SplitError, match="class b has 2 independent cells"):
        make_split(cells, NO_CLUSTERS, params("stratified"), seed=0)


def test_more_folds_than_units_are_refused() -> None:
    cells = population(3, lambda group: 8, classes=2)
    with pytest.raises(SplitError, match="4 independent units, fewer than 5 folds") as error:
        make_split(cells, NO_CLUSTERS, params("grouped", folds=5), seed=0)
    assert "at most 4" in error.value.remedy


def test_stable_keys_depend_on_name_seed_and_purpose_alone() -> None:
    keys = stable_keys(["x", "y", "x"], 1, "p")
    assert keys[0] == keys[2] != keys[1]
    assert stable_keys(["y"], 1, "p")[0] == keys[1]
    assert stable_keys(["x"], 2, "p")[0] != keys[0] != stable_keys(["x"], 1, "q")[0]
    many = stable_keys([str(number) for number in range(20_000)], 0, "p")
    assert abs(many.mean() / 2**64 - 0.5) < 0.01


def test_fewer_folds_or_more_groups_give_every_fold_a_rare_class() -> None:
    """What the stage uncertainty advises where a fold lacks a class."""

    def lacking(folds: int, rare: int) -> list[int]:
        names = [f"g{group:02d}" for group in range(14) for _ in range(10)]
        labels = [
            "b" if cell < 3 and group < rare else "a" for group in range(14) for cell in range(10)
        ]
        cells = pd.DataFrame(
            {
                "cell_id": [f"{name}/{cell}" for cell, name in enumerate(names)],
                "group": names,
                "label": labels,
                "external": False,
            }
        )
        found = make_split(cells, NO_CLUSTERS, params("grouped", folds), 42).table
        held = found.merge(cells, on="cell_id").query("fold >= 0").groupby("fold")["label"]
        return [fold for fold, told in held if "b" not in set(told)]

    assert lacking(5, 4)
    assert not lacking(3, 4)
    assert not lacking(5, 10)
