"""The paper's tables stand beside ours with floor and controls, and its caveats add up."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unstained.evaluation.baselines.share_tables import Scored
from unstained.report.mixture_section import Mixtures, mixture_section, shown
from unstained.report.page import Definitions, Plots, Table
from unstained.statistics.paired import PairedResult
from unstained.studies.mixture.printed import CONSTANT, FLOOR, PAIRS, TABLE_1, TABLE_2

LEVELS = np.arange(11) / 10
NAN = float("nan")


def row(loss: float, accuracy: float) -> dict[str, Scored]:
    one = Scored(loss, accuracy, 0.01, NAN)
    return {"test": one, "val": one, "train": Scored(NAN, NAN, NAN, NAN)}


def found(*models: str) -> Mixtures:
    anchors = {"floor": row(0.44, 1.0), "constant": row(0.7, 0.72), "movie mean": row(0.7, 0.72)}
    pair = PairedResult(-0.02, -0.05, 0.01, 0.25, 0.03, None, None, 11, "few movies")
    errors = pd.DataFrame({"model": "m", "share": LEVELS, "error": LEVELS / 5})
    return Mixtures(
        models={model: row(0.6, 0.8) for model in models},
        anchors=anchors,
        pairs={pair_of: pair for pair_of in PAIRS if set(pair_of) <= set(models)},
        errors=errors,
        replicates=1,
    )


def test_ours_stand_before_what_is_printed_and_above_the_controls() -> None:
    section = mixture_section(found("single_stream_l2_5e-2", "differential_l2_5e-2"))
    assert section is not None
    first, second, pairs, errors, said = section.blocks
    assert isinstance(first, Table)
    assert isinstance(second, Table)
    assert isinstance(pairs, Table)
    assert isinstance(errors, Plots)
    assert isinstance(said, Definitions)
    assert len(first.rows) == 3 + 3
    assert len(second.rows) == 4 + 3
    rows = {one[0].text: [(cell.text, cell.detail) for cell in one[1:]] for one in second.rows}
    test, validation, training = (rows["full, one stream"][k : k + 3] for k in (0, 3, 6))
    assert test == [("0.600", "paper 0.585"), ("0.160", "± 0.010"), ("0.800", "paper 0.813")]
    assert validation[0] == ("0.600", "paper 0.588")
    assert training == [("–", "paper 0.531"), ("–", ""), ("–", "paper 0.870")]
    assert [text for text, _ in rows["half, two streams"]] == ["–"] * 9
    assert rows["half, two streams"][2][1] == "paper 0.870"
    assert rows["constant"][0] == ("0.700", "even 0.693")
    assert rows["entropy of the truth"][1] == ("0.000", "")
    assert (first.note, "which no prediction undercuts" in second.note) == ("", True)
    assert [cell.text for cell in pairs.rows[0]][2:] == ["−0.020", "0.250", "11"]
    assert pairs.note == "few movies"
    assert mixture_section(found("resnet50")) is None


def test_models_are_taken_in_the_papers_order_once() -> None:
    assert shown(("differential_half", "x", "single_stream_l2_5e-2")) == (
        "single_stream_l2_5e-2",
        "differential_half",
    )


def test_what_is_printed_agrees_with_itself_and_with_arithmetic() -> None:
    twice = "single_stream_l2_5e-2"
    assert TABLE_1[twice][1] == TABLE_2[twice][1]
    inner = LEVELS[1:-1]
    entropy = -(inner * np.log(inner) + (1 - inner) * np.log(1 - inner)).sum() / len(LEVELS)
    assert abs(entropy - FLOOR) < 1e-4
    assert abs(np.log(2) - CONSTANT[0]) < 1e-4
    assert abs(1 - np.abs(LEVELS - 0.5).mean() - CONSTANT[1]) < 1e-4
    assert all(loss > FLOOR for _, rows in TABLE_2.values() for loss, _ in rows)
