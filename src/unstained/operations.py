"""What a person asks of a study's registered versions by hand, outside of any run of stages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from unstained.config.project import load_params
from unstained.errors import IntegrityError, RegistryError
from unstained.files import read_json, write_text
from unstained.wording import counted

if TYPE_CHECKING:
    from unstained.config.compare import CompareStageParams
    from unstained.registry.entries import Entry
    from unstained.registry.ledger import Ledger
    from unstained.registry.registry import Registry
    from unstained.registry.settling import Settled
    from unstained.registry.standings import Leaderboard


def compare_study(root: Path, study: str, registry: Registry | None = None) -> Leaderboard:
    """Compare all versions of a study and write table and page below runs/<study>/leaderboard/.

    Versions are comparable with the newest one.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Raises:
        ParameterError: there is no such study.
        RegistryError: MLflow failed, or holds no version of the study.
    """
    from unstained.pipeline.catalogue import pick_params
    from unstained.registry.leaderboard.candidates import CellFiles
    from unstained.registry.settling import look
    from unstained.report.leaderboard.page import leaderboard_page
    from unstained.stages.compare import STAGE, make_leaderboard, write_leaderboard

    content = load_params(root / "params.yaml").content(study, ())
    params = cast("CompareStageParams", pick_params(STAGE, content, None))
    runs = root / "runs" / study
    cells = CellFiles(runs / "ingest" / "store", runs / "split" / "split.parquet")
    here = cells if cells.store.exists() and cells.split.exists() else None
    registry, name = registry or registry_of(root), params.register_.name_of(study)
    settled = look(registry, _ledger_of(root, study), study, name)
    leaderboard = make_leaderboard(registry, settled, params, study, (), here)
    folder = runs / "leaderboard"
    folder.mkdir(parents=True, exist_ok=True)
    write_leaderboard(leaderboard, {k: folder / out.path for k, out in STAGE.outputs.items()})
    write_text(folder / "leaderboard.html", leaderboard_page(leaderboard, params.data))
    return leaderboard


def deployment_study(root: Path, study: str, registry: Registry | None = None) -> str:
    """The InferenceService of a study's present champion, e.g. after a rollback.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Raises:
        ParameterError, StoreError: see `deployment`.
        RegistryError: the registry does not hold the champion.
    """
    from unstained.stages.promote import deployment

    registry = registry or registry_of(root)
    settled = settled_study(root, study, registry)
    notes = "".join(f"# {note}\n" for note in settled.notes)
    return notes + deployment(registry, study, settled.require_champion())


def settled_study(root: Path, study: str, registry: Registry | None = None) -> Settled:
    """Who is a study's champion by the ledger, after the registry was made to agree.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Raises:
        ParameterError: there is no such study.
        RegistryError, IntegrityError: see `settle`.
    """
    from unstained.registry.promotion import settled_champion

    name, registry = registered_name(root, study), registry or registry_of(root)
    return settled_champion(registry, _ledger_of(root, study), study, name)


class History(NamedTuple):
    """A study's ledger, and what is said of it.

    Attributes:
        entries: of the file, oldest first, after the registry was made to agree.
        notes: for people.
        broken: why the ledger is not to be trusted as it is, or None.
    """

    entries: list[Entry]
    notes: list[str]
    broken: IntegrityError | None = None


def history_of(root: Path, study: str, registry: Registry | None = None) -> History:
    """A study's ledger, and what the registry says against it.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`; a database
            that is not there yet is not made.

    Raises:
        ParameterError: there is no such study.
        IntegrityError: a line of the ledger is damaged.
    """
    from unstained.artifact.signing import trust_of
    from unstained.registry.agreement import out_of_order, trusted
    from unstained.registry.connection import is_there

    registered_name(root, study)
    ledger, registry = _ledger_of(root, study), registry or registry_of(root)
    notes, broken, signed = [], None, ""
    if ledger.entries() or is_there(registry.uri):
        try:
            settled = settled_study(root, study, registry)
            now = settled.champion.label if settled.champion else "nobody"
            notes = [*settled.notes]
            if settled.ledger.entries or settled.champion:
                notes += [f"champion of {study} now: {now}"]
        except IntegrityError as error:
            broken = error
        except RegistryError as error:
            notes = [str(error)]
    entries = ledger.entries()
    if not (entries or notes or broken):
        notes = [f"nothing was decided about {study} yet: `dvc repro` compares and promotes"]
    try:
        signed = "" if broken else trusted(entries, trust_of())
    except IntegrityError as error:
        broken = error
    return History(entries, [*out_of_order(entries), *filter(None, (signed,)), *notes], broken)


def _ledger_of(root: Path, study: str) -> Ledger:
    """A study's ledger in the project."""
    from unstained.registry.ledger import Ledger, ledger_path

    return Ledger(ledger_path(root, study))


