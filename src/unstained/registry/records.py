"""The registry's record of a ledger, by which projects that share a registry agree on one.

MLflow has no conditional write: tags and aliases go to whoever comes last. But it numbers the
versions of a registered model in one order for all clients, in SQLite and PostgreSQL alike: the
primary key of a version is name and number, and a number is taken only after the one before it. So
a study's ledger is recorded as a registered model of its own, one version an entry. Whoever wants
to write entry n + 1 adds a version that holds it and looks: of all versions that could follow entry
n the first one is the entry, on every client, and those after it are void. There is no lock that a
killed process could leave, and an entry that is recorded twice counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unstained.errors import OvertakenError, RegistryError
from unstained.registry.connection import explained, unless_it_exists
from unstained.registry.entries import Entry

if TYPE_CHECKING:
    from unstained.registry.registry import Registry

SUFFIX: Final = ".ledger"
"""The ledger of the registered model `name` is recorded as the registered model `name`.ledger."""

ENTRY: Final = "entry"
"""Tag of a version there: the ledger's line."""


class Records:
    """What a registry holds of a study's ledger.

    Args:
        registry: where.
        name: registered model whose champions the ledger tells.
    """

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry, self.model = registry, name + SUFFIX

    def entries(self) -> list[Entry]:
        """What is recorded, oldest first; a changed or deleted version ends it.

        Raises:
            RegistryError: MLflow failed.
        """
        entries: list[Entry] = []
        with explained(self.registry.uri):
            for version in self.registry.mlflow_versions(self.model):
                entry = Entry.parsed(version.tags.get(ENTRY, ""))
                if entry is not None and entry.follows(entries):
                    entries.append(entry)
        return entries

    def claim(self, entry: Entry) -> None:
        """Record an entry as the next one.

        Raises:
            OvertakenError: another one is there.
            RegistryError: MLflow failed; whether the entry is recorded is not known.
        """
        failed: RegistryError | None = None
        try:
            self._add(entry)
        except RegistryError as error:  # an answer may be lost after the version was made
            failed = error
        known = self.entries()
        if len(known) < entry.sequence:
            raise failed or RegistryError(
                f"what was just recorded is gone: somebody deletes versions of {self.model}",
                "see who changes the registry, then run the same command again",
            )
        winner = known[entry.sequence - 1]
        if winner.sha256 != entry.sha256:
            raise OvertakenError(
                f"somebody else decided meanwhile, in another project: {winner.told()}, entry "
                f"{winner.sequence} of the ledger; nothing was changed here",
                f"`unstained history {entry.study} --pull` takes it into the ledger here; then "
                f"`unstained run compare {entry.study}` and `unstained run promote {entry.study}`",
            )

    def _add(self, entry: Entry) -> None:
        """Add a version that holds an entry."""
        client = self.registry.client
        with explained(self.registry.uri):
            if entry.sequence == 1:
                about = (
                    f"The promotion ledger of {entry.name}, one version an entry; see `unstained "
                    f"history {entry.study}`. Nothing here is to be changed or deleted."
                )
                unless_it_exists(
                    lambda: client.create_registered_model(self.model, description=about)
                )
            client.create_model_version(
                self.model,
                f"ledger:/{entry.name}/{entry.sequence}",
                tags={ENTRY: entry.line},
                description=f"{entry.told()}: {entry.reason}"[:5000],
            )
