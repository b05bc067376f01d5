"""A promoted artifact that has shown on this machine that it answers as it did when it was sealed.

Knows nothing of HTTP. What comes out are the graph's own outputs and, beside the probabilities, the
conformal set: the classes that hold the true one with probability 1 - alpha, for cells like the
validation cells; beside the values, the ends of the intervals that hold them as often; and whether
the cell is one that the model should not be asked about (artifact/abstention.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnxruntime as ort

from unstained.artifact.abstention import REASONS, Rules, read_rules
from unstained.artifact.artifact import (
    CALIBRATION_FILE,
    CARD_FILE,
    CARD_FORMAT,
    MODEL_FILE,
    REMEDY,
)
from unstained.artifact.golden import check_golden
from unstained.artifact.inference import INPUT_NAME, open_session
from unstained.artifact.intervals import read_intervals
from unstained.artifact.padding import pad_batch
from unstained.artifact.signing import Trust, verify_signed
from unstained.artifact.soundness import require_sound
from unstained.errors import IntegrityError, UnstainedError
from unstained.files import read_json
from unstained.serving.threads import thread_count
from unstained.serving.variants import open_int8
from unstained.statistics.conformal import prediction_sets, value_bounds
from unstained.summaries.facts import Facts
from unstained.summaries.served import ENDS, facts_of

DIGEST_VARIABLE: Final = "UNSTAINED_ARTIFACT_DIGEST"
SET_NAME: Final = "conformal_set"
VALUES_NAME: Final = "targets"
ABSTENTION_NAME: Final = "abstention"
EMBEDDING_NAME: Final = "embedding"
BATCH: Final = 16
"""Cells that run through the graph at once: what more of them need leaves the processor's cache."""
CHUNK: Final = 64
"""Cells that are read and handed on together, so that a large source needs no more memory."""
LINEAGE: Final = ("git_commit", "data_digest", "split_digest", "params_digest", "simulated")


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Attributes:
        name: of the tensor.
        dtype: numpy's name, e.g. 'uint16'.
        shape: -1 where any size goes.
        notes: what its axes and numbers mean, as in the model card: classes, targets with units.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """An output made of another: conformal sets of probabilities, ends of intervals of values.

    Attributes:
        tensor: what a client is told of it.
        source: output that it is made of.
        rule: from that output (B, K) as float64.
    """

    tensor: Tensor
    source: str
    rule: Callable[[np.ndarray], np.ndarray]


