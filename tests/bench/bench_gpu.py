"""Benchmark g: images a second of training CG-RecNet at full width, preset text, on a GPU.

At 64 pixels (native resolution) and at 224: ours, with the packed set on the device, batched
augmentation, channels last and what `choose_compute` sets (bfloat16, compiled), against

(a) the same network in a plain loop, float32 as torch has it, fed by a folder of TIFF files through
    torchvision's DatasetFolder and a DataLoader with one process a core, the same augmentations
    image by image, resized there to 224 pixels;
(b) our own steps on one batch that stays on the device.

python -m tests.bench.bench_gpu            # without a GPU it says what it would measure
python -m tests.bench.bench_gpu --small    # on the CPU, tiny: does it run?
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from tests.bench.bench_training import (
    epoch_seconds,
    finish,
    folder_loader,
    posed,
    repeated_batch,
    setting,
    trainer,
    transforms,
    write_folder,
)
from tests.bench.table import Row, show
from unstained.config.learning import TrainParams
from unstained.config.model_input import InputParams
from unstained.config.networks import NetworkParams
from unstained.learning.compute import device_type, reproducible
from unstained.learning.problem import Problem
from unstained.models.build import build_model

RESCALED = 224

SMALL = {"width": 0.125, "depth": (1, 1, 1, 1), "stem_stride": 2}
"""A network that a CPU trains in no time."""


@dataclass(frozen=True)
class Rates:
    """Images a second at one resolution.

    Attributes:
        side: of what the network sees, pixels.
        ours, plain, resident: training as it is, benchmark (a), benchmark (b).
    """

    side: int
    ours: float
    plain: float
    resident: float

    def rows(self, goals: tuple[float | None, float | None]) -> list[Row]:
        """Both ratios, with goals for (a) and (b)."""
        others = {
            "a plain loop over an image folder": (self.plain, goals[0]),
            "the same steps on a resident batch": (self.resident, goals[1]),
        }
        return [
            Row(
                f"{self.side} px, training / {name}",
                self.ours / rate,
                goal,
                f"{self.ours:,.1f} images/s against {rate:,.1f}",
            )
            for name, (rate, goal) in others.items()
        ]


def measure(
    problem: Problem, folder: Path, train: TrainParams, network: NetworkParams, rounds: int
) -> Rates:
    """All three rates of one network; `network.input.side` is what it resizes to.

    Args:
        problem: the cells.
        folder: the same cells as files, see `write_folder`.
        train: batch size, augmentation and what `choose_compute` reads.
        network: the architecture.
        rounds: epochs of each, after one that warms up; the fastest counts.
    """
    used = len(problem.train) // train.batch_size * train.batch_size
    with reproducible():  # as `fit` trains
        training = trainer(problem, train, network)
        variants = {
            "ours": (training.source, train),
            "resident": (repeated_batch(training), train),
        }
        seconds = epoch_seconds(training, variants, rounds)
        device = training.compute.device
    del training, variants
    theirs = plain_seconds(problem, folder, train, network, device, rounds)
    return Rates(
        side=network.input.side or problem.canvas,
        ours=used / seconds["ours"],
        plain=used / theirs,
        resident=used / seconds["resident"],
    )


def plain_seconds(
    problem: Problem,
    folder: Path,
    train: TrainParams,
    network: NetworkParams,
    device: torch.device,
    rounds: int,
) -> float:
    """Shortest wall time of an epoch of benchmark (a)."""
    steps = transforms(problem, train).transforms
    if network.input.side is not None:
        steps = [*steps, v2.Resize((network.input.side, network.input.side))]
    loader = folder_loader(folder, v2.Compose(steps), train)
    resized = network.model_copy(update={"input": InputParams()})
    model = build_model(resized, problem.tasks.logits, 1).to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=train.learning_rate)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        plain_epoch(model, optimiser, loader, device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def plain_epoch(
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    loader: DataLoader,
    device: torch.device,
) -> None:
    """The loop of a tutorial."""
    for images, labels in loader:
        optimiser.zero_grad()
        loss = cross_entropy(model(images.to(device)).logits, labels.to(device))
        loss.backward()
        optimiser.step()
    finish(device)


def benchmark(small: bool, cells: int, batch: int, rounds: int) -> list[Row]:
    """All rows; the goals are those of a GPU and full width."""
    data, train, network = setting("full")
    changes = SMALL if small else {}
    rescaled = {"input": InputParams(side=RESCALED), "stem_stride": 2}
    networks = [network.model_copy(update=more | changes) for more in ({}, rescaled)]
    train = train.model_copy(update={"batch_size": batch, "workers": 1})
    rows = []
    with tempfile.TemporaryDirectory() as name:
        store, problem = posed(Path(name), cells, data)
        write_folder(store, problem, Path(name) / "images")
        for one, goals in zip(networks, ((5.0, 0.97), (None, 0.97)), strict=True):
            rates = measure(problem, Path(name) / "images", train, one, rounds)
            rows += rates.rows((None, None) if small else goals)
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Print the table, or what it would hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny network, few cells")
    parser.add_argument("--cells", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(words)
    cells, batch = (108, 16) if arguments.small else (9_000, 256)
    cells, batch = arguments.cells or cells, arguments.batch or batch
    kind = device_type()
    if kind == "cpu" and not arguments.small:
        sys.stdout.write(
            "(g) no GPU here. On one, this trains CG-RecNet at full width at 64 and 224 px and "
            "compares images a second\nwith a plain loop over an image folder (goal: 5 times at "
            "64 px) and with the same steps on one resident batch\n(goal: 0.97). With --small it "
            "runs on the CPU at a tiny size.\n"
        )
        return
    name = torch.cuda.get_device_name() if kind == "cuda" else "CPU"
    size = "tiny network, the goals do not apply" if arguments.small else "full width"
    rows = benchmark(arguments.small, cells, batch, arguments.rounds)
    show(f"(g) training of CG-RecNet on {name}, {size}, batches of {batch}", rows)


if __name__ == "__main__":
    main()
