"""Several projects on one registry promote at once; whatever happens, one wins and one chain is."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.synchronize import Barrier as ProcessBarrier
from pathlib import Path
from random import Random
from typing import Any

from tests.registered import NAME
from tests.registry.homes import Home
from unstained.errors import IntegrityError, OvertakenError
from unstained.registry.agreement import pull
from unstained.registry.records import Records
from unstained.registry.registry import Registry

WON = "won"


def racer(
    folder: Path,
    uri: str,
    number: int,
    rounds: int,
    barrier: threading.Barrier | ProcessBarrier,
    outcomes: Any,
) -> None:
    """Promote once a round, against the champion of the last one; versions 1 to 4 are there.

    In every other round all promote the same version, as the same person in the same second.

    Args:
        folder: of this project.
        uri: of the registry that it shares.
        number: tells racers apart.
        rounds: how often.
        barrier: of all racers.
        outcomes: what came of it is put in by (round, number).
    """
    home, generator = Home(folder, Registry(uri, folder)), Random(number)
    for one in range(rounds):
        pull(home.registry, home.ledger, NAME)
        champion = home.ledger.standing().champion
        others = [version for version in range(1, 5) if version != champion]
        barrier.wait(120)
        time.sleep(generator.random() * 0.02)
        try:
            home.promote(others[(one + number * (one % 2)) % 3], champion)
        except (OvertakenError, IntegrityError) as error:
            outcomes[one, number] = str(error)
        except BaseException as error:
            outcomes[one, number] = f"unexpected {error!r}"
            raise
        else:
            outcomes[one, number] = WON
        barrier.wait(120)


def race_in_threads(registry: Registry, folders: Sequence[Path], rounds: int) -> None:
    """Race in one process: cheap."""
    barrier, outcomes = threading.Barrier(len(folders)), dict[tuple[int, int], str]()
    threads = [
        threading.Thread(
            target=racer, args=(folder, registry.uri, number, rounds, barrier, outcomes)
        )
        for number, folder in enumerate(folders)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    check(registry, folders, rounds, outcomes)


def race_in_processes(registry: Registry, folders: Sequence[Path], rounds: int) -> None:
    """Race as projects do: each starts in three seconds."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        barrier, outcomes = context.Barrier(len(folders)), manager.dict()
        processes = [
            context.Process(
                target=racer, args=(folder, registry.uri, number, rounds, barrier, outcomes)
            )
            for number, folder in enumerate(folders)
        ]
        [process.start() for process in processes]
        [process.join() for process in processes]
        check(registry, folders, rounds, dict(outcomes))


def check(
    registry: Registry,
    folders: Sequence[Path],
    rounds: int,
    outcomes: Mapping[tuple[int, int], str],
) -> None:
    """See that each round had one winner, whom the others were told, and that one chain is left."""
    chain = Records(registry, NAME).entries()
    promoted = [entry for entry in chain if entry.action == "promote"][-rounds:]
    for one in range(rounds):
        said = [outcomes[one, number] for number in range(len(folders))]
        assert said.count(WON) == 1, said
        assert promoted[one].actor
        for loser in (text for text in said if text != WON):
            assert promoted[one].told() in loser
    assert len(chain) == len({entry.sequence for entry in chain})
    for folder in folders:
        home = Home(folder, registry)
        pull(registry, home.ledger, NAME)
        assert home.ledger.entries() == chain
    standing = Home(folders[0], registry).ledger.standing()
    assert registry.aliases(NAME) == {"champion": standing.champion, "previous": standing.previous}
