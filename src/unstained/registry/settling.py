"""Who is champion: the ledger says it, the registry's aliases follow.

What people do by hand in MLflow (move an alias, delete a version, a run, a model, an experiment),
what an interrupted promotion left, and a registry that was lost and filled anew are all settled in
one place, `settle`; `look` says the same and changes nothing. Both begin with what file and
registry agree on (`agreement`), so a ledger that was cut, rewritten or overtaken is refused
wherever somebody asks for the champion. A version is known by the digest of its artifact: the
ledger's number is looked at first, and another version with that artifact is as good. Aliases and
the tag of the registered model, the digest of the ledger's newest effective entry, follow: where
the tag differs, a promotion was interrupted after it was recorded, and is completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from unstained.artifact.signing import REQUIRE, trust_of
from unstained.errors import IntegrityError, RegistryError
from unstained.registry.agreement import Agreement, agreed, mend, write
from unstained.registry.entries import Entry, Event, Standing
from unstained.registry.ledger import Ledger
from unstained.registry.records import Records
from unstained.registry.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from unstained.registry.submission import RegisteredVersion, require_candidate

HEAD_TAG: Final = "ledger_head"
"""Tag of the registered model: sha256 of the ledger's newest effective entry."""


@dataclass(frozen=True)
class Settled:
    """Who is champion by the ledger, and which versions hold the artifacts.

    Attributes:
        standing: of the ledger.
        champion: version that holds the champion's artifact; None where there is no champion, or
            where the registry holds it no more (see `lost`).
        previous: version that a rollback would make champion, or None.
        withdrawn: version -> why it was rolled back.
        lost: what to do about a champion that the registry does not hold, or None.
        elsewhere: `lost`, and nothing shows that this is the registry that was promoted in.
        notes: what deviates from the ledger, or had to be done, for people.
        ledger: what file and registry agree on.
    """

    standing: Standing = field(default_factory=Standing)
    champion: RegisteredVersion | None = None
    previous: RegisteredVersion | None = None
    withdrawn: Mapping[int, str] = field(default_factory=dict)
    lost: RegistryError | None = None
    elsewhere: bool = False
    notes: tuple[str, ...] = ()
    ledger: Agreement = field(default_factory=Agreement)

    @property
    def number(self) -> int | None:
        """The champion's version."""
        return self.champion.version if self.champion else None

    @property
    def newest(self) -> Entry | None:
        """The newest entry of the ledger."""
        return self.ledger.entries[-1] if self.ledger.entries else None

    def told(self, version: RegisteredVersion) -> RegisteredVersion:
        """A version whose aliases for champion and previous champion are by the ledger."""
        if not self.standing.champions:
            return version
        held = {CHAMPION: self.champion, PREVIOUS: self.previous}
        ours = {alias for alias, v in held.items() if v and v.version == version.version}
        return replace(version, aliases=tuple(sorted(ours | set(version.aliases) - held.keys())))

    def require_champion(self) -> RegisteredVersion | None:
        """The champion; None where nobody was promoted.

        Raises:
            RegistryError: somebody was, and the registry does not hold it.
        """
        if self.lost:
            raise self.lost
        return self.champion


def look(registry: Registry, ledger: Ledger, study: str, name: str) -> Settled:
    """Who is champion; nothing is changed.

    Before the first promotion it is the version with the alias.

    Raises:
        IntegrityError: the ledger is damaged, the registry's record of it is another, see
            `agreed`, or the champion's version was rewritten.
        RegistryError: the registry was promoted in by another ledger.
    """
    # The tag first: what it names was recorded before, so only another ledger lacks it.
    tag = registry.model_tag(name, HEAD_TAG)
    found, versions = agreed(registry, ledger, study, name), registry.versions(name)
    if tag is not None and tag not in {entry.sha256 for entry in found.entries}:
        raise _other_ledger(ledger, name)
    notes = (found.doubt,) if found.doubt else ()
    settled = replace(_held(versions, found.entries), ledger=found, notes=notes)
    standing = settled.standing
    if not standing.champions:
        number = registry.alias(name, CHAMPION)
        return replace(settled, champion=next((v for v in versions if v.version == number), None))
    if settled.champion is not None:
        _require_predictions(settled.champion, standing.champions[-1])
        return settled
    here = tag is not None or found.recorded > 0
    error = _lost(ledger, study, standing, settled.previous, versions if here else None)
    return replace(settled, lost=error, elsewhere=not here, notes=(*notes, error.message))


