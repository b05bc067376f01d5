"""Example cells: those of the artifact's golden batch."""

from __future__ import annotations

from collections.abc import Iterator

from safetensors.numpy import load_file

from unstained.artifact.artifact import GOLDEN_FILE
from unstained.artifact.inference import INPUT_NAME
from unstained.prediction.source import Seen
from unstained.serving.predictor import Predictor


def example_cells(predictor: Predictor) -> Iterator[Seen]:
    """The golden cells, named as in their study."""
    batch = load_file(predictor.directory / GOLDEN_FILE)[INPUT_NAME]
    names = predictor.card["golden"]["cells"]
    for number, (name, pixels) in enumerate(zip(names, batch, strict=True)):
        acquisition, _, index = str(name).rpartition("/")
        yield Seen(acquisition, int(index) if index.isdecimal() else number, name, pixels)
