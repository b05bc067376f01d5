"""One network's maps, measured cell by cell beside maps that know nothing of the network.

Shapes: N cells, S canvas side, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained.config.explain import ExplainParams
from unstained.config.models import EnsembleParams
from unstained.config.networks import NetworkBase
from unstained.evaluation.predictions import BATCH
from unstained.explain import sanity
from unstained.explain.activation import evidence_lift
from unstained.explain.cells import Sample
from unstained.explain.gradcam import Agreement, agreement, device_of
from unstained.explain.localisation import pointing_game
from unstained.explain.maps import Explainer, explainer_of
from unstained.explain.questions import Answer, Ask
from unstained.explain.saliency import control_saliency, perturb
from unstained.explain.signed_answer import SignedAnswer
from unstained.imaging.symmetry import Exchanges
from unstained.models.network import PooledNetwork
from unstained.models.trained import TrainedModel
from unstained.models.view import cells_at_once
from unstained.statistics.metrics import Floats, Labels

MAP: Final = "map"
"""Name of the network's own map among the orders; the others are `saliency.CONTROLS`."""

ORDERED: Final = {"insertion": 1, "deletion": -1, "lift": 1, "pointing": 1}
"""Measures that have controls, and the sign of what is better."""

TURNED: Final = ("overlap", "correlation")
"""Measures of stability."""


@dataclass(frozen=True)
class Measured:
    """One network.

    Attributes:
        explainer: what is explained.
        agreement: whether class activation map and Grad-CAM agree; None for networks without one.
        answer: what it says of the cells, and which score of it is explained.
        maps: (N, S, S) signed.
        scores: measure -> order (MAP or a control) -> (N,), NaN where undefined.
        cascade: maps after randomising, from the head down.
    """

    explainer: Explainer
    agreement: Agreement | None
    answer: Answer
    maps: Floats
    scores: Mapping[str, Mapping[str, Floats]]
    cascade: tuple[sanity.Depth, ...]


class NothingToExplainError(ValueError):
    """A model's maps cannot be measured on the study's test cells; the message says why."""


def measure(
    trained: TrainedModel, sample: Sample, ask: Ask, params: ExplainParams, seed: int
) -> Measured:
    """Measure the maps of what a network says of each cell.

    Args:
        trained: a model, on any device.
        sample: N test cells.
        ask: for the class that it calls, or for a number (explain/questions.py).
        params: see there.
        seed: of the random control, of ties and of shuffled weights.

    Raises:
        NothingToExplainError: the model is no network, may have learnt from these very cells, or
            says the same of all of them.
        ValueError: no layer of the network maps the image.
    """
    _check(trained)
    device = device_of(trained.network)
    batch = cells_at_once(trained.network, BATCH[device.type])
    images = sample.canvases.contrast(slice(None), trained.spec.scale).to(device)
    question = ask(trained, images, batch)
    network, answer, predict = question.network, question.answer, question.predict
    if not np.ptp(answer.scores, axis=0).any():
        raise NothingToExplainError("it says the same of every cell: no pixel matters to it")
    called = answer.called
    explainer = explainer_of(trained, network, images)
    maps = explainer.maps(network, images, called, batch)
    # Contrast 0 is each image's own background: what is there without a cell.
    nothing = torch.zeros(1, device=device)
    orders = {MAP: maps, **control_saliency(images, nothing, seed)}
    scores: dict[str, dict[str, Floats]] = {name: {} for name in ORDERED}
    for name, order in orders.items():
        areas = perturb(
            predict, images, order, called, nothing, seed=seed, steps=params.steps, batch=batch
        )
        scores["insertion"][name], scores["deletion"][name] = areas.insertion, areas.deletion
        scores["lift"][name] = evidence_lift(order, sample.masks)
        scores["pointing"][name] = pointing_game(order, sample.masks, params.pointing_tolerance_px)

    def explain(other: nn.Module, cells: torch.Tensor) -> Floats:
        return explainer.maps(other, cells, called, batch)

    return Measured(
        explainer,
        _agreement(trained, network, images, called, batch),
        answer,
        maps,
        scores | _turned(network, images, explain, sample.swaps, params.top, seed),
        sanity.cascade(network, images, explain, stages=params.depths, seed=seed),
    )


def _agreement(
    trained: TrainedModel, network: nn.Module, images: torch.Tensor, called: Labels, batch: int
) -> Agreement | None:
    """Of a network that ends in a mean and a linear head, and of the head that has the map."""
    if isinstance(network, SignedAnswer):
        exact = isinstance(trained.network, PooledNetwork) and network.mapped
        return agreement(network, images, called, batch=batch) if exact else None
    if isinstance(network, PooledNetwork):
        return agreement(network, images, called, batch=batch)
    return None


def _check(trained: TrainedModel) -> None:
    model = trained.spec.model
    if isinstance(model, EnsembleParams):
        raise NothingToExplainError(
            "several models answer together, and a map is of one of them: their maps are measured "
            "where each stands in baselines.models by itself"
        )
    if not isinstance(model, NetworkBase):
        raise NothingToExplainError("it decides by measured features, not by pixels: it has no map")
    if model.partition == "reference":
        raise NothingToExplainError(
            "it learnt under the other split, perhaps from these very cells: not measured"
        )


def _turned(
    network: nn.Module,
    images: torch.Tensor,
    explain: sanity.Explain,
    swaps: Exchanges | None,
    top: float,
    seed: int,
) -> dict[str, dict[str, Floats]]:
    """Stability of the maps, and of maps drawn anew at random every time: what chance gives."""
    rng = np.random.default_rng([seed, 2])
    chance = sanity.stability(
        lambda cells: rng.random((len(cells), *cells.shape[2:])), images, top=top
    )
    own = sanity.stability(lambda cells: explain(network, cells), images, top=top, swaps=swaps)
    pairs = {MAP: own, "random": chance}
    overlap, correlation = TURNED
    return {
        overlap: {name: found.iou.mean(axis=0) for name, found in pairs.items()},
        correlation: {name: found.pearson.mean(axis=0) for name, found in pairs.items()},
    }