def pull_ledger(root: Path, study: str, registry: Registry | None = None) -> str:
    """Take into a study's ledger what the registry recorded of other projects' decisions.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Returns:
        What was done, for people.

    Raises:
        ParameterError: there is no such study.
        RegistryError, IntegrityError: see `registry.agreement.pull`.
    """
    from unstained.registry.agreement import pull

    ledger = _ledger_of(root, study)
    new = pull(registry or registry_of(root), ledger, registered_name(root, study))
    if not new:
        return f"the registry recorded nothing that {ledger.path} lacks"
    return f"{counted(len(new), 'entry', 'entries')} added to {ledger.path}"


def sign_ledger(root: Path, study: str, registry: Registry | None = None) -> str:
    """Sign a study's ledger as it is with UNSTAINED_SIGNING_KEY.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Returns:
        What was done, for people.

    Raises:
        ParameterError: there is no such study.
        UnstainedError: there is no key, or it cannot be read.
        RegistryError, IntegrityError: see `registry.agreement.vouch`.
    """
    from unstained.registry.agreement import vouch

    name, ledger = registered_name(root, study), _ledger_of(root, study)
    entry = vouch(registry or registry_of(root), ledger, study, name)
    if entry is None:
        return f"{ledger.path} has no entry that could be signed"
    return f"{ledger.path} is signed to entry {entry.sequence}"


def look_at_holdings(root: Path, study: str) -> str:
    """See whether the registry holds what was registered, see `pipeline.holdings`."""
    from unstained.pipeline.holdings import look_at_registry

    return look_at_registry(root, study, registry_of(root))


def beside_the_ledger(root: Path, artifact: Path) -> str:
    """A sentence where an artifact is not its study's champion by the ledger here; else ''.

    Args:
        root: the project's root; without a ledger nothing is said.
        artifact: sealed artifact.
    """
    from unstained.artifact.artifact import CARD_FILE, artifact_digest
    from unstained.registry.ledger import known_ledger

    card = artifact / CARD_FILE
    if not card.is_file():
        return ""
    ledger = known_ledger(root, str(read_json(card).get("study")))
    champions = ledger.standing().champions if ledger else ()
    digest = artifact_digest(artifact)
    if not ledger or not champions or champions[-1].digests["artifact"] == digest:
        return ""
    return (
        f"the artifact at {artifact} is not the champion: by {ledger.path} that is "
        f"v{champions[-1].version} with artifact {champions[-1].digests['artifact'][:12]}"
    )


def rollback_study(root: Path, study: str, reason: str, registry: Registry | None = None) -> str:
    """Make a study's previous champion champion again.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        reason: goes into the ledger.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Returns:
        What was done, for people.

    Raises:
        ParameterError: there is no such study.
        RegistryError: there is nothing to roll back to.
        IntegrityError: the previous champion's artifact was tampered with.
    """
    from unstained.registry.promotion import rollback

    name, registry = registered_name(root, study), registry or registry_of(root)
    return rollback(registry, _ledger_of(root, study), study, name, reason)


def registered_name(root: Path, study: str) -> str:
    """What a study's models are called in the registry."""
    project = load_params(root / "params.yaml")
    return project.require_study(study).recipes[project.recipe].register_.name_of(study)


def registry_of(root: Path) -> Registry:
    """The registry: the server at MLFLOW_TRACKING_URI, or SQLite in the project's root."""
    from unstained.registry.registry import Registry

    return Registry(os.environ.get("MLFLOW_TRACKING_URI"), root)
