"""Progress of long steps on the terminal, with rate and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error while the block runs.

    Args:
        description: what is under way, e.g. 'ingest nsc'.
        total: how many units there are.
        unit: what is counted, e.g. 'cells'.

    Yields:
        A function to call with the number of units done since the last call. Where standard error
        is no terminal, one line is printed at the end instead of a moving bar.
    """
    import time

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    start = time.monotonic()
    done = 0
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + " {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(description, total=total, rate="")

        def advance(count: int) -> None:
            nonlocal done
            done += count
            rate = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, advance=count, rate=f"({rate:,.1f}/s)")

        yield advance
    seconds = time.monotonic() - start
    console.print(
        f"{description}: {done:,} {unit} in {seconds:.1f} s ({done / max(seconds, 1e-9):,.1f}/s)",
        highlight=False,
    )
