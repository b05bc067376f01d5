"""Moving the alias `champion`: promote, roll back, and repair what was interrupted.

The ledger is written first, then the aliases follow, then the registered model is tagged with the
digest of the ledger's newest effective entry. Whoever comes next compares the two: aliases that
lag behind are set, a registry that another ledger promoted in is refused. All of it happens inside
the study's lock, and a promotion holds only if the champion is still the one it was decided
against. The lock covers one project directory; two directories that share a server must share the
ledger too, and one that does not is found out by the tag.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from unstained.errors import IntegrityError, RegistryError
from unstained.registry.gate import Decision
from unstained.registry.ledger import Action, Event, Ledger, Standing
from unstained.registry.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from unstained.registry.submission import RegisteredVersion

HEAD_TAG: Final = "ledger_head"
"""Tag of the registered model: sha256 of the ledger's newest effective entry."""

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


def ledger_path(root: Path, study: str) -> Path:
    """Where a study's ledger lies: in UNSTAINED_LEDGER, or in the project's ledger/.

    A pod has no project directory that outlives it: there the variable names a mounted volume.
    """
    folder = os.environ.get("UNSTAINED_LEDGER")
    return (Path(folder) if folder else root / "ledger") / f"{study}.jsonl"


def settled_champion(
    registry: Registry, ledger: Ledger, study: str, name: str
) -> tuple[int | None, tuple[str, ...]]:
    """Who is champion, after anything interrupted was completed.

    Returns:
        (version or None, what had to be done).

    Raises:
        RegistryError, IntegrityError: see `settle`.
    """
    with ledger.locked():
        notes = settle(registry, ledger, study, name)
        return registry.alias(name, CHAMPION), notes


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
        IntegrityError: the challenger's artifact, the ledger or the registry was tampered with.
    """
    with ledger.locked():
        notes = settle(registry, ledger, study, name)
        current = registry.alias(name, CHAMPION)
        if current != decision.champion:
            raise RegistryError(
                f"champion changed from {_called(decision.champion)} to {_called(current)} "
                "meanwhile",
                f"run compare again: unstained run compare {study}, then promote",
            )
        if decision.is_champion:
            return Outcome(False, current, decision.sentence, notes)
        version = registry.version(name, decision.challenger)
        action: Action = "promote" if decision.passed else "refuse"
        event = Event(
            action="dry-run" if mode == "dry-run" else action,
            study=study,
            name=name,
            version=decision.challenger,
            replaced=decision.champion,
            reason=decision.sentence,
            digests=_digests(version),
            gate=decision.as_json()["criteria"],
        )
        if mode == "dry-run":
            ledger.append(event)
            sentence = f"dry run, nothing changed; would be: {decision.sentence}"
            return Outcome(False, current, sentence, notes)
        if decision.passed:
            prove(registry, version)
        registry.tag_version(name, version.version, _gate_tags(decision))
        ledger.append(event)
        if not decision.passed:
            registry.set_alias(name, CHALLENGER, version.version)
            return Outcome(False, current, decision.sentence, notes)
        enact(registry, name, ledger.standing())
    return Outcome(True, decision.challenger, decision.sentence, notes)


def rollback(registry: Registry, ledger: Ledger, study: str, name: str, reason: str) -> str:
    """Make the previous champion champion again.

    Returns:
        What was done, for people.

    Raises:
        RegistryError: there is no previous champion.
        IntegrityError: its artifact is not the one that was promoted; nothing was changed.
    """
    with ledger.locked():
        settle(registry, ledger, study, name)
        standing = ledger.standing()
        if standing.champion is None or standing.previous is None:
            raise RegistryError(
                f"{study} has no previous champion to roll back to "
                f"(champion: {_called(standing.champion)})",
                "a rollback needs two promotions; see `unstained history " + study + "`",
            )
        promoted = standing.champions[-2]
        target = registry.version(name, promoted.version)
        prove(registry, target, promoted.digests["artifact"])
        ledger.append(
            Event(
                action="rollback",
                study=study,
                name=name,
                version=target.version,
                replaced=standing.champion,
                reason=reason,
                digests=promoted.digests,
            )
        )
        enact(registry, name, ledger.standing())
    return (
        f"v{target.version} ({target.model}) is champion of {study} again in place of "
        f"v{standing.champion}: {reason}"
    )


def settle(registry: Registry, ledger: Ledger, study: str, name: str) -> tuple[str, ...]:
    """Make aliases and ledger agree; the ledger is the truth. Call it inside the lock.

    Returns:
        What had to be done, for people.

    Raises:
        IntegrityError: the ledger is damaged.
        RegistryError: the registry was promoted in by another ledger, or is another registry.
    """
    standing = ledger.standing()
    tag = registry.model_tag(name, HEAD_TAG)
    champion = registry.alias(name, CHAMPION)
    if standing.head is None:
        if tag is not None:
            raise _other_ledger(ledger)
        return _adopt(registry, ledger, study, name, champion)
    known = {entry.sha256 for entry in ledger.entries()}
    if tag is not None and tag not in known:
        raise _other_ledger(ledger)
    held = _check_same_registry(registry, ledger, name, standing)
    if tag != standing.head.sha256:
        enact(registry, name, standing)
        return (f"an interrupted {standing.head.action} of v{standing.head.version} was completed",)
    previous = standing.previous if standing.previous in held else None
    if (champion, registry.alias(name, PREVIOUS)) == (standing.champion, previous):
        return ()
    reason = (
        f"the alias champion or previous was changed outside of the ledger (champion was "
        f"{_called(champion)}); set back to {_called(standing.champion)}"
    )
    ledger.append(Event("repair", study, name, standing.champions[-1].version, champion, reason))
    enact(registry, name, standing)
    return (reason,)


def enact(registry: Registry, name: str, standing: Standing) -> None:
    """Set aliases and tags to what the ledger says. Doing it twice changes nothing."""
    head = standing.head
    if head is None or standing.champion is None:
        return
    held = {version.version for version in registry.versions(name)}
    registry.set_alias(name, PREVIOUS, standing.previous if standing.previous in held else None)
    registry.set_alias(name, CHAMPION, standing.champion)
    if registry.alias(name, CHALLENGER) == standing.champion:
        registry.set_alias(name, CHALLENGER, None)
    tags = {
        "promoted_at": head.time,
        "promoted_by": head.actor,
        "replaced_version": "none" if head.replaced is None else str(head.replaced),
    }
    registry.tag_version(name, standing.champion, tags)
    registry.set_model_tag(name, HEAD_TAG, head.sha256)


def prove(registry: Registry, version: RegisteredVersion, digest: str | None = None) -> None:
    """Fetch a version's artifact and check every byte.

    Raises:
        RegistryError: the version is a replicate.
        IntegrityError: it is not what was registered, or not `digest`.
    """
    _require_candidate(version)
    if digest is not None and digest != version.digest:
        raise IntegrityError(
            f"{version.uri} has artifact {version.digest[:12]}, but {digest[:12]} was promoted",
            "the registry was changed; restore it from a backup",
        )
    with tempfile.TemporaryDirectory() as temporary:
        registry.download(version, Path(temporary) / "artifact")


def _adopt(
    registry: Registry, ledger: Ledger, study: str, name: str, champion: int | None
) -> tuple[str, ...]:
    """A champion from before the ledger becomes its first entry."""
    if champion is None:
        return ()
    reason = f"v{champion} was champion before the ledger began"
    version = registry.version(name, champion)
    _require_candidate(version)
    digests = _digests(version)
    ledger.append(Event("adopt", study, name, champion, None, reason, digests))
    enact(registry, name, ledger.standing())
    return (reason,)


def _require_candidate(version: RegisteredVersion) -> None:
    """Refuse a replicate as champion: its fold and seed were not chosen for serving.

    Raises:
        RegistryError: it is one.
    """
    if version.is_replicate:
        raise RegistryError(
            f"{version.label} of {version.name} is a replicate of the comparison across folds, and "
            "no candidate for champion",
            "take the alias champion from it in MLflow, or choose a version without the tag fold",
        )


def _check_same_registry(
    registry: Registry, ledger: Ledger, name: str, standing: Standing
) -> set[int]:
    """Versions held; the ledger's champion must be among them, with the same artifact."""
    promoted = standing.champions[-1]
    held = {version.version: version.digest for version in registry.versions(name)}
    if held.get(promoted.version) != promoted.digests["artifact"]:
        raise RegistryError(
            f"the registry does not hold v{promoted.version} with artifact "
            f"{promoted.digests['artifact'][:12]}, which {ledger.path} names as champion: "
            "it is another registry than before",
            "set MLFLOW_TRACKING_URI to the registry used before, or move the ledger away to "
            "begin anew",
        )
    return set(held)


def _other_ledger(ledger: Ledger) -> RegistryError:
    return RegistryError(
        f"the registry was promoted in by a ledger that is not, or not all of, {ledger.path}",
        "bring the ledger of the last promotion here; nothing is promoted or rolled back without",
    )


def _digests(version: RegisteredVersion) -> dict[str, str]:
    return {
        "artifact": version.digest,
        "data": version.data_digest,
        "split": version.split_digest,
        "params": version.tags.get("params_digest", ""),
    }


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


def _called(version: int | None) -> str:
    return "none" if version is None else f"v{version}"
