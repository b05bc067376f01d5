"""Order against density: populations, slopes and bins against plain references, and the page."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from unstained.config.project import load_params
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.ordering import BINS, Curve, order_against_density
from unstained.evaluation.record import from_plain, to_plain
from unstained.report.page import Plots, Section, Table, Text
from unstained.report.study.ordering import ordering_section

DATA = load_params(ROOT / "params.yaml").studies["mixture"].data
KINDS = ("fibroblast", "muscle", "pluripotent")


def snippets() -> pd.DataFrame:
    """Muscle aligns where it is dense, fibroblasts always, pluripotent cells never."""
    rng, rows = np.random.default_rng(0), []
    for number in range(24):
        kind = number % 3
        for _ in range(20 if kind < 2 else 8):
            covered, noise = rng.uniform(0.4, 1.0), 0.02 * rng.standard_normal()
            order = (0.7, covered - 0.3, 0.0)[kind] + noise
            shares = np.eye(3)[kind] * 0.95
            rows.append((f"m{number}", order, -order / 2, 20 * covered, covered, *shares))
    rows += [("m0", 0.5, -0.2, 9.0, 0.6, 0.5, 0.5, 0.0)] * 3 + [("m1", 0.5, -0.2, 9.0, 0.6)]
    names = ["group", "alignment", "energy", "cells", "covered", *(f"share_{k}" for k in KINDS)]
    return pd.DataFrame(rows, columns=names)


def store(table: pd.DataFrame) -> CellStore:
    schema = SimpleNamespace(names=list(table.columns))
    return cast(CellStore, SimpleNamespace(schema=schema, columns=lambda *n: table[list(n)]))


def curves(table: pd.DataFrame) -> dict[tuple[str, str, str], Curve]:
    found = order_against_density(store(table), DATA, 200, 0.95, 1)
    return {(one.population, one.measure, one.density): one for one in found}


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str, str], Curve]:
    return curves(snippets())


def test_slopes_and_bins_are_those_of_plain_references(found: Any) -> None:
    table = snippets()
    assert {population for population, *_ in found} == set(KINDS)  # three mixed ones are too few
    some = table[table["share_muscle"] > 0.9]
    one = found["muscle", "alignment", "covered"]
    assert one.slope.value == pytest.approx(np.polyfit(some["covered"], some["alignment"], 1)[0])
    assert one.slope.low < 1 < one.slope.high or abs(one.slope.value - 1) < 0.05
    assert one.mean.value == pytest.approx(some["alignment"].mean())
    bins = pd.qcut(some["covered"], BINS)
    np.testing.assert_allclose(
        [each.measured.value for each in one.bins],
        some.groupby(bins, observed=True)["alignment"].mean(),
    )
    assert sum(each.snippets for each in one.bins) == len(some)
    flat = found["fibroblast", "alignment", "covered"].slope
    assert flat.low < 0 < flat.high or abs(flat.value) < 0.05
    assert from_plain(Curve, to_plain(one)) == one


def test_few_groups_have_no_interval_and_no_slope() -> None:
    table = snippets()
    few = curves(table[table["group"].isin(["m1", "m4", "m7", "m10"])])
    one = few["muscle", "energy", "cells"]
    assert math.isnan(one.slope.value)
    assert math.isnan(one.mean.low)
    assert one.mean.value < 0
    assert all(math.isnan(each.measured.low) for each in one.bins)


def test_without_density_or_shares_there_is_nothing_or_one_population() -> None:
    table = snippets()
    assert curves(table.drop(columns=["cells", "covered"])) == {}
    alone = curves(table.drop(columns=[f"share_{kind}" for kind in KINDS]))
    assert {population for population, *_ in alone} == {"mixed"}
    assert ordering_section((), "movies") is None


def test_the_page_says_what_follows_from_density(found: Any) -> None:
    section = ordering_section(tuple(found.values()), "movies")
    assert isinstance(section, Section)
    plots, table, text = section.blocks
    assert isinstance(plots, Plots)
    assert len(plots.pictures) == 4
    assert isinstance(table, Table)
    assert [row[0].text for row in table.rows[:2]] == [
        "fibroblast, order of the texture",
        "fibroblast, energy of neighbours",
    ]
    assert isinstance(text, Text)
    said = " ".join(text.paragraphs)
    start = "Snippets of muscle cells are more aligned where they are denser:"
    assert f"{start} order of the texture changes by +0.10" in said
    assert f"{start} energy of neighbours changes by −0.05" in said
