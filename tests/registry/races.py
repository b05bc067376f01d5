"""Several projects on one registry promote at once; whatever happens, one wins and one chain is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from random import Random

from tests.registered import NAME
from tests.registry.homes import Home
from unstained.errors import IntegrityError, OvertakenError
from unstained.registry.agreement import pull
from unstained.registry.records import Records


def race(home: Home, clones: Sequence[Home], seed: int) -> None:
    """Let clones promote different versions in place of v1, which is champion in all of them."""
    generator, gate = Random(seed), threading.Barrier(len(clones))
    delays = [generator.random() * 0.02 for _ in clones]
    outcomes: list[BaseException | bool] = [False] * len(clones)

    def act(number: int) -> None:
        gate.wait()
        threading.Event().wait(delays[number])
        try:
            outcomes[number] = clones[number].promote(number + 2, 1).promoted
        except BaseException as error:
            outcomes[number] = error

    threads = [threading.Thread(target=act, args=(number,)) for number in range(len(clones))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    won = [number for number, outcome in enumerate(outcomes) if outcome is True]
    assert len(won) == 1, outcomes
    winner = clones[won[0]]
    chain = winner.ledger.entries()
    assert [(e.action, e.version) for e in chain] == [("promote", 1), ("promote", won[0] + 2)]
    assert Records(home.registry, NAME).entries() == chain
    assert home.aliases == {"champion": won[0] + 2, "previous": 1}
    for number, loser in enumerate(clones):
        if number != won[0]:
            assert isinstance(outcomes[number], (OvertakenError, IntegrityError)), outcomes[number]
            assert f"promote v{won[0] + 2} by {chain[1].actor}" in str(outcomes[number])
            assert loser.ledger.entries() == chain[:1]
            assert pull(loser.registry, loser.ledger, NAME) == (chain[1],)
