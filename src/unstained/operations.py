"""What a person asks of a study's registered versions by hand, outside of any run of stages."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from unstained.config.project import load_params
from unstained.errors import RegistryError, StageInputError
from unstained.files import read_json, write_text

if TYPE_CHECKING:
    from unstained.config.compare import CompareStageParams
    from unstained.data.store.cell_store import CellStore
    from unstained.prediction.predicting import Predicted
    from unstained.registry.ledger import Entry
    from unstained.registry.registry import Registry
    from unstained.registry.settling import Settled
    from unstained.registry.standings import Leaderboard
    from unstained.registry.submission import RegisteredVersion
    from unstained.stages.ingest import IngestStageParams
    from unstained.summaries.telling import Summary


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
    from unstained.registry.ledger import Ledger, ledger_path
    from unstained.registry.settling import look
    from unstained.report.leaderboard.page import leaderboard_page
    from unstained.stages.compare import STAGE, make_leaderboard, write_leaderboard

    content = load_params(root / "params.yaml").content(study, ())
    params = cast("CompareStageParams", pick_params(STAGE, content, None))
    runs = root / "runs" / study
    cells = CellFiles(runs / "ingest" / "store", runs / "split" / "split.parquet")
    here = cells if cells.store.exists() and cells.split.exists() else None
    registry, name = registry or _registry(root), params.register_.name_of(study)
    settled = look(registry, Ledger(ledger_path(root, study)), study, name)
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

    registry = registry or _registry(root)
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
    from unstained.registry.ledger import Ledger, ledger_path
    from unstained.registry.promotion import settled_champion

    name, registry = _name(root, study), registry or _registry(root)
    return settled_champion(registry, Ledger(ledger_path(root, study)), study, name)


def history_of(
    root: Path, study: str, registry: Registry | None = None
) -> tuple[list[Entry], list[str]]:
    """A study's ledger, and what the registry says against it.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`; a study that
            was never promoted in does not ask it.

    Returns:
        (entries, oldest first, after the registry was made to agree; notes for people).

    Raises:
        ParameterError: there is no such study.
        IntegrityError: the ledger is damaged.
    """
    from unstained.registry.ledger import Ledger, ledger_path

    _name(root, study)
    ledger = Ledger(ledger_path(root, study))
    if not ledger.entries():
        return [], [f"nothing was decided about {study} yet: `dvc repro` compares and promotes"]
    try:
        settled = settled_study(root, study, registry)
    except RegistryError as error:
        return ledger.entries(), [str(error)]
    now = settled.champion.label if settled.champion else "nobody"
    return ledger.entries(), [*settled.notes, f"champion of {study} now: {now}"]


def look_at_holdings(root: Path, study: str) -> str:
    """See whether the registry holds what was registered, see `pipeline.holdings`."""
    from unstained.pipeline.holdings import look_at_registry

    return look_at_registry(root, study, _registry(root))


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


def explain_cell(
    root: Path, study: str, cell: str, *, log: bool = False, registry: Registry | None = None
) -> Summary:
    """What the champion predicts of one cell, in words.

    The language model of the environment writes them where there is one and it keeps to the
    prediction, else a template.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        cell: its id, as in the store's cells.parquet.
        log: whether prompt and text are logged to MLflow.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Raises:
        ParameterError: there is no such study.
        RegistryError: there is no champion, or the registry does not hold it.
        StageInputError: there is no such cell.
        UnstainedError: the environment tells a language model that cannot be asked.
    """
    import asyncio

    from unstained.data.store.cell_store import CellStore
    from unstained.registry.summaries import log_summary
    from unstained.serving.predictor import Predictor
    from unstained.summaries.endpoint import endpoint_of
    from unstained.summaries.telling import tell

    endpoint, registry = endpoint_of(), registry or _registry(root)
    champion = _champion(root, study, registry)
    store = CellStore.open(root / "runs" / study / "ingest" / "store")
    image = store.images([_row(store, cell)])
    with tempfile.TemporaryDirectory() as temporary:
        artifact = registry.download(champion, Path(temporary) / "artifact")
        predictor = Predictor(artifact, champion.digest)
    facts = predictor.facts(predictor.predict(image), 0)
    summary = asyncio.run(tell(facts, endpoint))
    if log:
        log_summary(registry, champion, study, cell, summary)
    return summary


def predict_study(
    root: Path,
    study: str,
    source: Path,
    out: Path | None = None,
    *,
    which: str | Path | None = None,
    reader: str | None = None,
    workers: int | None = None,
    registry: Registry | None = None,
) -> Predicted:
    """Judge the cells of any source, labelled or not, with a registered model.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        source: a folder in any layout that a reader reads, an image, table or .cif, or a store.
        out: the file to write; None: runs/<study>/predict/<name of the source>.csv.
        which: a version's number or alias, or the directory of an artifact; None: the champion.
        reader: of another layout than the study's.
        workers: processes; None: as many as there are processors and work for.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Raises:
        ParameterError: there is no such study or reader, or the file's end says no format.
        RegistryError: there is no such version, or the registry does not hold it.
        SourceError, StoreError: the source cannot be read.
        IntegrityError: the artifact is not what was registered.
    """
    from unstained.artifact.artifact import verify_artifact
    from unstained.pipeline.catalogue import pick_params
    from unstained.prediction.predicting import predict
    from unstained.prediction.source import open_cells
    from unstained.stages.ingest import STAGE

    content = load_params(root / "params.yaml").content(study, ())
    params = cast("IngestStageParams", pick_params(STAGE, content, None))
    cells = open_cells(params.data, source, reader, params.ingest)
    out = out or root / "runs" / study / "predict" / f"{source.absolute().stem or study}.csv"
    with tempfile.TemporaryDirectory() as temporary:
        if isinstance(which, Path):
            artifact, digest, label = which, verify_artifact(which), ""
        else:
            registry = registry or _registry(root)
            version = _version(root, study, which, registry)
            artifact = registry.download(version, Path(temporary) / "artifact")
            digest, label = version.digest, str(version.version)
        notes = {"model_version": label, "model_digest": digest}
        return predict(cells, artifact, digest, out, notes, workers)


def _version(root: Path, study: str, which: str | None, registry: Registry) -> RegisteredVersion:
    """A version by number or alias; the champion, as the ledger knows it, without either."""
    if which is None:
        return _champion(root, study, registry)
    name = _name(root, study)
    if which.isdecimal():
        return registry.version(name, int(which))
    known = registry.aliases(name)
    if which not in known:
        raise RegistryError(
            f"no version of {name} has the alias {which!r}",
            f"choose from {', '.join(known) or 'version numbers: `unstained compare`'}",
        )
    return registry.version(name, known[which])


def _champion(root: Path, study: str, registry: Registry) -> RegisteredVersion:
    """The champion by the ledger. Raises: RegistryError, where there is none."""
    champion = settled_study(root, study, registry).require_champion()
    if champion is None:
        raise RegistryError(
            f"{study} has no champion that could be asked",
            "`dvc repro` compares the study's models and promotes one",
        )
    return champion


def _row(store: CellStore, cell: str) -> int:
    """Row of a cell in a store."""
    ids = store.columns("cell_id")["cell_id"]
    rows = ids.index[ids == cell]
    if len(rows) == 0:
        raise StageInputError(
            f"{store.path} holds no cell {cell!r}",
            f"name one by its cell_id in {store.path / 'cells.parquet'}, such as {ids[0]!r}",
        )
    return int(rows[0])


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
    from unstained.registry.ledger import Ledger, ledger_path
    from unstained.registry.promotion import rollback

    name, registry = _name(root, study), registry or _registry(root)
    return rollback(registry, Ledger(ledger_path(root, study)), study, name, reason)


def _name(root: Path, study: str) -> str:
    """What a study's models are called in the registry."""
    project = load_params(root / "params.yaml")
    return project.require_study(study).recipes[project.recipe].register_.name_of(study)


def _registry(root: Path) -> Registry:
    from unstained.registry.registry import Registry

    return Registry(os.environ.get("MLFLOW_TRACKING_URI"), root)