class Predictor:
    """A graph of an artifact, checked, with what its card says of it.

    Args:
        directory: the artifact.
        expected: its recorded digest; without it only agreement with its own digest.json is shown.
        threads: of the graph; None: as many processors as this process may use.
        int8: whether the INT8 graph answers, which not every artifact has.
        trust: which signatures are asked for; by default what the environment says.

    Attributes:
        directory: the artifact.
        card: content of its card.json.
        name: `unstained-<study>`, also the name of the InferenceService.
        digest: of the artifact.
        signed: who made it, as far as was shown.
        graph: which one answers, 'float32' or 'int8'.
        lineage: git commit and digests of data, split and parameters, from the card.
        input: the pixels.
        outputs: everything that can be asked for.

    Raises:
        IntegrityError: the artifact is incomplete or changed, has another digest, no signature that
            is asked for, or a card of another format or that cannot be right, or answers its golden
            batch differently here.
        UnstainedError: it has no INT8 graph, or a key cannot be read.
    """

    def __init__(
        self,
        directory: Path,
        expected: str | None = None,
        threads: int | None = None,
        *,
        int8: bool = False,
        trust: Trust | None = None,
    ) -> None:
        self.digest, self.signed = verify_signed(directory, expected, trust)
        card = _read_card(directory)
        calibrations = read_json(directory / CALIBRATION_FILE)
        self._rules = read_rules(directory)
        require_sound(directory, card, calibrations, self._rules)
        self.threads = threads or thread_count()
        self._session = _open(directory, self.threads)
        check_golden(directory, self._session, card["golden"]["tolerance"])
        self.graph: Literal["float32", "int8"] = "int8" if int8 else "float32"
        if int8:
            self._session = open_int8(directory, card, self.threads)
        self.directory, self.card = directory, card
        self.name = f"unstained-{card['study']}"
        self.lineage: dict[str, str | bool] = {key: card[key] for key in LINEAGE}
        self.input: Tensor = _tensor(card["inputs"][0])
        graph = tuple(_tensor(output) for output in card["outputs"])
        self._made = {**_sets(graph, calibrations), **_ends(graph, calibrations)}
        made = (one.tensor for one in self._made.values())
        self.outputs = (*graph, *made, _abstention(self._rules))
        self._errors = _mean_absolute_errors(card["metrics"])

    def predict(
        self, images: Sequence[np.ndarray], wanted: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Judge cells of any sizes.

        Args:
            images: (C, h, w) raw counts, of the artifact's dtype and number of channels.
            wanted: names of outputs; all without it.

        Returns:
            By name, with as many rows as images: what the card says of the graph's outputs,
            `conformal_set` (B, K) bool, and `targets_low` and `targets_high` (B, M) float32 where
            every value has an interval; `abstention` (B, R) bool, which reasons speak against an
            answer.

        Raises:
            ExportError: no image, or images that do not belong together.
        """
        pixels = pad_batch(images, self.input.notes.get("white"))
        return self._predict(pixels, images, wanted)

    def predict_batch(
        self, pixels: np.ndarray, wanted: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """As `predict`, for (B, C, H, W) raw counts."""
        return self._predict(pixels, pixels, wanted)

    def _predict(
        self,
        pixels: np.ndarray,
        images: Sequence[np.ndarray] | np.ndarray,
        wanted: Collection[str] | None,
    ) -> dict[str, np.ndarray]:
        names = [o.name for o in self.outputs if wanted is None or o.name in wanted]
        asked = sorted({self._source(name) for name in names})
        parts = [
            self._session.run(asked, {INPUT_NAME: pixels[start : start + BATCH]})
            for start in range(0, len(pixels), BATCH)
        ]
        found = {name: np.concatenate(arrays) for name, *arrays in zip(asked, *parts, strict=True)}
        for name in self._made.keys() & names:
            made = self._made[name]
            found[name] = made.rule(found[made.source].astype(np.float64))
        if ABSTENTION_NAME in names:
            found[ABSTENTION_NAME] = self._rules.abstains(list(images), found[EMBEDDING_NAME])
        return {name: found[name] for name in names}

    def _source(self, name: str) -> str:
        """Output of the graph that an output is made of."""
        if name == ABSTENTION_NAME:
            return EMBEDDING_NAME
        return self._made[name].source if name in self._made else name

    def facts(self, found: Mapping[str, np.ndarray], row: int) -> Facts:
        """What was predicted of one cell, for a summary.

        Args:
            found: answer of `predict` with all outputs.
            row: the cell.
        """
        simulated = bool(self.lineage["simulated"])
        return facts_of(self.outputs, found, row, errors=self._errors, simulated=simulated)


def _mean_absolute_errors(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Value -> mean absolute error on test cells, where the card tells one."""
    of_tasks = metrics.get("task", {})
    return {name: found["mae"] for name, found in of_tasks.items() if found.get("mae") is not None}


def _sets(
    graph: Sequence[Tensor], calibrations: Mapping[str, Mapping[str, Any]]
) -> dict[str, Made]:
    """Conformal sets of every classes task, by name, in the order of the tasks."""
    found = {}
    for tensor in graph:
        if not tensor.name.startswith("probabilities"):
            continue
        of_classes = (name for name, said in calibrations.items() if "thresholds" in said)
        calibration = calibrations[tensor.notes.get("task") or next(of_classes)]
        classes = list(tensor.notes["classes"])
        notes = {"classes": classes, "alpha": calibration["alpha"]}
        if "task" in tensor.notes:
            notes["task"] = tensor.notes["task"]
        name = tensor.name.replace("probabilities", SET_NAME, 1)
        made = Tensor(name, "bool", (-1, len(classes)), notes)
        thresholds = np.array(calibration["thresholds"], np.float64)
        found[name] = Made(made, tensor.name, partial(prediction_sets, thresholds=thresholds))
    return found


def _ends(
    graph: Sequence[Tensor], calibrations: Mapping[str, Mapping[str, Any]]
) -> dict[str, Made]:
    """Both ends of the intervals of values, where each has one."""
    source = next((tensor for tensor in graph if tensor.name == VALUES_NAME), None)
    targets = [] if source is None else list(source.notes["targets"])
    intervals = read_intervals(calibrations, [target["name"] for target in targets])
    if source is None or not intervals:
        return {}
    notes = {"targets": targets, "alpha": [one.alpha for one in intervals.values()]}

    def end(number: int) -> Callable[[np.ndarray], np.ndarray]:
        def rule(values: np.ndarray) -> np.ndarray:
            columns = [
                value_bounds(column, one.low, one.high, one.margin)[number]
                for column, one in zip(values.T, intervals.values(), strict=True)
            ]
            return np.stack(columns, axis=1).astype(np.float32)

        return rule

    return {
        name: Made(Tensor(name, "float32", source.shape, notes), source.name, end(number))
        for number, name in enumerate(ENDS)
    }


def _abstention(rules: Rules) -> Tensor:
    notes = {"reasons": dict(REASONS), "false_alarms": rules.false_alarms}
    return Tensor(ABSTENTION_NAME, "bool", (-1, len(REASONS)), notes)


def expected_digest(environment: Mapping[str, str] = os.environ) -> str | None:
    """The digest that promotion recorded, as the deployment hands it on.

    Raises:
        UnstainedError: the variable is set but holds no sha256; empty would mean unchecked.
    """
    value = environment.get(DIGEST_VARIABLE)
    if value is not None and not re.fullmatch("[0-9a-f]{64}", value):
        raise UnstainedError(
            f"{DIGEST_VARIABLE} is {value!r}, which is no sha256",
            "set it to the artifact's digest (64 hexadecimal digits), or unset it",
        )
    return value


def _read_card(directory: Path) -> dict[str, Any]:
    card: dict[str, Any] = read_json(directory / CARD_FILE)
    if card.get("format") != CARD_FORMAT:
        raise IntegrityError(
            f"{directory / CARD_FILE} has format {card.get('format')}; this server reads "
            f"format {CARD_FORMAT}",
            "serve it with the version of unstained that exported it, or export it again",
        )
    return card


def _open(directory: Path, threads: int) -> ort.InferenceSession:
    try:
        return open_session(directory / MODEL_FILE, threads)
    except Exception as error:  # ONNX Runtime's own classes share no public base
        first = str(error).splitlines()[0]
        raise IntegrityError(
            f"onnxruntime {ort.__version__} cannot load {directory / MODEL_FILE}: {first}", REMEDY
        ) from error


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    """An input or output as the card describes it."""
    shape = tuple(side if isinstance(side, int) else -1 for side in entry["shape"])
    notes = {k: v for k, v in entry.items() if k not in ("name", "dtype", "shape")}
    return Tensor(entry["name"], entry["dtype"], shape, notes)
