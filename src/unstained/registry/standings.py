"""The leaderboard: registered versions of a study on the same test cells.

This module holds the table's form and what is read from it; `standings_table` shows it. The numbers
come from the stage `compare`, which joins registry and statistics.
"""

from __future__ import annotations

from typing import Final, TypedDict

from unstained.wording import counted

SHOWN: Final = ("macro_f1", "r", "mae")
"""Metrics of which the first that a task has is shown of it beside the leaderboard's own."""


class Test(TypedDict):
    """First version minus second on the same cells; see `statistics.paired.PairedResult`."""

    first: int
    second: int
    difference: float
    low: float
    high: float
    p: float
    p_floor: float
    p_mcnemar: float | None
    n_discordant: int | None
    n_groups: int
    caveat: str


class Versus(TypedDict):
    """An entry against the leader or the champion; `p_adjusted` counts all such comparisons."""

    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    p_mcnemar: float | None


class OverMean(TypedDict):
    """A version's metric minus that of the mean of the validation cells, given for every cell.

    Of a metric that a constant leaves undefined, as r does, the version's own.
    """

    difference: float
    low: float
    high: float


class Entry(TypedDict):
    """A comparable version.

    `value` with `low` and `high` is the leaderboard's metric on the test cells, `validation` the
    same metric on the validation cells. A `rescored` champion was evaluated on other cells and
    asked about these for the comparison. `ece`, `recalls` and `min_class_recall` are of the first
    classes task, None and empty without one; `over_mean` is None where the primary task is classes;
    `tasks` holds every task's metrics. What the test cells do not determine is None.
    """

    version: int
    model: str
    recipe: str
    aliases: list[str]
    new: bool
    rescored: bool
    git_commit: str
    artifact_digest: str
    value: float
    low: float
    high: float
    validation: float | None
    ece: float | None
    recalls: dict[str, float | None]
    min_class_recall: float | None
    over_mean: OverMean | None
    tasks: dict[str, dict[str, float | None]]
    parity_passed: bool
    latency_ms: float
    versus_leader: Versus | None
    versus_champion: Versus | None


class NotComparable(TypedDict):
    """A version that was evaluated on other cells."""

    version: int
    model: str
    aliases: list[str]
    reason: str


class Leaderboard(TypedDict):
    """The table: entries best first, tests by pair, and what was left out.

    `replicates` counts the versions that are trainings among folds and seeds.
    """

    study: str
    name: str
    task: str
    metric: str
    metric_words: str
    higher_is_better: bool
    alpha: float
    confidence: float
    correction: str
    simulated: bool
    data_digest: str
    split_digest: str
    test_cells: int
    test_groups: int
    replicates: int
    leader: int
    champion: int | None
    entries: list[Entry]
    tests: list[Test]
    not_comparable: list[NotComparable]


def find_entry(leaderboard: Leaderboard, version: int) -> Entry | None:
    """The entry of a version, or None."""
    return next((entry for entry in leaderboard["entries"] if entry["version"] == version), None)


def find_test(leaderboard: Leaderboard, first: int, second: int) -> Test | None:
    """The test of `first` against `second`, whichever way round it was made, or None."""
    for test in leaderboard["tests"]:
        if (test["first"], test["second"]) == (first, second):
            return test
        if (test["second"], test["first"]) == (first, second):
            return reverse(test)
    return None


def reverse(test: Test) -> Test:
    """The same test the other way round."""
    turned = test.copy()
    turned["first"], turned["second"] = test["second"], test["first"]
    turned["difference"] = -test["difference"]
    turned["low"], turned["high"] = -test["high"], -test["low"]
    return turned


def metric_words(leaderboard: Leaderboard) -> str:
    """The metric as it is written in a sentence, e.g. 'macro F1'."""
    return leaderboard["metric_words"]


def gain(leaderboard: Leaderboard, difference: float) -> float:
    """A difference in the leaderboard's metric, positive where the first of the two is better."""
    return difference if leaderboard["higher_is_better"] else -difference


