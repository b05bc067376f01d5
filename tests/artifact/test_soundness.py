"""An artifact that somebody sealed again with numbers or names that cannot be right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from unstained.artifact.abstention import read_rules
from unstained.artifact.artifact import ABSTENTION_FILE
from unstained.artifact.soundness import require_sound
from unstained.errors import IntegrityError
from unstained.files import read_json

Card = dict[str, Any]


def check(artifact: Path, card: Card) -> None:
    calibrations = card["calibration"]["tasks"]
    require_sound(artifact, card, calibrations, read_rules(artifact))


def test_what_export_wrote_is_sound(artifact: Path) -> None:
    check(artifact, read_json(artifact / "card.json"))


def of_blob(**changes: object) -> Callable[[Card], None]:
    return lambda card: card["calibration"]["tasks"]["blob"].update(changes)


def swapped(card: Card) -> None:
    card["outputs"][0]["classes"] = ["b", "a", "c"]


def swapped_wherever_outputs_stand(card: Card) -> None:
    for entry in (*card["outputs"], card["tasks"][0]):
        if "classes" in entry:
            entry["classes"] = ["b", "a", "c"]


def renamed_alike(card: Card) -> None:
    for entry in (*card["outputs"], card["tasks"][0]):
        if "classes" in entry:
            entry["classes"] = ["a", "a", "c"]


def with_interval(**changes: object) -> Callable[[Card], None]:
    band = {"low": [0.0, 1.0], "high": [0.0, 1.0], "margin": 0.1, "alpha": 0.1} | changes
    return lambda card: card["calibration"]["tasks"].update(DNA=band)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_blob(thresholds=[0.0, 0.0, 0.0]), r"thresholds of blob are \[0.0"),
        (of_blob(thresholds=[0.5, float("nan"), 0.5]), "thresholds of blob"),
        (of_blob(thresholds=[0.5, 0.5]), "2 thresholds for 3 classes"),
        (of_blob(thresholds=[0.5, 0.5, 1.5]), "1 at the most"),
        (of_blob(thresholds=["a", 0.5, 0.5]), "not as written by export"),
        (of_blob(temperature=float("nan")), "temperature of blob is nan"),
        (of_blob(temperature=-1.7), "temperature of blob is -1.7"),
        (of_blob(temperature=5.0), "not of the temperature that is told"),
        (of_blob(alpha=1.0), "error rate of 1.0"),
        (of_blob(confusion=[[1, 2]]), "3 x 3 counts"),
        (lambda card: card["calibration"].update(tasks={}), "not as written by export"),
        (swapped, "different orders or words"),
        (swapped_wherever_outputs_stand, "different orders or words"),
        (renamed_alike, "share one"),
        (lambda card: card["outputs"].pop(1), "not as written by export"),
        (lambda card: card["golden"].update(tolerance=1e9), "tolerance of 1"),
        (lambda card: card["abstention"].update(false_alarms=0.5), "false alarms"),
        (with_interval(margin=float("inf")), "interval of DNA"),
        (with_interval(low=[0.0]), "interval of DNA"),
        (with_interval(alpha=0), "intervals of DNA"),
    ],
)
def test_a_card_that_cannot_be_right_is_refused(
    artifact: Path, change: Callable[[Card], object], message: str
) -> None:
    card = read_json(artifact / "card.json")
    change(card)
    with pytest.raises(IntegrityError, match=message):
        check(artifact, card)


def test_card_and_calibration_must_agree(artifact: Path) -> None:
    card = read_json(artifact / "card.json")
    other = read_json(artifact / "card.json")["calibration"]["tasks"]
    other["blob"]["thresholds"] = [0.9, 0.9, 0.9]
    with pytest.raises(IntegrityError, match="different calibrations"):
        require_sound(artifact, card, other, read_rules(artifact))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("numbers", lambda a: np.array([0.0, *a[1:]]), "not above 0"),
        ("numbers", lambda a: np.array([np.nan, *a[1:]]), "not above 0"),
        ("numbers", lambda a: np.array([np.inf, *a[1:]]), "every cell usual"),
        ("numbers", lambda a: np.array([a[0], 0.9, a[2]]), "false alarms"),
        ("reach", lambda a: a * 0, "not above 0"),
        ("spread", lambda a: a * np.nan, "not finite"),
        ("spread", lambda a: a[1:], "other sizes"),
        ("centre", lambda a: a[1:], "other sizes"),
        ("reference", lambda a: a[:, 1:], "other sizes"),
    ],
)
def test_rules_that_cannot_be_right_are_refused(
    artifact: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    shutil.copy(artifact / "golden.safetensors", tmp_path)
    arrays = load_file(artifact / ABSTENTION_FILE)
    changed = arrays | {name: np.ascontiguousarray(change(arrays[name]))}
    save_file(changed, tmp_path / ABSTENTION_FILE)
    with pytest.raises(IntegrityError, match=message):
        check(tmp_path, read_json(artifact / "card.json"))
