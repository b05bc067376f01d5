from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.learning.tuning_process import DEFAULTS, SPACE, Bowl, bowl_search
from unstained.config.search_space import Range
from unstained.errors import ParameterError, TrainingError
from unstained.learning.journal import Journal, TrialRecord
from unstained.learning.search import Report
from unstained.learning.tuning import best_trial, search

finite = st.floats(allow_nan=False, allow_infinity=False)
histories = st.lists(st.tuples(st.integers(1, 99), finite), max_size=4).map(tuple)
records = st.builds(
    TrialRecord,
    trial=st.integers(0, 9),
    state=st.sampled_from(["completed", "pruned", "diverged"]),
    value=st.none() | finite,
    epochs=st.integers(1, 99),
    params=st.dictionaries(st.text(max_size=8), finite, max_size=3),
    history=histories,
)


@settings(max_examples=60, deadline=None)
@given(kept=st.lists(records, max_size=4, unique_by=lambda record: record.trial))
def test_journal_returns_what_was_appended(
    kept: list[TrialRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "sub" / "trials.jsonl", "a")
    for record in kept:
        journal.append(record)
    assert journal.read() == {record.trial: record for record in kept}
    assert Journal(journal.path, "b").read() == {}


@settings(max_examples=60, deadline=None)
@given(
    kept=st.lists(records, min_size=1, max_size=3, unique_by=lambda record: record.trial),
    extra=records,
    data=st.data(),
)
def test_journal_cut_anywhere_keeps_whole_lines_and_goes_on(
    kept: list[TrialRecord],
    extra: TrialRecord,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "trials.jsonl", "a")
    for record in kept:
        journal.append(record)
    content = journal.path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    journal.path.write_bytes(content[:cut])

    survivors = journal.read()

    whole = content[:cut].count(b"\n")
    assert list(survivors.values())[:whole] == kept[:whole]
    assert len(survivors) <= whole + 1  # a line that lacks only its newline counts
    journal.append(extra)
    assert journal.read() == survivors | {extra.trial: extra}


def test_journal_with_a_damaged_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"config": "a", "tri\n{"config": "b"}\n')
    with pytest.raises(TrainingError, match="line 1"):
        Journal(path, "a").read()


def test_search_finds_the_minimum_and_begins_with_the_defaults(tmp_path: Path) -> None:
    trials = search(bowl_search("inline", tmp_path, 40))
    assert [record.trial for record in trials] == list(range(40))
    assert dict(trials[0].params) == DEFAULTS
    best = best_trial(trials)
    assert abs(best.params["train.x"] - 0.3) < 0.15
    assert best.params["train.z"] == ["far", "near"]
    assert best.value == min(loss for record in trials for _, loss in record.history)
    assert all(
        SPACE[name].holds(value) for record in trials for name, value in record.params.items()
    )


def test_weak_trials_are_stopped_early(tmp_path: Path) -> None:
    trials = search(bowl_search("inline", tmp_path, 12))
    pruned = [record for record in trials if record.state == "pruned"]
    assert pruned
    assert all(record.epochs < 4 for record in pruned)
    assert all(record.epochs == 4 for record in trials if record.state == "completed")
    assert best_trial(trials).state == "completed"


def test_same_seed_same_trials_another_seed_others(tmp_path: Path) -> None:
    problem = bowl_search("inline", tmp_path, 6)
    first = search(problem)
    again = search(replace(problem, journal=tmp_path / "again.jsonl"))
    other = search(replace(problem, journal=tmp_path / "other.jsonl", seed=8))
    assert first == again
    assert first[1].params != other[1].params


@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_resumed_search_equals_an_uninterrupted_one(tmp_path: Path, stopped_after: int) -> None:
    problem = bowl_search("inline", tmp_path, 6)
    whole = search(replace(problem, journal=tmp_path / "whole.jsonl"))
    (tmp_path / "started").unlink()
    ended: list[TrialRecord] = []

    def stop(record: TrialRecord) -> None:
        ended.append(record)
        if len(ended) == stopped_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(problem, stop)
    assert search(problem) == whole
    started = (tmp_path / "started").read_text().splitlines()
    assert len(started) == len(set(started)) == 6
    search(problem)  # nothing is left to do
    assert (tmp_path / "started").read_text().splitlines() == started


def test_killed_search_resumes_without_repeating_a_trial(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.learning.tuning_process"]
    arguments = ["inline", str(tmp_path), "6", "1", "0.1"]
    process = subprocess.Popen([*command, *arguments])
    journal = tmp_path / "journal.jsonl"
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    with journal.open("a") as file:
        file.write('{"config": "torn')
    done = journal.read_bytes().count(b"\n")
    assert 2 <= done < 6
    trials = search(bowl_search("inline", tmp_path, 6, delay=0.1))

    reference = tmp_path / "reference"
    reference.mkdir()
    assert trials == search(bowl_search("inline", reference, 6))
    started = (tmp_path / "started").read_text().splitlines()
    assert 6 <= len(started) <= 7  # only the trial under way may have begun twice
    assert len(set(started)) == 6
    assert started[:done] == [repr(record.params["train.x"]) for record in trials[:done]]
    assert started.count(started[0]) == 1
    assert [json.loads(line)["trial"] for line in journal.read_text().splitlines()] == list(
        range(6)
    )


def test_trials_of_another_configuration_are_not_taken_over(tmp_path: Path) -> None:
    problem = bowl_search("inline", tmp_path, 3)
    search(problem)
    narrow = {**SPACE, "train.x": Range(low=0.5, high=1)}
    trials = search(replace(problem, space=narrow))
    assert len(trials) == 3
    assert all(record.params["train.x"] >= 0.5 for record in trials)


class Explosive(Bowl):
    """Diverges in epoch 2 where x is above 0.5."""

    def __call__(self, params: Mapping[str, float], report: Report) -> None:
        report(1, 0.001) if params["train.x"] > 0.5 else report(1, 1.0)
        if not report(2, math.nan if params["train.x"] > 0.5 else 0.5):
            return
        report(3, 0.4)


def test_diverged_trials_finish_and_never_win(tmp_path: Path) -> None:
    problem = replace(bowl_search("inline", tmp_path, 8), objective=Explosive(tmp_path / "started"))
    trials = search(problem)
    states = {record.state for record in trials}
    assert "diverged" in states
    assert all(
        record.state == "diverged" and record.epochs == 2
        for record in trials
        if record.params["train.x"] > 0.5 and record.epochs > 1
    )
    assert best_trial(trials).params["train.x"] <= 0.5
    assert search(problem) == trials  # also what was read back from the journal
    diverged = tuple(record for record in trials if record.state == "diverged")
    with pytest.raises(TrainingError, match="every trial"):
        best_trial(diverged)


def test_impossible_searches_are_refused(tmp_path: Path) -> None:
    problem = bowl_search("inline", tmp_path, 3)
    with pytest.raises(ParameterError, match=r"train\.x is 2\.0"):
        search(replace(problem, defaults={**DEFAULTS, "train.x": 2.0}))
    with pytest.raises(ParameterError, match="empty"):
        search(replace(problem, space={}, defaults={}))
