"""What Prometheus is told: requests, latency, queue, batches, cells, classes, abstentions.

Nothing here holds pixels, ids or names that a client chose, so the number of series is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest

from unstained.artifact.abstention import REASONS
from unstained.serving.predictor import ABSTENTION_NAME, Predictor
from unstained.serving.watching import Watch
from unstained.summaries.served import PROBABILITIES

disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_1_0_0
SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CELLS: Final = (1, 2, 4, 8, 16, 32, 64)


Outcome = Literal["changed", "refused", "returned"]
"""Of a change of the model: it answers; the one before was kept; it failed and the one before is
back."""


class Metrics:
    """Counts of one process.

    Args:
        predictor: whose answers are counted; those that follow it tell the same classes.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._registry = place = CollectorRegistry()
        by = ["transport", "status"]
        told = "Requests by transport and HTTP status (of gRPC: what it stands for)."
        self._requests = Counter("unstained_requests", told, by, registry=place)
        self._by_status: dict[tuple[str, int], Counter] = {}
        told = "Time to answer an inference request."
        self._latency = Histogram(
            "unstained_request_seconds", told, by[:1], buckets=SECONDS, registry=place
        )
        told = "Cells of a batch."
        self._batches = Histogram("unstained_batch_cells", told, buckets=CELLS, registry=place)
        told = "Time that the graph took for a batch."
        self._computing = Histogram(
            "unstained_batch_seconds", told, buckets=SECONDS, registry=place
        )
        told = "Cells that wait for the graph."
        self.queue = Gauge("unstained_queue_cells", told, registry=place)
        told = "Cells that were judged."
        self._cells = Counter("unstained_cells", told, registry=place)
        told = "Cells by most probable class."
        self._classes = Counter(
            "unstained_predicted_cells", told, ["task", "label"], registry=place
        )
        told = "Cells that rules of abstention were asked about."
        self._watched = Counter("unstained_watched_cells", told, registry=place)
        told = "Cells that speak against an answer, by reason, among those that were watched."
        self._abstained = Counter("unstained_abstained_cells", told, ["reason"], registry=place)
        self._model = Info("unstained_model", "What is served.", registry=place)
        told = "What stands beside the model that answers."
        self._challenger = Info("unstained_challenger", told, registry=place)
        told = "Requests that the challenger answers."
        self._taken = Counter("unstained_challenger_requests", told, registry=place)
        told = "Cells that the challenger was compared on, by whether it calls them the same."
        self._compared = Counter("unstained_shadow_cells", told, ["outcome"], registry=place)
        told = "Share of refused cells in the newest window; NaN before the first one."
        refused = Gauge("unstained_refused_share", told, registry=place)
        refused.set_function(lambda: self._watch.seen.refused if self._watch.seen else math.nan)
        told = "1 where the newest window holds too many refused cells, see serving/watching.py."
        drift = Gauge("unstained_drift", told, registry=place)
        drift.set_function(lambda: bool(self._watch.seen and self._watch.seen.rings))
        told = "Share of cells like the validation cells that are refused, at most."
        self._promised = Gauge("unstained_promised_refused_share", told, registry=place)
        told = "Changes of the model that were asked for, by what became of them."
        self._changes = Counter("unstained_model_changes", told, ["outcome"], registry=place)
        self._watch = Watch(0.0)
        self._labels = {
            tensor.name: (tensor.notes.get("task", ""), tuple(tensor.notes["classes"]))
            for tensor in predictor.outputs
            if tensor.name.startswith(PROBABILITIES)
        }

    def serves(self, predictor: Predictor, version: str) -> None:
        """Say which model answers from now on."""
        signed = predictor.signed.by or ""
        told = {"model": predictor.name, "version": version, "digest": predictor.digest}
        self._model.info({**told, "signed_by": signed})
        promised = float(predictor.card["abstention"]["false_alarms"])
        self._promised.set(promised)
        self._watch = Watch(promised)

    def change(self, outcome: Outcome) -> None:
        """Count a change of the model."""
        self._changes.labels(outcome).inc()

    def challenged(self, predictor: Predictor, version: str, share: float) -> None:
        """Say which model stands beside the one that answers."""
        told = {"version": version, "digest": predictor.digest, "share": f"{share:g}"}
        self._challenger.info(told)

    def taken(self) -> None:
        """Count a request that the challenger answers."""
        self._taken.inc()

    def compared(self, same: int, other: int) -> None:
        """Count cells that the challenger calls the same, and by another class."""
        self._compared.labels("same").inc(same)
        self._compared.labels("other").inc(other)

    def due(self) -> bool:
        """Whether rules of abstention should be asked about the next batch."""
        return self._watch.due()

    def request(self, transport: str, status: int) -> None:
        """Count a request."""
        if (known := self._by_status.get((transport, status))) is None:
            known = self._requests.labels(transport, str(status))
            self._by_status[transport, status] = known
        known.inc()

    def answered(self, transport: str, seconds: float) -> None:
        """Count the time that an answered inference request took."""
        self._latency.labels(transport).observe(seconds)

    def batch(self, found: Mapping[str, np.ndarray], cells: int, seconds: float) -> None:
        """Count a batch and what was predicted in it."""
        self._batches.observe(cells)
        self._computing.observe(seconds)
        self._cells.inc(cells)
        for name, (task, classes) in self._labels.items():
            counts = np.bincount(found[name].argmax(axis=1), minlength=len(classes)).tolist()
            for label, number in zip(classes, counts, strict=True):
                if number:
                    self._classes.labels(task, label).inc(number)
        if ABSTENTION_NAME in found:
            self._watched.inc(cells)
            self._watch.add(found[ABSTENTION_NAME])
            numbers = np.count_nonzero(found[ABSTENTION_NAME], axis=0).tolist()
            for reason, number in zip(REASONS, numbers, strict=True):
                if number:
                    self._abstained.labels(reason).inc(number)

    def text(self) -> bytes:
        """All counts in Prometheus' text form."""
        return generate_latest(self._registry)
