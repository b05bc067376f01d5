"""Great Expectations over the cell table, and their Data Docs as one self-contained page.

The suite is built from the table's schema and the study. What passes is our rule: every
expectation holds. Great Expectations' own pages load scripts and style sheets from the network
and carry run times; only its rendered sections are kept, under a style sheet of our own, so the
page is readable offline, sends no request, and equal results give equal bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read while the package is imported

import great_expectations as gx
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaSectionView

from unstained.data.schema import COLUMNS, MARKER_PREFIX
from unstained.errors import ValidationError
from unstained.params import StudyData

if TYPE_CHECKING:
    import pandas as pd

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

NAMING: Final = ("cell_id", "source_file")

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 0.5rem; }
h5 { font-size: 1rem; margin: 1.5rem 0 0.3rem; } h6 { font-size: 0.9rem; margin: 0.5rem 0 0; }
table { border-collapse: collapse; width: 100%; margin: 0.3rem 0 1rem; table-layout: fixed; }
table > thead th:first-child { width: 5rem; } table > thead th:last-child { width: 14rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem;
  border-bottom: 1px solid #8884; } thead[hidden] { display: none; }
.badge, .code-snippet { font-family: ui-monospace, monospace; }
.fa-check-circle::before { content: "\\2713"; color: #2a7d46; font-weight: bold; }
.fa-times::before, .fa-exclamation-triangle::before { content: "\\2717"; color: #b3261e;
  font-weight: bold; }
.cooltip .top, .modal, button { display: none; }
"""


@dataclass(frozen=True)
class Failure:
    """One expectation that does not hold.

    Attributes:
        expectation: what was expected, in words.
        count: how many rows break it; 0 where the table as a whole does.
        rows: names of the first rows that break it.
    """

    expectation: str
    count: int
    rows: tuple[str, ...]

    def __str__(self) -> str:
        if not self.rows:
            return self.expectation
        more = ", ..." if self.count > len(self.rows) else ""
        noun = "row breaks" if self.count == 1 else "rows break"
        return f"{self.expectation}: {self.count:,} {noun} it: {', '.join(self.rows)}{more}"


@dataclass(frozen=True)
class Validation:
    """Outcome of all expectations.

    Attributes:
        expectations: how many were checked.
        failures: those that do not hold.
        html: the Data Docs page.
    """

    expectations: int
    failures: tuple[Failure, ...]
    html: str

    def require(self, remedy: str) -> None:
        """Stop where an expectation failed.

        Raises:
            ValidationError: naming every failed expectation and its first rows.
        """
        if self.failures:
            listed = "\n  ".join(str(failure) for failure in self.failures)
            number = f"{len(self.failures)} of {self.expectations} expectations"
            raise ValidationError(f"{number} of the cell table do not hold:\n  {listed}", remedy)


def check_table(table: pd.DataFrame, data: StudyData, min_cells: int) -> Validation:
    """Check the cell table of a study.

    Args:
        table: columns of `data.schema`, one row a cell.
        data: the study: class names, markers and targets.
        min_cells: cells that every class needs, external ones left out.
    """
    suites = [
        ("Cell table", table, _cell_expectations(table, data), NAMING),
        ("Classes", _class_table(table, data), _class_expectations(min_cells), ("label",)),
    ]
    if data.targets:
        suites.append(("Targets", _target_table(table, data), _target_expectations(), ("target",)))
    results = []
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("cells")
    for title, frame, expectations, naming in suites:
        asset = source.add_dataframe_asset(title)
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        named = [column for column in naming if column in frame]
        suite = gx.ExpectationSuite(title, expectations=expectations)
        results.append(batch.validate(suite, result_format=_result_format(named)))
    failures = [
        _failure(result, naming)
        for outcome, (_, _, _, naming) in zip(results, suites, strict=True)
        for result in outcome.results
        if not result.success
    ]
    count = sum(len(outcome.results) for outcome in results)
    return Validation(count, tuple(failures), _page(data.title, results, failures))


def _result_format(naming: Sequence[str]) -> dict[str, Any]:
    return {
        "result_format": "SUMMARY",
        "unexpected_index_column_names": list(naming),
        "partial_unexpected_count": SHOWN,
        "return_unexpected_index_query": False,
    }


