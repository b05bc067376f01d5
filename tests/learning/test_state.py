"""A run's numbers survive the checkpoint's JSON without loss."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from unstained.errors import TrainingError
from unstained.learning.schedule import Plateau
from unstained.learning.state import DivergedError, EpochRecord, Progress, diverged

FINITE = st.floats(allow_nan=False, allow_infinity=False)


SCORE = st.one_of(FINITE, st.just(math.nan))


@given(losses=st.lists(FINITE, max_size=5), factor=FINITE, r=SCORE, share_error=SCORE)
def test_progress_survives_json_bit_for_bit(
    losses: list[float], factor: float, r: float, share_error: float
):
    history = [
        EpochRecord(n, 7 * n, loss, loss, 0.5, r, share_error, 0.1) for n, loss in enumerate(losses)
    ]
    best = min(losses, default=None)
    progress = Progress(3, 4, Plateau(factor, best, 2), 1, best, history, finished=True)
    text = json.dumps(progress.as_json(), allow_nan=False)
    again = Progress.from_json(json.loads(text))
    assert repr(again) == repr(progress)  # repr, because NaN is not equal to itself


def test_divergence_is_a_training_error_that_names_the_place():
    error = diverged("training loss", math.inf, epoch=0, step=3)
    assert isinstance(error, DivergedError)
    assert isinstance(error, TrainingError)
    assert error.message == "the training loss became inf in epoch 1, step 3"