def settle(registry: Registry, ledger: Ledger, study: str, name: str) -> Settled:
    """Make aliases and ledger agree; the ledger is the truth. Call it inside the lock.

    Raises:
        IntegrityError, RegistryError: see `look`.
        OvertakenError: another project wrote the ledger's next entry meanwhile.
    """
    found = look(registry, ledger, study, name)
    if found.elsewhere:
        return found
    found = replace(found, notes=(*found.notes, *mend(registry, ledger, study, name, found.ledger)))
    if not found.standing.champions:
        return _adopt(registry, ledger, study, name, found)
    restored = _restore_runs(registry, found)
    promoted, champion = found.standing.champions[-1], found.champion
    if champion is not None and champion.version != promoted.version:
        reason = (
            f"the registry holds v{promoted.version}, champion by the ledger, no more; "
            f"{champion.label} has the same artifact and is champion"
        )
        change = Event(
            "restore", study, name, champion.version, promoted.version, reason, champion.digests
        )
        write(registry, ledger, change)
        notes: tuple[str, ...] = (reason,)
        found = replace(look(registry, ledger, study, name), notes=found.notes)
    else:
        notes = _deviation(registry, ledger, study, name, found)
    if notes:
        enact(registry, name)
    return replace(found, notes=(*found.notes, *notes, *restored))


def enact(registry: Registry, name: str) -> None:
    """Set aliases and tags to what the registry's record of the ledger says.

    Doing it twice changes nothing. Aliases go to whoever comes last, so the record is looked at
    again when they are set: what another project decided meanwhile is set, too.
    """
    entries: list[Entry] = []
    while entries != (entries := Records(registry, name).entries()):
        _point(registry, name, _held(registry.versions(name), entries))


def _held(versions: Sequence[RegisteredVersion], entries: Sequence[Entry]) -> Settled:
    """Who is champion by some entries, among the versions of a registry."""
    standing = Standing.of(entries)
    champions = [_holder(versions, entry) for entry in standing.champions[-2:]]
    previous = champions[0] if len(champions) > 1 else None
    withdrawn = _withdrawn(versions, entries, standing)
    return Settled(standing, champions[-1] if champions else None, previous, withdrawn)


def _point(registry: Registry, name: str, settled: Settled) -> None:
    """Set aliases and tags to what was settled."""
    head = settled.standing.head
    if head is None:
        return
    previous = settled.previous.version if settled.previous else None
    registry.set_alias(name, PREVIOUS, previous)
    registry.set_alias(name, CHAMPION, settled.number)
    if settled.number is None:
        return
    if registry.alias(name, CHALLENGER) == settled.number:
        registry.set_alias(name, CHALLENGER, None)
    tags = {
        "promoted_at": head.time,
        "promoted_by": head.actor,
        "replaced_version": "none" if head.replaced is None else str(head.replaced),
    }
    registry.tag_version(name, settled.number, tags)
    registry.set_model_tag(name, HEAD_TAG, head.sha256)


def called(version: int | None) -> str:
    """A version for a sentence."""
    return "none" if version is None else f"v{version}"


def _holder(versions: Sequence[RegisteredVersion], entry: Entry) -> RegisteredVersion | None:
    """The version with an entry's artifact: its own number, or the newest other one."""
    same = [
        version
        for version in versions
        if version.digest == entry.digests["artifact"] and not version.is_replicate
    ]
    return next((v for v in same if v.version == entry.version), same[-1] if same else None)


def _withdrawn(
    versions: Sequence[RegisteredVersion], entries: Sequence[Entry], standing: Standing
) -> dict[int, str]:
    """Versions that hold an artifact that was rolled back."""
    digests = {e.version: e.digests["artifact"] for e in entries if e.action in CROWNING}
    why = {digests[number]: entry.reason for number, entry in standing.withdrawn.items()}
    return {v.version: why[v.digest] for v in versions if v.digest in why}


CROWNING: Final = ("promote", "adopt", "restore")
"""Actions whose entry names the artifact that became champion."""


def _deviation(
    registry: Registry, ledger: Ledger, study: str, name: str, found: Settled
) -> tuple[str, ...]:
    """What aliases and tag say against the ledger; a moved alias is recorded."""
    head, aliases = found.standing.head, registry.aliases(name)
    assert head is not None  # noqa: S101  (there are champions)
    tag = registry.model_tag(name, HEAD_TAG)
    if tag is not None and tag not in {entry.sha256 for entry in found.ledger.entries}:
        look(registry, ledger, study, name)  # which says who decided since the last look
    if tag != head.sha256 and found.champion:
        new = "" if tag else ", or the registry is a new one"
        return (f"an interrupted {head.action} of v{head.version} was completed{new}",)
    wanted = (found.number, found.previous.version if found.previous else None)
    champion = aliases.get(CHAMPION)
    if (champion, aliases.get(PREVIOUS)) == wanted:
        return ()
    reason = (
        f"the alias champion or previous was changed outside of the ledger (champion was "
        f"{called(champion)}); set back to {called(found.number)}"
    )
    version = found.standing.champions[-1].version
    write(registry, ledger, Event("repair", study, name, version, champion, reason))
    return (reason,)


