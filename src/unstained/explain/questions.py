"""What is asked of a network when it is explained: the class that it calls, or a number.

A number has no called class, but a direction: what a network says of a cell lies above or below
what it says of the cell's background alone (contrast 0). `SignedAnswer` gives a number as two
scores, the number and its negative, so that one of them rises with the evidence in the cell and
every measure made for the score of a called class holds for numbers.

Shapes: N cells, B batch, C channels, S canvas side, K scores, D features, h w points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from unstained.explain.saliency import Predict, probabilities
from unstained.explain.signed_answer import SignedAnswer
from unstained.models.trained import TrainedModel
from unstained.statistics.metrics import Floats, Labels
from unstained.tasks.proportion import Proportion
from unstained.tasks.study import Task
from unstained.tasks.value import Value


@dataclass(frozen=True)
class Answer:
    """What a network says of N cells.

    Attributes:
        scores: (N, K) probabilities of classes, or above and below background (see `of_number`).
        called: (N,) the score that is explained.
        number: (N,) predicted numbers as they are served; None for classes.
    """

    scores: Floats
    called: Labels
    number: Floats | None = None


@dataclass(frozen=True)
class Question:
    """A network asked in one way.

    Attributes:
        network: gives logits (B, K) whose called one is explained.
        predict: what is followed while pixels go or come, (B, K).
        answer: of the cells.
    """

    network: nn.Module
    predict: Predict
    answer: Answer


class Ask(Protocol):
    """From a model and images (N, C, S, S) on its device to a question."""

    def __call__(self, trained: TrainedModel, images: torch.Tensor, batch: int) -> Question:
        """Ask, `batch` cells at a time."""
        ...


def ask_class(temperature: float) -> Ask:
    """The probability of the class that a network calls, of logits divided by a temperature."""

    def ask(trained: TrainedModel, images: torch.Tensor, batch: int) -> Question:
        predict = probabilities(trained.network, temperature)
        found = _streamed(predict, images, batch)
        return Question(trained.network, predict, Answer(found, found.argmax(axis=1)))

    return ask


def ask_number(task: str) -> Ask:
    """A value in training's standard deviations, or the share of a proportion's first part.

    Followed is how far it lies above and below what is said of an empty image.
    """

    def ask(trained: TrainedModel, images: torch.Tensor, batch: int) -> Question:
        network = SignedAnswer(trained, task).eval()
        told = _number(network.network, network.task, network.columns)
        nothing = told(torch.zeros_like(images[:1]))

        @torch.inference_mode()
        def predict(cells: torch.Tensor) -> torch.Tensor:
            above = told(cells) - nothing
            return torch.stack([above, -above], dim=1)

        found = _streamed(predict, images, batch)
        number = found[:, 0] + float(nothing[0])
        if isinstance(network.task, Value):
            place = trained.spec.target_names.index(task)
            number = number * trained.spec.target_std[place] + trained.spec.target_mean[place]
        return Question(network, predict, Answer(found, found.argmax(axis=1), number))

    return ask


def _number(
    network: nn.Module, task: Task, columns: slice
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Images to the number that is followed, (B,) float64."""

    @torch.inference_mode()
    def told(images: torch.Tensor) -> torch.Tensor:
        outputs = network(images)
        if isinstance(task, Proportion):
            share: torch.Tensor = task.graph(outputs.logits[:, columns].double())[:, 0]
            return share
        value: torch.Tensor = outputs.targets[:, columns][:, 0].double()
        return value

    return told


def _streamed(predict: Predict, images: torch.Tensor, batch: int) -> Floats:
    parts = [predict(images[start : start + batch]) for start in range(0, len(images), batch)]
    return np.asarray(torch.cat(parts).cpu().numpy())
