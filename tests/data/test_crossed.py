"""Crossed partitions keep movies and regions apart at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tests.data.test_partition import NO_CLUSTERS, SplitFrame, make_split
from unstained.config.split import SplitParams
from unstained.errors import SplitError

CROSSED = SplitParams(strategy="crossed", fractions=(0.6, 0.15, 0.25), folds=5)


def snippets(movies: int = 6, regions: int = 25, windows: int = 4) -> pd.DataFrame:
    rows = [
        (
            f"m{movie}/{window * regions + region}",
            f"m{movie}/r{region // 5}c{region % 5}",
            "a",
            False,
        )
        for movie in range(movies)
        for window in range(windows)
        for region in range(regions)
    ]
    return pd.DataFrame(rows, columns=["cell_id", "group", "label", "external"])


def parts_of(cells: pd.DataFrame, found: SplitFrame, which: int) -> dict[str, set[str]]:
    """Part -> movies (0) or regions (1) of its cells, without those between parts."""
    factor = cells["group"].str.split("/").str[which]
    part = found.table["part"]
    return {name: set(factor[part == name]) for name in ("train", "val", "test")}


def test_parts_share_neither_a_movie_nor_a_region() -> None:
    cells = snippets()
    found = make_split(cells, NO_CLUSTERS, CROSSED, 7)
    for which in (0, 1):
        parts = list(parts_of(cells, found, which).values())
        assert all(parts)
        assert len(set.union(*parts)) == sum(map(len, parts))
    part = found.table["part"]
    assert set(part) == {"train", "val", "test", "between"}
    used = part[part != "between"]
    assert used.value_counts(normalize=True)["train"] == pytest.approx(0.6, abs=0.1)
    assert (found.table["fold"] == -1).all()
    assert f"{(part == 'between').sum():,} of 600 cells lie between parts" in found.notes[-1]
    assert set(found.table["reference_part"]) == {"train", "val", "test"}  # the random one


def test_the_order_of_rows_does_not_matter_and_the_seed_does() -> None:
    cells = snippets()
    found = make_split(cells, NO_CLUSTERS, CROSSED, 7).table["part"]
    mixed = cells.sample(frac=1, random_state=0)
    assert make_split(mixed, NO_CLUSTERS, CROSSED, 7).table["part"].sort_index().equals(found)
    assert not make_split(cells, NO_CLUSTERS, CROSSED, 8).table["part"].equals(found)


def test_copies_in_two_parts_lie_between() -> None:
    cells = snippets()
    part = make_split(cells, NO_CLUSTERS, CROSSED, 7).table["part"]
    pair = [np.flatnonzero(part == name)[0] for name in ("train", "test")]
    pair += np.flatnonzero(part == "val")[:2].tolist()
    ids = cells["cell_id"].iloc[pair].tolist()
    clusters = pd.DataFrame({"cell_id": ids, "cluster": [0, 0, 1, 1]})
    after = make_split(cells, clusters, CROSSED, 7).table["part"]
    assert after.iloc[pair].tolist() == ["between", "between", "val", "val"]


def test_what_has_no_times_and_places_is_refused() -> None:
    with pytest.raises(SplitError, match="there are 2 movies"):
        make_split(snippets(movies=2), NO_CLUSTERS, CROSSED, 7)
    whole = snippets().assign(group=lambda table: table["group"].str.split("/").str[0])
    with pytest.raises(SplitError, match="only regions of movies"):
        make_split(whole, NO_CLUSTERS, CROSSED, 7)
    with pytest.raises(ValidationError, match="no folds"):
        SplitParams(strategy="crossed", fractions=(0.6, 0.15, 0.25), folds=5, rotate=True)
