"""Moving the alias `champion`: promote and roll back.

The ledger is written first, then the aliases follow, then the registered model is tagged with the
digest of the ledger's newest effective entry. Whoever comes next completes what was interrupted
(`settling`). All of it happens inside the study's lock, which covers one project directory, and a
promotion holds only if the champion is still the one it was decided against. Of several directories
that share a registry, the one that records the ledger's next entry first wins (`records`); others
are told who that was, and keep nothing of their promotion. Deciding the same again, as after a kill
before the decision's file was written, says the same and writes no second entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unstained.artifact.keys import signing_key
from unstained.artifact.signing import trust_of
from unstained.config.promote import PromoteParams
from unstained.errors import IntegrityError, RegistryError
from unstained.registry.agreement import write
from unstained.registry.entries import Action, Entry, Event
from unstained.registry.gate import Decision, decide
from unstained.registry.ledger import Ledger
from unstained.registry.registry import CHALLENGER, Registry
from unstained.registry.settling import (
    HEAD_TAG,
    Settled,
    called,
    enact,
    settle,
)
from unstained.registry.signatures import sign_promoted
from unstained.registry.standings import Leaderboard
from unstained.registry.submission import RegisteredVersion, require_candidate
from unstained.temporary import temporary_folder

Mode = Literal["dry-run", "enforce"]


@dataclass(frozen=True)
class Outcome:
    """What a promotion led to.

    Attributes:
        promoted: whether the challenger became champion now.
        champion: version that is champion now, or None.
        sentence: for people.
        notes: repairs, worst first.
    """

    promoted: bool
    champion: int | None
    sentence: str
    notes: tuple[str, ...] = ()


def settled_champion(registry: Registry, ledger: Ledger, study: str, name: str) -> Settled:
    """Who is champion, after aliases and ledger were made to agree.

    Raises:
        RegistryError, IntegrityError: see `settle`.
    """
    with ledger.locked():
        return settle(registry, ledger, study, name)


def decided(
    settled: Settled, leaderboard: Leaderboard, new: Sequence[int], params: PromoteParams
) -> Decision:
    """The gate's decision about the best new version.

    Where the newest promotion is what the gate decides from the same table with the same limits,
    it is that decision again, though its challenger is champion meanwhile.

    Raises:
        RegistryError: see `decide`.
    """
    found = decide(leaderboard, new, settled.number, params, settled.withdrawn)
    head = settled.standing.head
    if not found.is_champion or head is None or params.mode != "enforce":
        return found
    if head.replaced != leaderboard["champion"]:
        return found
    before = decide(leaderboard, new, head.replaced, params, settled.withdrawn)
    return before if _written_already(head, "promote", before) else found


def promote(
    registry: Registry, ledger: Ledger, study: str, name: str, decision: Decision, mode: Mode
) -> Outcome:
    """Act on the gate's decision.

    Args:
        registry: where the aliases are.
        ledger: the study's ledger.
        study: key of params.yaml `studies`.
        name: registered model.
        decision: what the gate found.
        mode: 'enforce' moves aliases, 'dry-run' records what it would do.

    Raises:
        RegistryError: the champion is no longer the one that the decision was made against.
        OvertakenError: another project decided first; nothing was changed.
        IntegrityError: the challenger's artifact, the ledger or the registry was tampered with, or
            a signature is required and there is no key to sign with.
    """
    with ledger.locked():
        settled = _settled_here(registry, ledger, study, name)
        notes, current = settled.notes, settled.number
        action = _action(decision, mode)
        done = _written_already(settled.standing.head, "promote", decision)
        if done and action == "promote" and current == decision.challenger:
            return Outcome(True, current, decision.sentence, notes)
        if current != decision.champion:
            raise RegistryError(
                f"champion changed from {called(decision.champion)} to {called(current)} meanwhile",
                f"run `unstained run compare {study}`, then `unstained run promote {study}`",
            )
        if decision.is_champion:
            return Outcome(False, current, decision.sentence, notes)
        version = registry.version(name, decision.challenger)
        event = Event(
            action=action,
            study=study,
            name=name,
            version=decision.challenger,
            replaced=decision.champion,
            reason=decision.sentence,
            digests=version.digests,
            gate=decision.as_json()["criteria"],
        )
        if action == "promote":
            notes = (*notes, *_proven_and_signed(registry, version))
        if action != "dry-run":
            registry.tag_version(name, version.version, _gate_tags(decision))
        if not _written_already(settled.newest, action, decision):
            write(registry, ledger, event)
        if action == "dry-run":
            sentence = f"dry run, nothing changed; would be: {decision.sentence}"
            return Outcome(False, current, sentence, notes)
        if action == "refuse":
            registry.set_alias(name, CHALLENGER, version.version)
            return Outcome(False, current, decision.sentence, notes)
        enact(registry, name)
    return Outcome(True, decision.challenger, decision.sentence, notes)


def rollback(registry: Registry, ledger: Ledger, study: str, name: str, reason: str) -> str:
    """Make the previous champion champion again.

    Where a rollback was interrupted it is completed, and that is all: whoever calls it again after
    a kill does not mean another one.

    Returns:
        What was done, for people.

    Raises:
        RegistryError: there is no previous champion.
        IntegrityError: its artifact is not the one that was promoted; nothing was changed.
    """
    with ledger.locked():
        tag = registry.model_tag(name, HEAD_TAG)
        settled = _settled_here(registry, ledger, study, name)
        standing, target, head = settled.standing, settled.previous, settled.standing.head
        if head and head.action == "rollback" and tag != head.sha256 and settled.champion:
            return "\n".join((*settled.notes, _rolled_back(settled.champion, head)))
        if standing.champion is None or standing.previous is None:
            raise RegistryError(
                f"{study} has no previous champion to roll back to "
                f"(champion: {called(standing.champion)})",
                "a rollback needs two promotions; see `unstained history " + study + "`",
            )
        promoted = standing.champions[-2]
        if target is None:
            raise RegistryError(
                f"the registry does not hold the artifact {promoted.digests['artifact'][:12]} of "
                f"v{promoted.version}, champion of {study} before v{standing.champion}",
                "set MLFLOW_TRACKING_URI to the registry that holds it, or change the model and "
                "promote a new version: `dvc repro`",
            )
        prove(registry, target, promoted.digests["artifact"])
        event = Event(
            action="rollback",
            study=study,
            name=name,
            version=target.version,
            replaced=standing.champion,
            reason=reason,
            digests=promoted.digests,
        )
        done = write(registry, ledger, event)
        enact(registry, name)
    return "\n".join((*settled.notes, _rolled_back(target, done)))


def _rolled_back(champion: RegisteredVersion, entry: Entry) -> str:
    """What a rollback did, for people."""
    return (
        f"{champion.label} is champion of {entry.study} again in place of v{entry.replaced}: "
        f"{entry.reason}"
    )


def _settled_here(registry: Registry, ledger: Ledger, study: str, name: str) -> Settled:
    """`settle`, in the registry that was promoted in before.

    Raises:
        RegistryError: it is another one.
    """
    settled = settle(registry, ledger, study, name)
    if settled.elsewhere and settled.lost:
        raise settled.lost
    return settled


def prove(registry: Registry, version: RegisteredVersion, digest: str | None = None) -> None:
    """Fetch a version's artifact and check every byte.

    Raises:
        RegistryError: the version is a replicate.
        IntegrityError: it is not what was registered, not `digest`, or not signed as the
            environment asks.
    """
    require_candidate(version)
    if digest is not None and digest != version.digest:
        raise IntegrityError(
            f"{version.uri} has artifact {version.digest[:12]}, but {digest[:12]} was promoted",
            "the registry was changed; restore it from a backup",
        )
    with temporary_folder() as temporary:
        artifact = registry.download(version, temporary / "artifact")
        trust_of().verify(artifact, version.digest)


def _proven_and_signed(registry: Registry, version: RegisteredVersion) -> tuple[str, ...]:
    """Fetch a version's artifact, check every byte and sign it; notes for people."""
    require_candidate(version)
    with temporary_folder() as temporary:
        old = signing_key() is None  # else it is signed anew, whatever is there
        artifact = registry.download(version, temporary / "artifact", signed=old)
        note = sign_promoted(registry, version, artifact)
    return (note,) if note else ()


def _action(decision: Decision, mode: Mode) -> Action:
    """What a decision leads to."""
    if mode == "dry-run":
        return "dry-run"
    return "promote" if decision.passed else "refuse"


def _written_already(entry: Entry | None, action: Action, decision: Decision) -> bool:
    """Whether an entry of the ledger is what a decision led to."""
    if entry is None:
        return False
    what = (entry.action, entry.version, entry.replaced, entry.reason, list(entry.gate))
    criteria = decision.as_json()["criteria"]
    return what == (action, decision.challenger, decision.champion, decision.sentence, criteria)


def _gate_tags(decision: Decision) -> dict[str, str]:
    """The gate's result, as the version's page shows it."""
    report: Any = decision.as_json()
    failed = [criterion.name for criterion in decision.criteria if not criterion.passed]
    text = json.dumps(report, sort_keys=True)
    return {
        "gate": "refused: " + ", ".join(failed) if failed else "passed",
        "gate_report": text,
        "gate_report_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
