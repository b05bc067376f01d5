"""Benchmarks a and b: the input pipeline, and what it costs a training epoch.

(a) Cells per second of packed store + our loader, without a model, against a folder of TIFF files
    read by torchvision's DatasetFolder and a DataLoader with one process a core, with the same
    augmentations image by image.
(b) An epoch of training through the loader against the same steps on one batch that stays in
    memory; once with augmentation in both, once with none of it in the reference.

python -m tests.bench.bench_training
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import DatasetFolder
from torchvision.transforms import v2

from tests.bench.table import Row, show
from tests.synthetic import asked, make_store
from unstained.config.learning import AugmentParams, TrainParams
from unstained.config.networks import NetworkParams
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.imaging.preprocess import Preprocess
from unstained.learning.augment import augment, draw
from unstained.learning.compute import choose_compute, reproducible
from unstained.learning.distributed import Group
from unstained.learning.loop import Training
from unstained.learning.order import epoch_batches, window_steps
from unstained.learning.problem import Problem, pose
from unstained.learning.randomness import Purpose, seed_torch
from unstained.learning.source import Source, open_source
from unstained.models.build import build_model

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
NOTHING = AugmentParams(
    dihedral=False, shift_px=0, scale=0.0, gain=0.0, offset=0.0, noise=0.0, blur_px=0.0
)


def setting(name: str) -> tuple[StudyData, TrainParams, NetworkParams]:
    """Study, training and CG-RecNet of a recipe, with the classes of the synthetic store."""
    study = load_params(PARAMS).studies["nsc"]
    recipe = study.recipes[name]
    changes = {
        "tasks": asked("abc", DNA={"column": "marker_DNA", "transform": "log"}),
    }
    data = StudyData.model_validate({**study.data.model_dump(), **changes})
    network = recipe.models["cg_recnet"]
    assert isinstance(network, NetworkParams)
    return data, recipe.train, network


def best_time(work: Callable[[], None], repeats: int) -> float:
    """Shortest wall time of `work`, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def our_epoch(problem: Problem, train: TrainParams, loading: str) -> Callable[[], None]:
    """All batches of an epoch: order, canvases, contrast, augmentation."""
    train = train.model_copy(update={"loading": loading})
    source = open_source(problem, problem.train, train.loading, torch.device("cpu"), 1)
    window = window_steps(problem.cell_bytes, train.batch_size)

    def run() -> None:
        batches = epoch_batches(len(problem.train), train.batch_size, window, 0, 0)
        for step, contrast in enumerate(source.contrasts(batches, window)):
            draws = draw(train.augment, len(contrast), 0, 0, step)
            augment(contrast, draws, train.augment, problem.scale)

    return run


