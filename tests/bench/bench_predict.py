"""Benchmark: `unstained predict` against its own parts, onnxruntime and the decoder.

    python -m tests.bench.bench_predict --study nsc --cells 8000

In one run on all cores: predictions from a packed store and from files, raw onnxruntime on the same
pixels held in memory in batches of 64, and decoding of the same files alone. It takes the images of
a project that has a champion (`make repro`).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.bench.table import Row, show
from unstained.answering import predict_study, settled_study
from unstained.artifact.inference import INPUT_NAME, open_session
from unstained.artifact.padding import pad_batch
from unstained.config.project import load_params
from unstained.pipeline.catalogue import pick_params
from unstained.prediction.source import Cells, open_cells
from unstained.processes import in_order
from unstained.registry.registry import Registry
from unstained.serving.predictor import CHUNK
from unstained.serving.threads import thread_count
from unstained.stages.ingest import STAGE


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def copies(source: Path, place: Path, cells: int) -> Path:
    """Copies of the sample directories of a source until they hold as many cells, or more."""
    suffix, found, number = "_Ch1.ome.tif", 0, 0
    samples = sorted(path for path in source.iterdir() if path.is_dir())
    while found < cells:
        sample = samples[number % len(samples)]
        target = place / f"{number:05d}"
        target.mkdir(parents=True)
        for path in sample.glob(f"*{suffix}"):
            shutil.copy(path, target / path.name.replace(sample.name, target.name))
            found += 1
        number += 1
    return place


def read_batch(batch: object) -> int:
    """Decode the cells of a batch, and let them go."""
    return sum(1 for _ in batch.read())  # type: ignore[attr-defined]


def decode(cells: Cells) -> None:
    """Decode everything on all cores."""
    list(in_order(read_batch, cells.batches, thread_count(), what="decoding", remedy=""))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="nsc")
    parser.add_argument("--cells", type=int, default=8000)
    given = parser.parse_args()
    root = Path.cwd()
    content = load_params(root / "params.yaml").content(given.study, ())
    params = pick_params(STAGE, content, None)
    (source,) = (root / "state" / "simulated").glob(f"{given.study}-*/images")
    with tempfile.TemporaryDirectory() as temporary:
        folder = copies(source, Path(temporary) / "images", given.cells)
        cells = open_cells(params.data, folder, None, params.ingest)  # type: ignore[attr-defined]
        pixels = [seen.pixels for batch in cells.batches for seen in batch.read()]
        judged = [image for image in pixels if image is not None]
        batches = [pad_batch(judged[n : n + CHUNK]) for n in range(0, len(judged), CHUNK)]
        registry = Registry(None, root)
        version = settled_study(root, given.study, registry).require_champion()
        assert version is not None
        artifact = registry.download(version, Path(temporary) / "artifact")
        session = open_session(artifact / "model.onnx", thread_count())
        session.run(None, {INPUT_NAME: batches[0]})
        raw = seconds(lambda: [session.run(None, {INPUT_NAME: batch}) for batch in batches])
        decoding = seconds(lambda: decode(cells))
        out = Path(temporary) / "found.parquet"
        whole = seconds(lambda: predict_study(root, given.study, folder, out))
    count = len(judged)
    one = np.mean([batch.nbytes / len(batch) for batch in batches])
    show(
        f"predict, {count:,} cells of {one / 1024:.0f} KiB, v{version.version}",
        [
            Row("predict from files / raw onnxruntime", raw / whole, 0.9,
                f"{count / whole:,.0f} against {count / raw:,.0f} cells/s"),
            Row("predict from files / decoding and onnxruntime, one after the other",
                (raw + decoding) / whole, None,
                f"{whole:.1f} s against {decoding:.1f} + {raw:.1f} s"),
            Row("predict from files / decoding alone", decoding / whole, 0.8,
                f"{count / whole:,.0f} against {count / decoding:,.0f} cells/s"),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