def _restore_runs(registry: Registry, found: Settled) -> tuple[str, ...]:
    """Take back the deletion of the runs of champion and previous, and of their experiments."""
    return tuple(
        f"the {what} of {version.label} was deleted in MLflow; restored"
        for version in (found.champion, found.previous)
        if version is not None
        for what in registry.restore(version)
    )


def _adopt(registry: Registry, ledger: Ledger, study: str, name: str, found: Settled) -> Settled:
    """A champion from before the ledger becomes its first entry; an alias of nothing goes.

    Where signatures are required none does: whoever takes a ledger away and sets an alias would
    have it signed by the next command.
    """
    number = registry.alias(name, CHAMPION)
    if number is None:
        return found
    if found.champion is None:
        registry.set_alias(name, CHAMPION, None)
        gone = f"the alias champion pointed to v{number}, which is gone"
        return replace(found, notes=(*found.notes, gone))
    require_candidate(found.champion)
    if trust_of().required:
        raise IntegrityError(
            f"v{number} of {name} has the alias champion, and there is no ledger that says why; "
            "signatures are required here",
            f"see who set it: a ledger that was lost comes back from a backup. Else take the alias "
            f"away in MLflow, and `unstained run compare {study}` and `unstained run promote "
            f"{study}` decide; {REQUIRE}=0 makes it the first entry of a ledger",
        )
    reason = f"v{number} was champion before the ledger began"
    event = Event("adopt", study, name, number, None, reason, found.champion.digests)
    write(registry, ledger, event)
    enact(registry, name)
    adopted = look(registry, ledger, study, name)
    return replace(adopted, notes=(*found.notes, reason))


def _require_predictions(champion: RegisteredVersion, entry: Entry) -> None:
    """See that a champion is compared by the predictions that it was promoted with.

    Raises:
        IntegrityError: they were rewritten.
    """
    was, now = entry.digests.get("predictions"), champion.digests["predictions"]
    if was and was != now and champion.version == entry.version:
        raise IntegrityError(
            f"{champion.label} was promoted with predictions {was:.12}, and MLflow says now that "
            f"they are {now:.12}: they were rewritten",
            f"see who changes the registry, and {champion.remedy_if_lost}",
        )


def _lost(
    ledger: Ledger,
    study: str,
    standing: Standing,
    previous: RegisteredVersion | None,
    versions: Sequence[RegisteredVersion] | None,
) -> RegistryError:
    """The champion by the ledger is not in the registry.

    Without `versions` nothing shows that the registry is the one that was promoted in.

    Raises:
        IntegrityError: the version is there, with another artifact.
    """
    promoted = standing.champions[-1]
    digest = promoted.digests["artifact"][:12]
    what = (
        f"the registry does not hold the artifact {digest} of v{promoted.version}, champion of "
        f"{study} by {ledger.path}"
    )
    again = f"`dvc repro` registers it again where runs/{study}/export still holds it"
    if versions is None:
        return RegistryError(
            f"{what}: it is another registry than before, or its models were deleted",
            f"set MLFLOW_TRACKING_URI to the registry used before; {again}; or begin anew: "
            f"`mv {ledger.path} {ledger.path}.old`, then `dvc repro`",
        )
    back = f"; `unstained rollback {study}` goes back to {previous.label}" if previous else ""
    if (changed := next((v for v in versions if v.version == promoted.version), None)) is not None:
        raise IntegrityError(
            f"{what}: v{changed.version} says now that its artifact is {changed.digest[:12]}, so "
            "it was rewritten",
            f"see who changes the registry. {again}; or delete version {changed.version} of "
            f"{changed.name} in MLflow: then `dvc repro` promotes anew{back}",
        )
    return RegistryError(
        f"{what}: the version was deleted", f"{again}, and promotes anew where not{back}"
    )


def _other_ledger(ledger: Ledger, name: str) -> RegistryError:
    return RegistryError(
        f"the registry was promoted in by a ledger that is not, or not all of, {ledger.path}",
        "bring the ledger of the last promotion here; where it is lost for good, delete the tag "
        f"{HEAD_TAG} of the registered model {name} in MLflow: its champion then begins a new one",
    )
