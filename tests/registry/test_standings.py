"""What is read from a leaderboard, and its look in a terminal and as CSV."""

from __future__ import annotations

import csv
import io
import re

from rich.console import Console

from tests.leaderboards import entry, leaderboard, paired
from unstained.registry.standings import (
    Leaderboard,
    Versus,
    find_entry,
    findings,
    is_worse,
)
from unstained.registry.standings_table import as_csv, render_leaderboard


def versus(difference: float, p: float) -> Versus:
    return {
        "difference": difference,
        "low": difference - 0.02,
        "high": difference + 0.02,
        "p": p / 2,
        "p_adjusted": p,
        "p_mcnemar": p,
    }


def table(**changes: object) -> Leaderboard:
    return leaderboard(
        {"version": 3, "value": 0.91, "new": True, "model": "cg_recnet"},
        {"version": 1, "value": 0.85, "versus_leader": versus(-0.06, 0.01)}
        | {"aliases": ["champion"], "model": "features"},
        {"version": 2, "value": 0.90, "versus_leader": versus(-0.01, 0.6), "model": "resnet50"},
        champion=1,
        **changes,
    )


def test_findings_say_who_leads_and_what_is_significant() -> None:
    text = "\n".join(findings(table()))
    assert "v3 (cg_recnet) leads with macro F1 0.910 (95% interval 0.750 to 0.850)" in text
    assert "Significantly worse than the leader: v1." in text
    assert "Not distinguishable from the leader: v2." in text
    assert "Champion when this was compared: v1." in text
    assert "simulated" not in text


def test_findings_name_what_is_missing() -> None:
    other = [{"version": 9, "model": "m", "aliases": [], "reason": "other test cells"}]
    text = "\n".join(findings(leaderboard({"version": 1}, not_comparable=other, simulated=True)))
    assert "The registry held no champion when this was compared." in text
    assert "other test cells: v9." in text
    assert "simulated" in text


def test_findings_say_how_many_replicates_are_left_out() -> None:
    (line,) = [line for line in findings(table(replicates=36)) if "replicates" in line]
    assert line.startswith("36 other versions are left out")


def test_findings_say_when_nothing_can_be_significant() -> None:
    few = [paired(3, 1, 0.5, p_floor=0.25)]
    assert "p cannot fall below 0.25" in "\n".join(findings(table(tests=few)))
    assert "cannot fall" not in "\n".join(findings(table(tests=[paired(3, 1, 0.5)])))


def test_significantly_better_is_not_worse() -> None:
    assert not is_worse(table(), entry(versus_leader=versus(0.05, 0.001)))
    assert not is_worse(table(), entry(versus_leader=versus(-0.05, 0.05)))
    assert is_worse(table(), entry(versus_leader=versus(-0.05, 0.049)))


def test_terminal_shows_every_version_and_marks_the_champion() -> None:
    """In a pipe, which has 80 columns, nothing is cut off."""
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(render_leaderboard(table(simulated=True)))
    text = console.export_text()
    assert "…" not in text
    rows = {
        block.split()[0]: block for block in re.split(r"\n ?(?=v\d+ )", text.split("v3 (")[0])[1:]
    }
    assert list(rows) == ["v3", "v2", "v1"]
    assert all(part in rows["v1"] for part in ("features", "champion", "-0.060*", "p 0.010"))
    assert "-0.010 " in rows["v2"]
    assert all(part in rows["v3"] for part in ("0.750-0.850", "leader", "new", "DNA r 0.900"))
    assert "(simulated cells)" in text
    assert "Champion when this was compared: v1." in text


def test_csv_has_one_line_a_version() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table()))))
    assert [row["version"] for row in rows] == ["3", "2", "1"]
    assert rows[2]["difference_to_leader"] == "-0.06"
    assert rows[0]["difference_to_leader"] == ""
    assert rows[0]["recall_a"] == "0.9"
    assert rows[0]["r_DNA"] == "0.9"


def test_finding_entries() -> None:
    found = find_entry(table(), 2)
    assert found is not None
    assert found["model"] == "resnet50"
    assert find_entry(table(), 7) is None
    assert paired(1, 2, 0.1)["difference"] == 0.1
