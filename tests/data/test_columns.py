"""Columns in compact form say the same as plain lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import make_store
from unstained.data.store.columns import BATCH, encode, numbers, places, read_columns, strings

CHUNKS = st.lists(st.lists(st.sampled_from(["b", "a", "ü", "", "zz"]), max_size=6), max_size=4)


def column(chunks: list[list[str]]) -> pa.ChunkedArray:
    return pa.chunked_array(chunks, type=pa.string())


@given(CHUNKS)
def test_codes_mean_the_strings_and_are_sorted(chunks: list[list[str]]) -> None:
    flat = [value for chunk in chunks for value in chunk]
    codes, names = encode(column(chunks))
    assert names == sorted(set(flat))
    assert [names[code] for code in codes] == flat
    assert codes.dtype == np.int32


@given(CHUNKS, st.lists(st.sampled_from(["a", "zz", "other"]), unique=True))
def test_places_are_positions_in_the_values(chunks: list[list[str]], values: list[str]) -> None:
    flat = [value for chunk in chunks for value in chunk]
    expected = [values.index(value) if value in values else -1 for value in flat]
    assert places(column(chunks), values).tolist() == expected


def test_strings_come_in_order_over_batches() -> None:
    plain = [str(number) for number in range(2 * BATCH + 5)]
    assert list(strings(column([plain[:9], plain[9:]]))) == plain


def test_columns_of_a_store(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=5, groups_per_class=2)
    table = read_columns(store, "group", "background")
    assert table["group"].to_pylist() == store.table["group"].tolist()
    np.testing.assert_array_equal(numbers(table["background"]), store.table["background"])
