"""The check refuses what was not predicted, and lets a truthful text pass."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.summaries.cells import CELLS, CLASSES, DECIDED, UNIT, cell
from tests.summaries.texts import SIGNS, texts
from unstained.summaries.facts import ClassFact, Facts, IntervalFact, ShareFact, ValueFact
from unstained.summaries.grounding import refusal
from unstained.summaries.template import template


@pytest.mark.parametrize(("facts", "kind", "text"), texts("attacks"))
def test_what_was_not_predicted_is_refused(facts: str, kind: str, text: str) -> None:
    refused = refusal(text, CELLS[facts])
    assert refused is not None
    assert refused.kind == kind


@pytest.mark.parametrize(("kind", "text"), SIGNS)
def test_signs_that_are_no_plain_text_are_refused(kind: str, text: str) -> None:
    refused = refusal(text, DECIDED)
    assert refused is not None
    assert refused.kind == kind


@pytest.mark.parametrize(("facts", "text"), texts("allowed_words"))
def test_allowed_words_make_no_falsehood(facts: str, text: str) -> None:
    assert refusal(text, CELLS[facts]) is not None


@pytest.mark.parametrize(("name", "refused", "of"), [("truthful", 2, 49), ("held_out", 4, 12)])
def test_truthful_texts_pass_at_the_stated_rate(name: str, refused: int, of: int) -> None:
    told = texts(name)
    found = [text for facts, text in told if refusal(text, CELLS[facts])]
    assert (len(found), len(told)) == (refused, of), found


@pytest.mark.parametrize("name", CELLS)
def test_the_template_passes_its_own_check(name: str) -> None:
    assert refusal(template(CELLS[name]), CELLS[name]) is None


def test_a_text_of_another_cell_is_refused() -> None:
    for name, facts in CELLS.items():
        for other, text in ((n, template(f)) for n, f in CELLS.items() if n != name):
            assert refusal(text, facts) is not None, (name, other)


def test_the_template_says_what_is_known() -> None:
    assert template(DECIDED) == (
        "Predicted class: granulocyte, with a calibrated probability of 93 %. At 90 % coverage the "
        "prediction set holds this class alone. Predicted values: CD16 3.40 log intensity (90 % "
        "interval 2.20 to 4.45, mean absolute error on test cells 0.61), CD45 5.11 log intensity, "
        "CD3/CD19/CD56 -0.521 log intensity (a pooled channel, 90 % interval -1.21 to 0.0631, mean "
        "absolute error on test cells 0.43), CD123/HLA-DR/CD14 not predicted. The model learned "
        "from simulated cells."
    )
    assert template(CELLS["outside"]).startswith(
        "The model does not decide: at 90 % coverage the prediction set holds monocyte (31 %). The "
        "most probable class, granulocyte (62 %), is not in the set."
    )


names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs", "Mn")), min_size=1
).filter(lambda name: name == name.strip() and len(name) <= 30)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
intervals = st.none() | st.builds(
    lambda ends, alpha: IntervalFact(min(ends), max(ends), alpha),
    st.tuples(numbers, numbers),
    st.sampled_from([0.1, 0.05]),
)


@st.composite
def cells(draw: st.DrawFn) -> Facts:
    """Any cell of any study: names of one line, as config.names allows them."""
    told = draw(st.lists(names, min_size=6, max_size=9, unique=True))
    classes, values, parts = told[:3], told[3:-2], told[-2:]
    raw = draw(st.lists(st.floats(0.001, 1), min_size=3, max_size=3))
    probabilities = tuple(each / sum(raw) for each in raw)
    members = tuple(draw(st.lists(st.sampled_from(classes), unique=True)))
    unit = draw(st.sampled_from(["", "log intensity", "um2", "%", "a.u."]))
    return Facts(
        (
            ClassFact(
                "", tuple(classes), probabilities, members, draw(st.sampled_from([0.1, 0.05]))
            ),
        ),
        tuple(
            ValueFact(name, unit, value, draw(st.none() | st.floats(0, 1e4)), draw(interval))
            for name in values
            for value in [draw(st.none() | numbers)]
            for interval in [st.none() if value is None else intervals]
        ),
        (ShareFact("whole", tuple(parts), (probabilities[0], 1 - probabilities[0])),),
        draw(st.booleans()),
    )


@settings(max_examples=120, deadline=None)
@given(cells())
def test_the_template_of_any_cell_passes(facts: Facts) -> None:
    assume(facts.ambiguous is None)
    assert refusal(template(facts), facts) is None, template(facts)


SHOWN = re.compile(r"(?<![\w/.])-?\d+(?:\.\d+)?(?![\w/])")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["decided", "undecided", "outside", "two tasks", "shares"]),
    st.integers(0, 30),
    st.integers(1, 5000),
    st.booleans(),
)
def test_a_number_changed_in_any_digit_is_refused(
    name: str, which: int, steps: int, up: bool
) -> None:
    facts = CELLS[name]
    text = template(facts)
    found = list(SHOWN.finditer(text))
    number = found[which % len(found)]
    places = len(number[0].partition(".")[2])
    changed = float(number[0]) + (steps if up else -steps) * 10.0**-places
    other = f"{text[: number.start()]}{changed:.{places}f}{text[number.end() :]}"
    assert refusal(other, facts) is not None, other


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(3)), st.sampled_from(["decided", "undecided", "outside", "empty"]))
def test_classes_exchanged_for_each_other_are_refused(order: list[int], name: str) -> None:
    facts = CELLS[name]
    said = sorted({c for c in CLASSES if c in template(facts)})
    exchanged = dict(zip(CLASSES, (CLASSES[k] for k in order), strict=True))
    text = re.sub("|".join(CLASSES), lambda found: exchanged[found[0]], template(facts))
    refused = refusal(text, facts)
    assert (refused is None) == all(exchanged[c] == c for c in said), text


def test_markers_exchanged_for_each_other_are_refused() -> None:
    text = template(DECIDED).replace("CD16", "CDX").replace("CD45", "CD16").replace("CDX", "CD45")
    assert refusal(text, DECIDED) is not None


def test_a_number_of_a_name_that_holds_digits_is_not_taken_for_one() -> None:
    facts = replace(DECIDED, values=(ValueFact("area 2", "um2", 16.0, None),))
    assert (
        refusal("The model predicts a granulocyte. It predicts area 2 at 16.0 um2.", facts) is None
    )
    assert refusal("The model predicts a granulocyte. It predicts area 2 at 2.", facts) is not None


def test_values_in_per_cent_are_no_probabilities() -> None:
    facts = Facts(values=(ValueFact("confluence", "%", 41.5, None),))
    assert refusal("The model predicts a confluence of 41.5 %.", facts) is None
    assert refusal("The model predicts a confluence with a probability of 41.5 %.", facts)


def test_what_is_sure_is_never_said_to_be_certain() -> None:
    sure = cell((0.0, 1.0, 0.0), "granulocyte")
    assert "over 99 %" in template(sure)
    assert refusal("The model predicts a granulocyte with a probability of 100 %.", sure)
    assert refusal("The model predicts a granulocyte (over 99 %). It gives monocyte 0 %.", sure)


def test_a_name_of_two_things_is_seen() -> None:
    assert replace(DECIDED, values=(ValueFact("Monocyte", UNIT, 1.0, None),)).ambiguous
    assert DECIDED.ambiguous is None