def _class_table(table: pd.DataFrame, data: StudyData) -> pd.DataFrame:
    import pandas as pd

    inner = table.loc[~table["external"].astype(bool), "label"].value_counts()
    cells = [int(inner.get(name, 0)) for name in data.class_names]
    return pd.DataFrame({"label": list(data.class_names), "cells": cells})


def _class_expectations(min_cells: int) -> list[Any]:
    text = f"Every class has at least {min_cells} cells that are not external"
    return [_between("cells", text, min_value=min_cells)]


def _target_table(table: pd.DataFrame, data: StudyData) -> pd.DataFrame:
    import pandas as pd

    cells = [int(table[r.column].count()) if r.column in table else 0 for r in data.targets]
    return pd.DataFrame({"target": [rule.name for rule in data.targets], "cells": cells})


def _target_expectations() -> list[Any]:
    return [_between("cells", "Every target is recorded for at least one cell", min_value=1)]


def _cell_expectations(table: pd.DataFrame, data: StudyData) -> list[Any]:
    """Existence of every column, and what the existing ones must hold."""
    markers = [MARKER_PREFIX + name for name in data.markers]
    wanted = dict.fromkeys([*COLUMNS, *markers, *(rule.column for rule in data.targets)])
    expectations: list[Any] = [
        gxe.ExpectColumnToExist(column=name, description=f"Column {name} exists") for name in wanted
    ]
    values = [*_types(), *_identities(data), *_pixels(), *_fluorescence(markers, data)]
    return expectations + [
        expectation for expectation in values if _column_of(expectation) in table
    ]


def _column_of(expectation: Any) -> str:
    return str(getattr(expectation, "column", None) or expectation.column_A)


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
    filled = [
        gxe.ExpectColumnValuesToNotBeNull(column=name, description=f"Every cell has its {name}")
        for name in ("cell_id", "acquisition", "group", "label", "source_file", "sha256", "block")
    ]
    return [
        *filled,
        gxe.ExpectColumnValuesToBeUnique(column="cell_id", description="No cell_id occurs twice"),
        gxe.ExpectColumnValuesToBeInSet(
            column="label",
            value_set=classes,
            description=f"The label is one of {', '.join(classes)}",
        ),
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


def _pixels() -> list[Any]:
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
        _between("background", "The background is above 0 counts", min_value=0, strict_min=True),
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


def _failure(result: Any, naming: Sequence[str]) -> Failure:
    rows = [
        " ".join(_named(column, row[column]) for column in naming if column in row)
        for row in result.result.get("partial_unexpected_index_list") or []
    ]
    count = int(result.result.get("unexpected_count") or 0)
    return Failure(result.expectation_config.description, count, tuple(rows))


def _named(column: str, value: Any) -> str:
    return f"({value})" if column == "source_file" else str(value)


def _page(title: str, results: Sequence[Any], failures: Sequence[Failure]) -> str:
    """Data Docs: sections rendered by Great Expectations in a page without scripts."""
    renderer: Any = ValidationResultsPageRenderer(run_info_at_end=True)
    view: Any = DefaultJinjaSectionView()
    parts = []
    for number, result in enumerate(results):
        document = renderer.render(result)
        parts.append(f"<h2>{escape(result.suite_name)}</h2>")
        for section in document.sections[1:-1]:  # without the overview and the run's times
            content = section.to_json_dict()
            parts.append(view.render({"section": content, "section_loop": {"index": number}}))
    checked = sum(len(result.results) for result in results)
    verdict = f"{checked - len(failures)} of {checked} expectations hold."
    listed = "".join(f"<li>{escape(str(failure))}</li>" for failure in failures)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Data Docs: {escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Data Docs: {escape(title)}</h1>\n<p>{verdict}</p>\n<ul>{listed}</ul>\n"
        f"{_plain(''.join(parts))}\n</body>\n</html>\n"
    )


def _plain(html: str) -> str:
    """Without scripts, random element ids and blank lines."""
    html = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    html = re.sub(r'\s(?:id|data-[a-z-]+|aria-[a-z]+)="[^"]*"', "", html)
    return re.sub(r"\n\s*\n+", "\n", html)
