"""The gate: may a challenger become champion? A pure function of the leaderboard.

The challenger is the best of the new versions on the validation cells, so the test cells have no
say in who it is, and one test against the champion keeps its error rate: a challenger that is no
better is promoted with probability `alpha` at most. Exchanging the two models' predictions turns
every difference into its negative, so the one-sided p-value is half the two-sided one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unstained.config.promote import PromoteParams
from unstained.errors import RegistryError
from unstained.registry.standings import (
    Entry,
    Leaderboard,
    Test,
    find_entry,
    find_test,
    gain,
    has_classes,
    metric_words,
)
from unstained.wording import counted


@dataclass(frozen=True)
class Criterion:
    """One condition of the gate.

    Attributes:
        name: short key.
        passed: whether it holds.
        value: what was measured, None where it does not apply.
        limit: what it was held against.
        sentence: for people.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    sentence: str


@dataclass(frozen=True)
class Decision:
    """What the gate found.

    Attributes:
        challenger: version that was examined.
        model: its model.
        champion: version that it was examined against, None where there was none.
        criteria: all conditions, in a fixed order.
        sentence: the outcome for people.
    """

    challenger: int
    model: str
    champion: int | None
    criteria: tuple[Criterion, ...]
    sentence: str

    @property
    def is_champion(self) -> bool:
        """Whether the challenger is champion already: there is nothing to decide."""
        return self.challenger == self.champion

    @property
    def passed(self) -> bool:
        """Whether the challenger may become champion."""
        return not self.is_champion and all(criterion.passed for criterion in self.criteria)

    def as_json(self) -> dict[str, Any]:
        """Plain content."""
        return {**asdict(self), "criteria": [asdict(criterion) for criterion in self.criteria]}


def decide(
    leaderboard: Leaderboard,
    new: Sequence[int],
    champion: int | None,
    params: PromoteParams,
    withdrawn: Mapping[int, str],
) -> Decision:
    """Examine the best new version.

    Args:
        leaderboard: the leaderboard.
        new: versions of this run.
        champion: version that is champion now.
        params: limits.
        withdrawn: versions that were rolled back -> why.

    Raises:
        RegistryError: a new version is not in the leaderboard, or `champion` became champion after
            it was made.
    """
    challenger = choose_challenger(leaderboard, new)
    number, model = challenger["version"], challenger["model"]
    name = f"v{number} ({model})"
    if number == champion:
        sentence = f"{name} stays champion: it is the best of this run on the validation cells"
        return Decision(number, model, champion, (), sentence)
    classes = has_classes(leaderboard)
    criteria = (
        _better(leaderboard, challenger, champion, params.alpha),
        *([_beats_mean(leaderboard, challenger)] if params.beats_mean and not classes else []),
        *([_calibrated(challenger, params.max_ece)] if classes else []),
        _parity(challenger),
        *([_floor(challenger, params.min_class_recall)] if classes else []),
        _latency(challenger, params.max_latency_ms),
        _not_withdrawn(challenger, withdrawn),
    )
    failed = [criterion.sentence for criterion in criteria if not criterion.passed]
    if failed:
        keeps = f"v{champion} stays champion" if champion else "there is no champion"
        sentence = f"{keeps}: {name} was refused, because " + "; ".join(failed)
    elif champion is None:
        sentence = (
            f"{name} is champion: best of the new versions on the validation cells, "
            "no champion before, gate passed"
        )
    else:
        sentence = f"{name} is champion in place of v{champion}: {criteria[0].sentence}"
    return Decision(number, model, champion, criteria, sentence)


def choose_challenger(leaderboard: Leaderboard, new: Sequence[int]) -> Entry:
    """The new version that is best on the validation cells; the older one of equals.

    Raises:
        RegistryError: a new version is not in the leaderboard.
    """
    entries = [find_entry(leaderboard, version) for version in new]
    missing = [version for version, entry in zip(new, entries, strict=True) if entry is None]
    if missing or not entries:
        raise RegistryError(
            f"the leaderboard of {leaderboard['study']} lacks version "
            f"{missing[0] if missing else 'any'}",
            f"compare again: `unstained run compare {leaderboard['study']}`",
        )
    present = [entry for entry in entries if entry is not None]
    return max(present, key=lambda entry: (_validation(leaderboard, entry), -entry["version"]))


def _validation(leaderboard: Leaderboard, entry: Entry) -> float:
    """An entry's gain on the validation cells; least where they do not determine it."""
    value = entry["validation"]
    return -math.inf if value is None else gain(leaderboard, value)


