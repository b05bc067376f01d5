"""Great Expectations over the cell table.

The suite is built from the table's schema and the study. What passes is our rule: every
expectation holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # must be set before the import: nothing is sent

import great_expectations as gx
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaSectionView

from unstained.config.study import StudyData
from unstained.data.audit.data_docs import Failure, Validation, page
from unstained.data.store.schema import COLUMNS, MARKER_PREFIX

if TYPE_CHECKING:
    import pandas as pd

    Reader = Callable[..., pd.DataFrame]

gxe: Any = gx.expectations

MIN_SIDE: Final = 8
"""Pixels: smaller images hold no cell that could be told from another."""

MAX_SATURATED: Final = 0.05
MOSTLY_UNSATURATED: Final = 0.95
"""At least this share of cells has at most MAX_SATURATED of its pixels saturated."""

LARGEST: Final = 1e15
"""Integrated fluorescence stays far below; infinity does not."""

SHOWN: Final = 10
"""Rows that a failed expectation names."""

RESULT_FORMAT: Final = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": SHOWN,
    "return_unexpected_index_query": False,
}


@dataclass(frozen=True)
class _Check:
    """Expectations of one frame.

    Attributes:
        title: heading on the page.
        read: gives the frame; called once.
        expectations: what must hold of it.
        name: names of its rows, by position.
    """

    title: str
    read: Callable[[], pd.DataFrame]
    expectations: list[Any]
    name: Callable[[list[int]], list[str]]


def check_table(
    read: Reader, columns: Collection[str], data: StudyData, min_cells: int
) -> Validation:
    """Check the cell table of a study, a column at a time, so that memory holds one column.

    Args:
        read: gives columns of `data.store.schema` by name, one row a cell, e.g.
            `CellStore.columns`.
        columns: names of the columns that exist.
        data: the study: class names, markers and targets.
        min_cells: cells that every class needs, external ones left out.
    """
    markers = [MARKER_PREFIX + name for name in data.markers]
    wanted = dict.fromkeys([*COLUMNS, *markers, *(rule.column for rule in data.targets)])
    cells = partial(_cell_names, read, columns)
    checks = []
    missing = [name for name in wanted if name not in columns]
    if missing:
        empty = partial(_empty, columns)
        checks.append(_Check("Missing columns", empty, _existence(missing), cells))
    every = [*_existence(wanted), *_cell_expectations(data)]
    for names, expectations in _by_columns(every).items():
        if set(names) <= set(columns):
            checks.append(_Check("Cells", partial(read, *names), expectations, cells))
    if data.class_names and {"label", "external"} <= set(columns):
        classes = partial(_class_table, read, data)
        naming = partial(_pick_class, read, data)
        checks.append(_Check("Classes", classes, _class_expectations(min_cells), naming))
    if data.targets:
        targets = partial(_target_table, read, columns, data)
        naming = partial(_pick, data.target_names)
        checks.append(_Check("Targets", targets, _target_expectations(), naming))
    results = _validate(checks)
    failures = [
        _failure(item, check)
        for check, result in zip(checks, results, strict=True)
        for item in result.results
        if not item.success
    ]
    count = sum(len(result.results) for result in results)
    html = page(data.title, count, failures, _sections(checks, results))
    return Validation(count, tuple(failures), html)


def _validate(checks: Sequence[_Check]) -> list[Any]:
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source: Any = context.data_sources.add_pandas("cells")
    results = []
    for number, check in enumerate(checks):
        asset = source.add_dataframe_asset(str(number))
        frame = check.read()
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        suite = gx.ExpectationSuite(str(number), expectations=check.expectations)
        results.append(batch.validate(suite, result_format=RESULT_FORMAT))
        # The engine would keep every frame that it has seen.
        batches = source.get_execution_engine().batch_manager
        batches.reset_batch_cache()
        batches.batch_data_cache.clear()
    return results


def _empty(columns: Collection[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=list(columns))


def _pick(names: Sequence[str], rows: list[int]) -> list[str]:
    return [names[row] for row in rows]


def _pick_class(read: Reader, data: StudyData, rows: list[int]) -> list[str]:
    return _pick(_class_table(read, data)["label"].tolist(), rows)


def _cell_names(read: Reader, columns: Collection[str], rows: list[int]) -> list[str]:
    """Ids and source files of cells, where the table has them."""
    if not rows or not {"cell_id", "source_file"} <= set(columns):
        return [f"row {row}" for row in rows]
    named = read("cell_id", "source_file").iloc[rows]
    return [f"{cell} ({file})" for cell, file in named.itertuples(index=False)]


def _by_columns(expectations: Iterable[Any]) -> dict[tuple[str, ...], list[Any]]:
    """Expectations by the columns that they read."""
    grouped: dict[tuple[str, ...], list[Any]] = {}
    for expectation in expectations:
        single = getattr(expectation, "column", None)
        names = (single,) if single else (expectation.column_A, expectation.column_B)
        grouped.setdefault(names, []).append(expectation)
    return grouped


def _class_table(read: Reader, data: StudyData) -> pd.DataFrame:
    import pandas as pd

    table = read("label", "external")
    external = table["external"].astype(bool)
    inner, outer = (table.loc[rows, "label"].value_counts() for rows in (~external, external))
    names = [name for name in data.class_names if inner.get(name, 0) or not outer.get(name, 0)]
    return pd.DataFrame({"label": names, "cells": [int(inner.get(name, 0)) for name in names]})


def _class_expectations(min_cells: int) -> list[Any]:
    text = (
        f"Every class has at least {min_cells} cells that are not external, or external ones alone"
    )
    return [_between("cells", text, min_value=min_cells)]


def _target_table(read: Reader, columns: Collection[str], data: StudyData) -> pd.DataFrame:
    import pandas as pd

    cells = [
        int(read(rule.column)[rule.column].count()) if rule.column in columns else 0
        for rule in data.targets
    ]
    return pd.DataFrame({"target": list(data.target_names), "cells": cells})


def _target_expectations() -> list[Any]:
    return [_between("cells", "Every target is recorded for at least one cell", min_value=1)]


def _existence(wanted: Iterable[str]) -> list[Any]:
    return [
        gxe.ExpectColumnToExist(column=name, description=f"Column {name} exists") for name in wanted
    ]


def _cell_expectations(data: StudyData) -> list[Any]:
    """What the cells' columns must hold, those of a column together."""
    markers = [MARKER_PREFIX + name for name in data.markers]
    return [*_types(), *_identities(data), *_pixels(data), *_fluorescence(markers, data)]