def findings(leaderboard: Leaderboard) -> list[str]:
    """What the table says, in sentences."""
    metric, entries = metric_words(leaderboard), leaderboard["entries"]
    first = entries[0]
    lines = [
        f"v{first['version']} ({first['model']}) leads with {metric} {first['value']:.3f} "
        f"({leaderboard['confidence']:.0%} interval {first['low']:.3f} to {first['high']:.3f}) on "
        f"{counted(leaderboard['test_cells'], 'test cell')} in "
        f"{counted(leaderboard['test_groups'], 'group')}."
    ]
    worse = [f"v{e['version']}" for e in entries if is_worse(leaderboard, e)]
    equal = [f"v{e['version']}" for e in entries[1:] if not is_worse(leaderboard, e)]
    if worse:
        lines.append(f"Significantly worse than the leader: {', '.join(worse)}.")
    if equal:
        lines.append(f"Not distinguishable from the leader: {', '.join(equal)}.")
    lines += [
        f"v{e['version']} was evaluated on other cells and was asked about these for the "
        "comparison. It may have been trained on some of them, which favours it."
        for e in entries
        if e["rescored"]
    ]
    champion = leaderboard["champion"]
    lines.append(
        "The registry held no champion when this was compared."
        if champion is None
        else f"Champion when this was compared: v{champion}."
    )
    floor = min((test["p_floor"] for test in leaderboard["tests"]), default=0.0)
    if floor >= leaderboard["alpha"]:
        lines.append(
            f"With {counted(leaderboard['test_groups'], 'group')} p cannot fall below {floor:.2g}, "
            "so no difference can be called significant: add acquisitions."
        )
    if leaderboard["not_comparable"]:
        others = ", ".join(f"v{e['version']}" for e in leaderboard["not_comparable"])
        lines.append(f"Not comparable, because evaluated on other test cells: {others}.")
    if leaderboard["replicates"]:
        some = counted(leaderboard["replicates"], "other version is", "other versions are")
        lines.append(
            f"{some} left out of this table, its adjusted p and promotion: replicates, each "
            "trained with one fold held out for the comparison across folds, and no candidates."
        )
    if leaderboard["simulated"]:
        lines.append("All cells are simulated: the ranking says nothing about real cells.")
    return lines


def is_worse(leaderboard: Leaderboard, entry: Entry) -> bool:
    """Whether an entry is significantly worse than the leader, all comparisons counted."""
    versus = entry["versus_leader"]
    if versus is None or versus["p_adjusted"] >= leaderboard["alpha"]:
        return False
    return gain(leaderboard, versus["difference"]) < 0


def place(leaderboard: Leaderboard, entry: Entry) -> str:
    """An entry's place in one line, e.g. for MLflow's page of the version."""
    rank = leaderboard["entries"].index(entry) + 1
    text = (
        f"{rank} of {len(leaderboard['entries'])}: {metric_words(leaderboard)} "
        f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"
    )
    versus = entry["versus_leader"]
    if versus is None:
        return text
    return (
        f"{text}, {versus['difference']:+.3f} to leader v{leaderboard['leader']} "
        f"(p = {versus['p_adjusted']:.3g}, {leaderboard['correction']})"
    )


def has_classes(leaderboard: Leaderboard) -> bool:
    """Whether the study has a classes task, and so recalls and a calibration error."""
    return bool(leaderboard["entries"][0]["recalls"])


def accuracy(entry: Entry) -> float | None:
    """Accuracy of the first classes task, None without one."""
    return next((m["accuracy"] for m in entry["tasks"].values() if "accuracy" in m), None)


def has_mcnemar(leaderboard: Leaderboard) -> bool:
    """Whether the leaderboard is ordered by predicted classes, which McNemar's test compares."""
    return any(test["p_mcnemar"] is not None for test in leaderboard["tests"])


def side_tasks(leaderboard: Leaderboard) -> dict[str, str]:
    """Tasks that the leaderboard is not ordered by -> the metric that is shown of them."""
    tasks = leaderboard["entries"][0]["tasks"]
    return {
        task: next(name for name in SHOWN if name in metrics)
        for task, metrics in tasks.items()
        if task != leaderboard["task"]
    }


def side_numbers(leaderboard: Leaderboard, entry: Entry) -> list[str]:
    """'GFAP r 0.912' for each task that the leaderboard is not ordered by."""
    return [
        f"{task} {name.replace('_', ' ')} {number(entry['tasks'][task][name])}"
        for task, name in side_tasks(leaderboard).items()
    ]


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"
