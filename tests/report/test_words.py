"""A table of hand-made cases: numbers in, words out, and what must not be said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unstained.evaluation.conformal import coverage_by_group
from unstained.report import words
from unstained.statistics.evidence import Share, explained_share
from unstained.statistics.intervals import Estimate
from unstained.statistics.metric import VALUE_METRICS, class_metric
from unstained.statistics.paired import PairedResult

NAN = math.nan
BALANCED = class_metric("balanced_accuracy", 3)
CORNERS = "the pixels around the cell alone"


def plain(sentence: str) -> str:
    """Without the spaces that no line break separates."""
    return sentence.replace("\xa0", " ")


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        (
            Share(0.83, 0.6, 1.1),
            f"Most of the model's excess over guessing can be had from {CORNERS}: "
            "83 % (interval 60 to 110 %).",
        ),
        (
            Share(0.83, 0.31, 1.4),
            f"Whether most of the model's excess over guessing can be had from {CORNERS} cannot be "
            "told: 83 % (interval 31 to 140 %).",
        ),
        (
            Share(0.1, -0.2, 0.4),
            f"Less than half of the model's excess over guessing can be had from {CORNERS}: "
            "10 % (interval −20 to 40 %).",
        ),
        (
            Share(0.1, -0.9, 0.6),
            f"Whether most of the model's excess over guessing can be had from {CORNERS} cannot be "
            "told: 10 % (interval −90 to 60 %).",
        ),
        (
            Share(NAN, NAN, NAN),
            f"How much of the model's excess over guessing {CORNERS} would explain cannot be told: "
            "that excess is itself not shown.",
        ),
    ],
)
def test_share_explained(share: Share, sentence: str) -> None:
    assert plain(words.share_sentence(share, CORNERS)) == sentence


def test_what_holds_of_several_channels_is_said_once() -> None:
    shares = [
        (Share(0.5, 0.35, 0.68), "light in channel L"),
        (Share(0.8, 0.6, 0.9), "light in channel R"),
        (Share(0.47, 0.32, 0.64), "light in channel T"),
        (Share(0.6, 0.4, 0.8), "size"),
    ]
    assert plain(words.share_sentences(shares)) == (
        "Whether most of the model's excess over guessing can be had from light in channel L "
        "cannot be told: 50 % (interval 35 to 68 %). So it is for T (47 %, interval 32 to 64 %). "
        "Most of the model's excess over guessing can be had from light in channel R: 80 % "
        "(interval 60 to 90 %). Whether most of the model's excess over guessing can be had from "
        "size cannot be told: 60 % (interval 40 to 80 %)."
    )
    unknown = [(Share(NAN, NAN, NAN), f"light in channel {name}") for name in "LRT"]
    assert plain(words.share_sentences(unknown)).endswith("itself not shown. So it is for R and T.")


@pytest.mark.parametrize(
    ("found", "promise", "groups", "sentence"),
    [
        (
            Estimate(0.81, 0.77, 0.85),
            *(0.9, 12),
            "Sets hold the true class for 81 % (77 to 85 %) of test cells, where 90 % was "
            "promised: the promise was missed.",
        ),
        (
            Estimate(0.81, 0.61, 1.0),
            *(0.9, 3),
            "Sets hold the true class for 81 % (61 to 100 %) of test cells; 90 % was promised: "
            "whether it was kept cannot be told. With 3 blocks the interval is wide; about 46 "
            "would tell.",
        ),
        (
            Estimate(0.81, 0.61, 1.0),
            *(0.9, 1),
            "Sets hold the true class for 81 % (61 to 100 %) of test cells; 90 % was promised: "
            "whether it was kept cannot be told. Its interval is over cells: how much blocks "
            "differ, a single one does not show.",
        ),
        (
            Estimate(0.81, NAN, NAN),
            *(0.9, 1),
            "Sets hold the true class for 81 % of test cells; 90 % was promised: whether it was "
            "kept cannot be told. There are too few blocks (1) for an interval.",
        ),
        (
            Estimate(0.89, 0.86, 0.92),
            *(0.9, 40),
            "Sets hold the true class for 89 % (86 to 92 %) of test cells; 90 % was promised: the "
            "promise was kept.",
        ),
        (
            Estimate(0.96, 0.93, 0.98),
            *(0.9, 40),
            "Sets hold the true class for 96 % (93 to 98 %) of test cells; 90 % was promised: the "
            "promise was kept.",
        ),
        (
            Estimate(0.87, 0.85, 0.89),
            *(0.9, 90),
            "Sets hold the true class for 87 % (85 to 89 %) of test cells, where 90 % was "
            "promised: the promise was missed.",
        ),
    ],
)
def test_coverage(found: Estimate, promise: float, groups: int, sentence: str) -> None:
    assert (
        plain(words.coverage_sentence(found, promise, groups, "test cells", "blocks")) == sentence
    )


def gain(difference: float, low: float, high: float, groups: int = 6) -> PairedResult:
    return PairedResult(difference, low, high, 0.03, 0.03, 0.001, 20, groups, "")


@pytest.mark.parametrize(
    ("found", "title", "sentence"),
    [
        (
            gain(0.2, 0.1, 0.3),
            f"Better than {CORNERS}",
            f"Gain of net over {CORNERS} in balanced accuracy: +20 points (+10 to +30).",
        ),
        (
            gain(0.05, -0.1, 0.2),
            f"Not shown to be better than {CORNERS}",
            f"Gain of net over {CORNERS} in balanced accuracy: +5 points (−10 to +20). Whether it "
            "is better cannot be told. With 6 blocks the interval is wide; about 54 would tell.",
        ),
        (
            gain(-0.02, -0.04, 0.0),
            f"No better than {CORNERS}",
            f"Gain of net over {CORNERS} in balanced accuracy: −2 points (−4 to +0).",
        ),
        (
            gain(0.01, -0.02, 0.04, 60),
            f"Not shown to be better than {CORNERS}",
            f"Gain of net over {CORNERS} in balanced accuracy: +1 points (−2 to +4). Whether it is "
            "better cannot be told.",
        ),
    ],
)
def test_model_beside_a_control(found: PairedResult, title: str, sentence: str) -> None:
    assert words.better_title(found, CORNERS) == title
    assert plain(words.better_sentence(found, "net", CORNERS, "blocks", BALANCED)) == sentence


def test_gains_of_values_are_no_points() -> None:
    found = words.better_sentence(
        gain(0.3, -0.1, 0.6), "net", CORNERS, "blocks", VALUE_METRICS["r2"]
    )
    assert plain(found).startswith(f"Gain of net over {CORNERS} in R²: +0.30 (−0.10 to +0.60).")
    assert "Whether it is better cannot be told." in found


@pytest.mark.parametrize(
    ("score", "groups", "sentence"),
    [
        (
            Estimate(0.57, 0.29, 0.78),
            3,
            "Not shown: the best model predicts 57 % of cells right (29 to 78 %), and guessing "
            "would get 33 %. With 3 blocks the interval is wide; about 73 would tell.",
        ),
        (
            Estimate(0.25, 0.2, 0.3),
            12,
            "No: the best model predicts 25 % of cells right, no better than guessing (33 %).",
        ),
        (
            Estimate(0.35, 0.32, 0.38),
            80,
            "Not shown: the best model predicts 35 % of cells right (32 to 38 %), and guessing "
            "would get 33 %.",
        ),
    ],
)
def test_model_beside_guessing(score: Estimate, groups: int, sentence: str) -> None:
    assert plain(words.guessing_sentence(score, 1 / 3, groups, "blocks")) == sentence


def test_share_of_an_excess_that_is_not_shown_has_no_interval() -> None:
    rng = np.random.default_rng(0)
    found = explained_share(0.02, 0.03, rng.normal(0.02, 0.1, 500), rng.normal(0.03, 0.1, 500), 0.9)
    assert math.isnan(found.low)
    assert found.is_most == "undecided"


def covered(rates: list[float], cells: int) -> tuple[Estimate, int]:
    """Coverage of one class in groups of so many cells with these fractions covered."""
    sets = np.concatenate([np.arange(cells) < round(rate * cells) for rate in rates])[:, None]
    groups = np.repeat([f"g{k}" for k in range(len(rates))], cells)
    return coverage_by_group(sets, np.zeros(len(sets), np.int64), groups, 0.95)


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        ([0.80, 0.82, 0.81, 0.79, 0.83], "shown"),
        ([0.75, 0.86], "undecided"),  # two groups alone
        ([0.6, 1.0, 0.7, 0.94], "undecided"),
        ([0.5], "undecided"),
        ([0.9, 0.91, 0.92, 0.9, 0.89, 0.9], "ruled out"),
    ],
)
def test_coverage_follows_from_groups(rates: list[float], told: str) -> None:
    cells = 500 if len(rates) > 2 else 40
    found, groups = covered(rates, cells)
    assert groups == len(rates)
    assert words.coverage_verdict(found, 0.9) == told


def test_interval_over_equal_groups_is_students() -> None:
    """Against scipy's t interval of the groups' means, where groups are equally large."""
    from scipy import stats

    rates = [0.5, 0.7, 0.9, 0.8, 0.6]
    found, _ = covered(rates, 1000)
    low, high = stats.t.interval(0.95, 4, np.mean(rates), stats.sem(rates))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_three_groups_that_differ_keep_the_stated_confidence() -> None:
    """Promise kept in the population, three acquisitions: 'missed' is said once in forty times."""
    wrong, trials = 0, 600
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        found, _ = covered(list(np.clip(rng.normal(0.9, 0.05, 3), 0, 1)), 200)
        wrong += words.coverage_verdict(found, 0.9) == "shown"
    assert wrong <= 30  # 15 are expected; 31 or more happen once in 6,000 times


@pytest.mark.parametrize(
    ("found", "groups", "title", "sentence"),
    [
        (
            Estimate(0.2, 0.14, 0.26),
            12,
            "Stated confidence is off",
            "On test cells it differs from the fraction right by 20 % (14 to 26 %) on average; up "
            "to 10 % is tolerated.",
        ),
        (
            Estimate(0.04, 0.0, 0.08),
            12,
            "Stated confidence can be believed",
            "On test cells it differs from the fraction right by 4 % (0 to 8 %) on average; up to "
            "10 % is tolerated.",
        ),
        (
            Estimate(0.09, 0.02, 0.16),
            4,
            "Whether stated confidence can be believed cannot be told",
            "On test cells it differs from the fraction right by 9 % (2 to 16 %) on average; up to "
            "10 % is tolerated. With 4 blocks the interval is wide; about 8 would tell.",
        ),
        (
            Estimate(NAN, NAN, NAN),
            0,
            "Whether stated confidence can be believed cannot be told",
            "On test cells it differs from the fraction right by – on average; up to 10 % is "
            "tolerated. There are too few blocks (0) for an interval.",
        ),
    ],
)
def test_calibration(found: Estimate, groups: int, title: str, sentence: str) -> None:
    assert words.calibration_title(found, 0.1) == title
    assert plain(words.calibration_sentence(found, 0.1, groups, "blocks")) == sentence


@pytest.mark.parametrize(
    ("gap", "lost", "flattery"),
    [
        (
            Estimate(0.3, 0.2, 0.4),
            "External G1 cells are recognised less often",
            "A random split would promise more",
        ),
        (
            Estimate(0.3, 0.02, 0.5),
            "Whether external G1 cells are recognised less often cannot be told",
            "Whether a random split would promise more cannot be told",
        ),
        (
            Estimate(0.0, -0.04, 0.04),
            "External G1 cells are recognised about as often",
            "A random split would promise no more",
        ),
        (
            Estimate(0.3, NAN, NAN),
            "Whether external G1 cells are recognised less often cannot be told",
            "Whether a random split would promise more cannot be told",
        ),
    ],
)
def test_gaps(gap: Estimate, lost: str, flattery: str) -> None:
    assert words.lost_title("G1", gap, 0.1) == lost
    assert words.flattery_title(gap, 0.1) == flattery


def test_a_loss_in_words_may_be_a_gain() -> None:
    assert words.loss_words(Estimate(0.123, -0.02, 0.26)) == "a loss of 12 points (−2 to 26)"
    assert words.loss_words(Estimate(0.123, NAN, NAN)) == "a loss of 12 points"
    assert words.loss_words(Estimate(-0.01, -0.17, 0.14)) == "a gain of 1 point (−14 to 17)"
    assert words.loss_words(Estimate(-0.004, -0.09, -0.001)) == "a loss of 0 points (−9 to 0)"
    assert plain(words.found_words("G1", Estimate(0.4, 0.3, 0.5))) == "G1 40 % (30 to 50 %)"
