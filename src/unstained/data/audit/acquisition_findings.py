"""What the comparison of acquisitions means, in sentences, as a table and as plain content."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from unstained.data.audit.acquisition_measures import LEAST_CELLS, UNITS, in_words, kind
from unstained.data.audit.acquisitions import FEWEST, Comparison, Standing
from unstained.data.audit.findings import Finding
from unstained.wording import counted

CHECK: Final = "acquisitions"
TOLD: Final = 8
"""Acquisitions that have a sentence of their own."""
NEAR: Final = 1.25
"""Factor within which a number is called that of another."""
WHAT_TO_DO: Final = (
    "The report shows its cells beside ordinary ones. Export it again like the others, mark it as "
    "external (studies.<study>.data.external), or take it out of the source."
)


def acquisition_findings(found: Comparison) -> list[Finding]:
    """One finding an acquisition that stands out, or one that says what was compared."""
    out = _by_acquisition(found)
    how = _compared(found)
    if not out:
        return [Finding("ok", CHECK, how, 0.0)]
    worst = sorted(out, key=lambda name: (-_severity(out[name]), name))
    findings = [
        Finding(
            "warning", f"acquisition {name}", _sentence(found, name, out[name]), float(len(out))
        )
        for name in worst[:TOLD]
    ]
    if len(worst) > TOLD:
        text = (
            f"{counted(len(worst) - TOLD, 'acquisition stands', 'acquisitions stand')} out beside "
            f"these, of {found.acquisitions:,}; "
            "acquisitions.csv lists them."
        )
        findings.append(Finding("warning", CHECK, text, float(len(out))))
    return findings


def _by_acquisition(found: Comparison) -> dict[str, list[Standing]]:
    out: dict[str, list[Standing]] = {}
    for one in found.standings:
        if one.out:
            out.setdefault(one.acquisition, []).append(one)
    return out


def _severity(standings: Sequence[Standing]) -> float:
    """The largest factor either way."""
    return max(max(abs(one.factor), 1 / max(abs(one.factor), 1e-9)) for one in standings)


def _compared(found: Comparison) -> str:
    """What was compared, and with what."""
    if not found.standings:
        return (
            f"The study has {counted(found.acquisitions, 'acquisition')} that "
            f"models may learn from; fewer than {FEWEST} cannot be compared with each other."
        )
    measures = list(dict.fromkeys(in_words(one.measure) for one in found.standings))
    text = f"None of {found.acquisitions:,} acquisitions stands out in {_listed(measures)}"
    text += f", compared {_with_what(found)}."
    if found.compared < found.acquisitions:
        text += (
            f" Inside cells {found.compared:,} of them were compared: the others have fewer than "
            f"{LEAST_CELLS} cells each, or were not drawn."
        )
    return text


def _with_what(found: Comparison) -> str:
    every = {label for label in found.labels.values() if label}
    if every and set(found.classes) == every:
        return "within each class"
    if found.classes:
        return f"within the class for {_listed(found.classes)}, else with all of the study"
    return "with all of the study" + (
        ": no class has enough of its own, so a class and its acquisition are not told apart"
        if every
        else ""
    )


def _sentence(found: Comparison, name: str, out: Sequence[Standing]) -> str:
    among = out[0].among
    others = (
        f"other acquisitions of {_listed(among)}" if among else "the study's other acquisitions"
    )
    said = "; ".join(map(_number, out))
    text = f"{name} stands out from {others}: {said}. {_cause(found, name, out)} "
    if not among and found.labels[name]:
        text += (
            f"Too few acquisitions hold {found.labels[name]} to compare within that class, so this "
            "may be the class itself. "
        )
    return text + WHAT_TO_DO


def _number(one: Standing) -> str:
    """E.g. 'background 2,730 counts, 3.9 times as usual (others 0.7 to 1.4)'."""
    what = in_words(one.measure)
    if one.high is None:
        return f"{what} {one.factor:+.1f} of the usual (others {one.low:+.1f} or more)"
    unit = UNITS.get(kind(one.measure))
    value = f" {one.value:,.0f} {unit}," if unit else ""
    return (
        f"{what}{value} {one.factor:.3g} times the usual ({one.low:.2g} to {one.high:.2g} would "
        "not stand out)"
    )


def _cause(found: Comparison, name: str, out: Sequence[Standing]) -> str:
    """What makes such numbers, by which of them differ and how."""
    factors = {one.measure: one.factor for one in found.standings if one.acquisition == name}
    causes = []
    for one in out:
        end = one.measure.removeprefix(kind(one.measure))
        contrast, level = factors.get(f"contrast{end}", 1.0), factors.get(f"background{end}", 1.0)
        causes.append(_cause_of(one, level, contrast))
    return f"Such numbers come from {_listed(list(dict.fromkeys(causes)), 'and')}."


def _cause_of(one: Standing, level: float, contrast: float) -> str:
    what = kind(one.measure)
    if what == "size":
        return "binned or enlarged pixels, another objective, or other cells"
    if what == "side":
        return "tiles or montages in place of cells, another cropping, or enlarged pixels"
    if what == "focus":
        return "another focus, smoothing or compression"
    if what == "polarity":
        return "light and dark exchanged, or another focus"
    if what == "value":
        return "another unit of what the table tells, or another measurement"
    if what == "marker":
        return "another gain or another staining"
    if 1 / NEAR < contrast < NEAR:
        return "counts that were scaled: another gain, exposure, lamp or bit depth"
    if 1 / NEAR < level * contrast < NEAR:
        return "an offset added to the counts or taken from them"
    if 1 / NEAR < level < NEAR:
        return "another contrast: smoothing, another focus or rescaled grey values"
    return "counts of another unit: another offset, or light and dark exchanged"


def _listed(names: Sequence[str], word: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def comparison_content(found: Comparison) -> dict[str, Any]:
    """Plain content for audit.json: numbers rounded, a list of standings by measure."""
    measures: dict[str, list[dict[str, Any]]] = {}
    for one in found.standings:
        row = {"acquisition": one.acquisition, "cells": one.cells, "out": one.out}
        numbers = {"value": one.value, "factor": one.factor, "low": one.low, "high": one.high}
        rounded = {name: _rounded(number) for name, number in numbers.items()}
        measures.setdefault(one.measure, []).append(row | rounded)
    return {
        "acquisitions": found.acquisitions,
        "compared": found.compared,
        "within": list(found.classes),
        "how": _with_what(found) if found.standings else "",
        "labels": found.labels,
        "measures": measures,
        "outliers": [asdict(one) for one in found.outliers],
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.6g}")


def acquisitions_csv(found: Comparison) -> str:
    """One row an acquisition and measure."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ("acquisition", "class", "measure", "unit", "cells", "value", "factor", "low", "high")
    writer.writerow((*head, "compared_with", "stands_out"))
    writer.writerows(_rows(found.standings, found.labels))
    return buffer.getvalue()


def _rows(standings: Sequence[Standing], labels: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    for one in standings:
        unit = UNITS.get(kind(one.measure), "")
        numbers = [one.value, one.factor, one.low, one.high]
        shown = ["" if number is None else f"{number:.6g}" for number in numbers]
        where = "+".join(one.among) or "study"
        name, label = one.acquisition, labels[one.acquisition]
        yield (name, label, one.measure, unit, one.cells, *shown, where, str(one.out).lower())