def posed(folder: Path, cells: int, data: StudyData) -> tuple[CellStore, Problem]:
    """A synthetic store, and the problem to learn from nine tenths of its cells."""
    store = make_store(folder / "store", cells_per_group=max(2, cells // 27), groups_per_class=10)
    val = store.table["acquisition"].str.endswith("_09").to_numpy()
    return store, pose(store, np.flatnonzero(~val), np.flatnonzero(val), data, seed=0)


def write_folder(store: CellStore, problem: Problem, folder: Path) -> None:
    """One TIFF a cell in a folder a class."""
    for row, label in zip(problem.train.rows, problem.train.truth[:, 0], strict=True):
        path = folder / "abc"[int(label)] / f"{row}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, store.images([row])[0][0])


def transforms(problem: Problem, train: TrainParams) -> v2.Compose:
    """The same preprocessing and augmentations, an image at a time."""
    a, side = train.augment, problem.canvas
    preprocess = Preprocess(side, problem.scale)
    return v2.Compose(
        [
            v2.Lambda(lambda image: preprocess(image[None])[0]),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.Lambda(lambda image: image.mT if torch.rand(()) < 0.5 else image),
            v2.RandomAffine(
                0,
                translate=(a.shift_px / side, a.shift_px / side),
                scale=(1 - a.scale, 1 + a.scale),
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
            v2.GaussianBlur(5, sigma=(0.01, a.blur_px)),
            v2.Lambda(lambda image: image * (1 + a.gain * (2 * torch.rand(()) - 1))),
            v2.Lambda(lambda image: image + a.offset / problem.scale * torch.randn(())),
            v2.Lambda(
                lambda image: (
                    image + a.noise / problem.scale * torch.rand(()) * torch.randn_like(image)
                )
            ),
        ]
    )


def read_tiff(path: str) -> torch.Tensor:
    """(1, h, w) raw counts."""
    return torch.from_numpy(tifffile.imread(path).astype(np.float32))[None]


def folder_loader(folder: Path, transform: v2.Compose, train: TrainParams) -> DataLoader:
    """Batches of the folder, images and labels; its worker processes stay between epochs."""
    return DataLoader(
        DatasetFolder(str(folder), read_tiff, extensions=(".tif",), transform=transform),
        train.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=os.cpu_count() or 1,
        persistent_workers=True,
    )


def folder_epoch(folder: Path, problem: Problem, train: TrainParams) -> Callable[[], None]:
    """All batches of an epoch from the folder."""
    loader = folder_loader(folder, transforms(problem, train), train)

    def run() -> None:
        for _ in loader:
            pass

    return run


def pipeline_rows(
    store: CellStore, problem: Problem, train: TrainParams, repeats: int
) -> list[Row]:
    """Benchmark (a)."""
    used = len(problem.train) // train.batch_size * train.batch_size
    with tempfile.TemporaryDirectory() as name:
        write_folder(store, problem, Path(name))
        theirs = folder_epoch(Path(name), problem, train)
        theirs()  # starts the worker processes
        rate = used / best_time(theirs, repeats)
    rows = []
    for loading in ("resident", "stream"):
        mine = used / best_time(our_epoch(problem, train, loading), repeats)
        how = f"{mine:,.0f} cells/s against {rate:,.0f}"
        rows.append(Row(f"packed store, {loading} / folder + DataLoader", mine / rate, None, how))
    return rows


class Repeated:
    """A source that gives the batch of its first request for ever."""

    def __init__(self, contrast: torch.Tensor) -> None:
        self.contrast = contrast

    def contrasts(self, batches: list[np.ndarray], steps_per_window: int):
        """See `learning.source.Source`."""
        for _ in batches:
            yield self.contrast


def trainer(problem: Problem, train: TrainParams, network: NetworkParams) -> Training:
    """Training as `fit` sets it up on this machine, without checkpoints."""
    seed_torch(0, Purpose.WEIGHTS)
    model = build_model(network, problem.tasks.logits, 1)
    group = Group()
    return Training(model, problem, train, 0, group, choose_compute(train, group), None)


def repeated_batch(training: Training) -> Repeated:
    """Contrast of one batch that stays where the network is."""
    batch = np.arange(min(training.train.batch_size, len(training.problem.train)))
    return Repeated(next(iter(training.source.contrasts([batch], 1))))


def epoch_seconds(
    training: Training, variants: dict[str, tuple[Source, TrainParams]], rounds: int
) -> dict[str, float]:
    """Shortest wall time of an epoch of each variant, a source and parameters.

    The variants take turns, so that a busy machine slows all alike. A first round warms up.
    """
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, (training.source, training.train) in variants.items():
            training.progress.step = 0
            start = time.perf_counter()
            training._train_epoch(lambda count: None)
            finish(training.compute.device)
            times[name].append(time.perf_counter() - start)
    return {name: min(values[1:]) for name, values in times.items()}


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def epoch_rows(
    problem: Problem, train: TrainParams, network: NetworkParams, rounds: int
) -> list[Row]:
    """Benchmark (b)."""
    with reproducible():
        training = trainer(problem, train, network)
        repeated = repeated_batch(training)
        plain = train.model_copy(update={"augment": NOTHING})
        variants = {
            "loader": (training.source, train),
            "resident batch": (repeated, train),
            "resident batch, not augmented": (repeated, plain),
        }
        seconds = epoch_seconds(training, variants, rounds)
    through = seconds["loader"]
    return [
        Row(
            f"epoch through the loader / {name}",
            seconds[name] / through,
            0.97 if name == "resident batch" else None,
            f"{through:.2f} s against {seconds[name]:.2f} s",
        )
        for name in list(variants)[1:]
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1200)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    data, train, network = setting("demo")
    with tempfile.TemporaryDirectory() as name:
        store, problem = posed(Path(name), arguments.cells, data)
        rows = pipeline_rows(store, problem, train, arguments.repeats)
        rows += epoch_rows(problem, train, network, arguments.repeats)
    show(f"(a, b) training input, {len(problem.train):,} cells of {data.canvas} px", rows)


if __name__ == "__main__":
    main()