def _types() -> list[Any]:
    names = {"string": "str"}
    return [
        gxe.ExpectColumnValuesToBeOfType(
            column=name,
            type_=names.get(kind, kind),
            description=f"Column {name} holds {kind} values",
        )
        for name, kind in COLUMNS.items()
    ]


def _identities(data: StudyData) -> list[Any]:
    classes = list(data.class_names)
    told = ("label",) if data.classes else ()  # rules on directories leave no cell without a class
    filled = [
        gxe.ExpectColumnValuesToNotBeNull(column=name, description=f"Every cell has its {name}")
        for name in ("cell_id", "acquisition", "group", *told, "source_file", "sha256", "block")
    ]
    known = [
        gxe.ExpectColumnValuesToBeInSet(
            column="label",
            value_set=classes,
            description=f"The label is one of {', '.join(classes)}",
        )
    ]
    return [
        *filled,
        gxe.ExpectColumnValuesToBeUnique(column="cell_id", description="No cell_id occurs twice"),
        *(known if classes else ()),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sha256",
            regex="^[0-9a-f]{64}$",
            description="sha256 is 64 hexadecimal digits",
        ),
        _between("object_index", "object_index is not negative", min_value=0),
        _between("row", "row is not negative", min_value=0),
    ]


def _between(column: str, description: str, **limits: Any) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(column=column, description=description, **limits)


def _pixels(data: StudyData) -> list[Any]:
    """Of a cell's statistics. Stained colour is measured against white, and may end in black."""
    dark = data.normalise == "rgb"
    ordered = [("maximum", "mean"), ("mean", "minimum"), ("maximum", "background")]
    statistics = ("mean", "std", "minimum", "maximum", "background", "background_mad", "saturated")
    return [
        *(
            _between(c, f"{c} is at least {MIN_SIDE} px", min_value=MIN_SIDE)
            for c in ("height", "width")
        ),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=c, description=f"Every cell has its {c}")
            for c in (*statistics, "sharpness")
        ),
        _between(
            "background",
            f"The background is {'not negative' if dark else 'above 0 counts'}",
            min_value=0,
            strict_min=not dark,
        ),
        _between("std", "No image is blank: std is above 0", min_value=0, strict_min=True),
        _between("background_mad", "background_mad is not negative", min_value=0),
        _between("sharpness", "sharpness is finite", min_value=0, max_value=LARGEST),
        _between(
            "saturated",
            f"At most {MAX_SATURATED:.0%} of the pixels are saturated in at least "
            f"{MOSTLY_UNSATURATED:.0%} of the cells",
            min_value=0,
            max_value=MAX_SATURATED,
            mostly=MOSTLY_UNSATURATED,
        ),
        *(
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=a,
                column_B=b,
                or_equal=True,
                description=f"{a} is at least {b}",
            )
            for a, b in ordered
        ),
    ]


def _fluorescence(markers: Sequence[str], data: StudyData) -> list[Any]:
    columns = dict.fromkeys([*markers, *(rule.column for rule in data.targets)])
    return [
        _between(c, f"{c} is finite where recorded", min_value=-LARGEST, max_value=LARGEST)
        for c in columns
    ]


def _failure(result: Any, check: _Check) -> Failure:
    rows = [int(row) for row in result.result.get("partial_unexpected_index_list") or []]
    count = int(result.result.get("unexpected_count") or 0)
    return Failure(result.expectation_config.description, count, tuple(check.name(rows)))


def _sections(checks: Sequence[_Check], results: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Heading and HTML of every column's section, rendered by Great Expectations."""
    renderer: Any = ValidationResultsPageRenderer(run_info_at_end=True)
    view: Any = DefaultJinjaSectionView()
    for number, (check, result) in enumerate(zip(checks, results, strict=True)):
        document = renderer.render(result)
        for section in document.sections[1:-1]:  # without the overview and the run's times
            content = section.to_json_dict()
            yield check.title, view.render({"section": content, "section_loop": {"index": number}})
