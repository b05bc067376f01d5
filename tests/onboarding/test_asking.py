"""Nothing is guessed: what is not asked is the only candidate, or the only telling one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstained.errors import ParameterError
from unstained.onboarding.asking import NONE, Choice, Question, pick

CHOICES = st.lists(
    st.builds(Choice, st.sampled_from("abcdef"), st.just(""), st.booleans(), st.booleans()),
    max_size=5,
    unique_by=lambda choice: choice.value,
)


@given(CHOICES, st.sampled_from(["", "nothing"]))
def test_what_is_uncertain_is_asked(choices: list[Choice], optional: str) -> None:
    telling = [choice for choice in choices if choice.telling]
    if not choices and not optional:
        with pytest.raises(ParameterError, match="give --x"):
            pick("--x", "?", None, choices, optional=optional)
        return
    answer = pick("--x", "?", None, choices, optional=optional)
    values = [choice.value for choice in choices]
    if isinstance(answer, Question):
        assert len(telling) != 1
        assert sorted(c.value for c in answer.choices) == sorted(values + [NONE] * bool(optional))
        possible = [choice.possible for choice in answer.choices]
        assert possible == sorted(possible, reverse=True)
    elif answer[0] == NONE:
        assert not choices
    else:
        assert [answer[0]] == [choice.value for choice in telling] or (values == [answer[0]])


@given(CHOICES, st.sampled_from("abcdefg"))
def test_an_answer_is_taken_or_refused_never_changed(choices: list[Choice], answer: str) -> None:
    if answer in [choice.value for choice in choices]:
        assert pick("--x", "?", answer, choices) == (answer, "asked for by --x")
    else:
        with pytest.raises(ParameterError, match=f"--x {answer}: there is no such choice"):
            pick("--x", "?", answer, choices)