def _better(
    leaderboard: Leaderboard, challenger: Entry, champion: int | None, alpha: float
) -> Criterion:
    metric = metric_words(leaderboard)
    if champion is None:
        return Criterion("better", True, None, alpha, "there is no champion to beat")
    for other in leaderboard["not_comparable"]:
        if other["version"] == champion:
            sentence = (
                f"champion v{champion} cannot be compared: {other['reason']}; to begin a new line "
                "of models, change register.registered_model in params.yaml"
            )
            return Criterion("better", False, None, alpha, sentence)
    test = find_test(leaderboard, challenger["version"], champion)
    if test is None:
        raise RegistryError(
            f"v{champion} became champion after the leaderboard of {leaderboard['study']} was made",
            f"compare again: `unstained run compare {leaderboard['study']}`",
        )
    better = gain(leaderboard, test["difference"]) > 0
    p = one_sided(test, better=better)
    passed = better and p < alpha
    sentence = (
        f"its {metric} is {abs(test['difference']):.4f} "
        f"{'above' if test['difference'] >= 0 else 'below'} that of v{champion} on the same cells "
        f"({leaderboard['confidence']:.0%} interval {test['low']:+.4f} to {test['high']:+.4f}; "
        f"one-sided p = {p:.3g}, limit {alpha:g})"
    )
    if not passed and test["p_floor"] / 2 >= alpha:
        sentence += (
            f"; the models differ on {counted(test['n_groups'], 'group')} of cells at most, too "
            "few for any difference to pass: add acquisitions"
        )
    return Criterion("better", passed, p, alpha, sentence)


def _beats_mean(leaderboard: Leaderboard, entry: Entry) -> Criterion:
    """Whether it knows more than one answer for all cells; the first champion is asked, too."""
    over, metric = entry["over_mean"], metric_words(leaderboard)
    if over is None:
        sentence = f"whether its {metric} is better than that of the mean cannot be told"
        return Criterion("beats the mean", False, None, 0.0, sentence)
    least = min(gain(leaderboard, over["low"]), gain(leaderboard, over["high"]))
    sentence = (
        f"its {metric} is {abs(over['difference']):.4f} "
        f"{'above' if over['difference'] >= 0 else 'below'} that of one mean for all cells "
        f"({leaderboard['confidence']:.0%} interval {over['low']:+.4f} to {over['high']:+.4f})"
    )
    if least <= 0:
        sentence += ", so that it is not shown to have learnt anything"
    return Criterion(
        "beats the mean", least > 0, gain(leaderboard, over["difference"]), 0.0, sentence
    )


def one_sided(test: Test, *, better: bool) -> float:
    """P-value of 'the first is better', from the two-sided permutation test.

    Args:
        test: of the pair.
        better: whether the first was better on these cells.
    """
    half = test["p"] / 2
    return half if better else 1 - half


def _calibrated(entry: Entry, limit: float) -> Criterion:
    error = entry["ece"]
    if error is None:
        sentence = "no test cell has a known class, so its calibration is unknown"
        return Criterion("calibrated", False, None, limit, sentence)
    sentence = f"expected calibration error {error:.3f} (limit {limit:g})"
    return Criterion("calibrated", error <= limit, error, limit, sentence)


def _parity(entry: Entry) -> Criterion:
    passed = entry["parity_passed"]
    said = "reproduces" if passed else "does not reproduce"
    return Criterion("parity", passed, None, None, f"the ONNX graph {said} the trained model")


def _floor(entry: Entry, limit: float) -> Criterion:
    """Every class; one without test cells cannot pass unless the limit is 0."""
    known = {name: value for name, value in entry["recalls"].items() if value is not None}
    if limit > 0 and len(known) < len(entry["recalls"]):
        unknown = sorted(set(entry["recalls"]) - set(known))
        sentence = f"class {unknown[0]} has no test cells, so its recall is unknown"
        return Criterion("rare class", False, None, limit, sentence)
    if not known:
        sentence = "no test cell has a known class, so no recall is known"
        return Criterion("rare class", True, None, limit, sentence)
    worst = min(known, key=lambda name: (known[name], name))
    sentence = f"lowest recall {known[worst]:.3f}, of class {worst} (limit {limit:g})"
    return Criterion("rare class", known[worst] >= limit, known[worst], limit, sentence)


def _latency(entry: Entry, limit: float) -> Criterion:
    value = entry["latency_ms"]
    passed = math.isfinite(value) and value <= limit
    sentence = f"median latency {value:.1f} ms a cell (limit {limit:g} ms)"
    return Criterion("latency", passed, value, limit, sentence)


def _not_withdrawn(entry: Entry, withdrawn: Mapping[int, str]) -> Criterion:
    reason = withdrawn.get(entry["version"])
    sentence = "it was never rolled back" if reason is None else f"it was rolled back: {reason}"
    return Criterion("not withdrawn", reason is None, None, None, sentence)
