"""What a registered version is asked: of a cell, of any source, and over the network."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from unstained.config.project import load_params
from unstained.errors import ParameterError, RegistryError, StageInputError
from unstained.operations import registered_name, registry_of, settled_study
from unstained.processes import elsewhere
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from unstained.config.study import TableParams
    from unstained.data.store.cell_store import CellStore
    from unstained.prediction.predicting import Predicted
    from unstained.registry.entries import Standing
    from unstained.registry.registry import Registry
    from unstained.registry.submission import RegisteredVersion
    from unstained.serving.running import Serving
    from unstained.serving.served import Promotion
    from unstained.serving.targets import Target
    from unstained.stages.ingest import IngestStageParams
    from unstained.summaries.telling import Summary


class Model(NamedTuple):
    """An artifact that is known.

    Attributes:
        artifact: its directory.
        digest: as the registry knows it.
        label: number of the version; '' where it is none.
    """

    artifact: Path
    digest: str
    label: str


def fetched_model(
    root: Path, study: str, which: str | None, folder: Path, registry: Registry | None = None
) -> Model:
    """Fetch a registered version.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        which: number or alias; None: the champion by the ledger.
        folder: the artifact is put in it.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Raises:
        ParameterError: there is no such study.
        RegistryError: there is no such version, or the registry does not hold it.
        IntegrityError: the artifact is not what was registered.
    """
    registry = registry or registry_of(root)
    version = _version(root, study, which, registry)
    artifact = registry.download(version, folder / "artifact")
    return Model(artifact, version.digest, str(version.version))


def serve_study(
    root: Path, study: str, which: str | None, serving: Serving, challenger: str | None = None
) -> None:
    """Serve a registered version until SIGTERM or Ctrl-C.

    Registry and MLflow are asked by a process that ends before anything is served.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        which: number or alias; None: the champion by the ledger.
        serving: how.
        challenger: number or alias of a version beside it.

    Raises:
        ParameterError, RegistryError, IntegrityError: see `fetched_model`.
        UnstainedError: see `serving.running.serve`.
    """
    from unstained.serving.running import serve

    with temporary_folder() as temporary:
        champions = Champions(root, study, which, temporary)
        beside = challenger and Champions(root, study, challenger, temporary).fetch()
        serve(champions.fetch(), serving, champions, beside or None)


@dataclass
class Champions:
    """The champion of a study, for a server that follows it.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        which: number or alias; None: the champion by the ledger.
        folder: artifacts are put into it, one after the other.

    Attributes:
        last: the artifact that was fetched last.
    """

    root: Path
    study: str
    which: str | None
    folder: Path
    last: str = ""

    def digest(self) -> str:
        """Of the ledger's champion; nobody else is asked. Raises: IntegrityError: it is damaged."""
        champions = self._standing().champions
        return champions[-1].digests["artifact"] if champions else self.last

    def _standing(self) -> Standing:
        """Who is champion by the ledger."""
        from unstained.registry.entries import Standing
        from unstained.registry.ledger import known_ledger

        ledger = known_ledger(self.root, self.study)
        return ledger.standing() if ledger else Standing()

    def _promotion(self, digest: str) -> Promotion | None:
        """How an artifact became champion, the last time."""
        from unstained.serving.served import Promotion

        standing = self._standing()
        won = [one for one in standing.champions if one.digests.get("artifact") == digest]
        if not won:
            return None
        head = standing.head
        last = head if head and head.digests.get("artifact") == digest else won[-1]
        told = last.action, last.time, last.actor, last.reason, last.replaced
        return Promotion(*told, gate=tuple(won[-1].gate))

    def fetch(self) -> Target:
        """The version, fetched in a process of its own. Raises: see `fetched_model`."""
        from unstained.serving.targets import Target

        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            model = elsewhere(fetched_model, self.root, self.study, self.which, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.last = model.digest
        return Target(model.artifact, model.digest, model.label, self._promotion(model.digest))

    def forget(self, artifact: Path) -> None:
        """Remove what `fetch` fetched."""
        shutil.rmtree(self.folder / artifact.relative_to(self.folder).parts[0], ignore_errors=True)


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
        ParameterError: there is no such study or reader, the file's end says no format, or it is
            the source's own table.
        RegistryError: there is no such version, or the registry does not hold it.
        SourceError, StoreError: the source cannot be read.
        IntegrityError: the artifact is not what was registered.
    """
    from unstained.artifact.artifact import artifact_digest
    from unstained.artifact.signing import verify_signed
    from unstained.pipeline.catalogue import pick_params
    from unstained.prediction.predicting import predict
    from unstained.prediction.source import open_cells
    from unstained.stages.ingest import STAGE

    content = load_params(root / "params.yaml").content(study, ())
    params = cast("IngestStageParams", pick_params(STAGE, content, None))
    out = out or root / "runs" / study / "predict" / f"{source.absolute().stem or study}.csv"
    _require_another(out, source, params.data.table)
    cells = open_cells(params.data, source, reader, params.ingest)
    with temporary_folder() as temporary:
        if isinstance(which, Path):
            model = Model(which, artifact_digest(which), "")
        else:
            model = fetched_model(root, study, which, temporary, registry)
        _, signed = verify_signed(model.artifact, model.digest)
        notes = {"model_version": model.label, "model_digest": model.digest}
        found = predict(cells, model.artifact, model.digest, out, notes, workers)
    found.notes += [signed.doubt] if signed.doubt else []
    return found


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

    endpoint, registry = endpoint_of(), registry or registry_of(root)
    champion = _champion(root, study, registry)
    store = CellStore.open(root / "runs" / study / "ingest" / "store")
    image = store.images([_row(store, cell)])
    with temporary_folder() as temporary:
        artifact = registry.download(champion, temporary / "artifact")
        predictor = Predictor(artifact, champion.digest)
    facts = predictor.facts(predictor.predict(image), 0)
    summary = asyncio.run(tell(facts, endpoint))
    if log:
        log_summary(registry, champion, study, cell, summary)
    return summary


def sign_model(
    root: Path, study: str | None, which: str | Path | None, registry: Registry | None = None
) -> str:
    """Sign a registered version, or an artifact's directory, with UNSTAINED_SIGNING_KEY.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`; None for a directory.
        which: number or alias, or the directory; None: the champion by the ledger.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Returns:
        What was done, for people.

    Raises:
        ParameterError: study and directory are both given, or neither is.
        RegistryError: there is no such version, or the registry does not hold it.
        IntegrityError: the artifact is not what was sealed or registered.
        UnstainedError: there is no key, or it cannot be read.
    """
    from unstained.artifact.keys import required_signing_key
    from unstained.artifact.signing import sign_artifact
    from unstained.registry.signatures import sign_version

    if (study is None) != isinstance(which, Path):
        raise ParameterError(
            "what is signed is a study's champion or version, or an artifact",
            "give the study's name, or --artifact and its directory",
        )
    key = required_signing_key()
    if isinstance(which, Path):
        return f"{which} is signed by key {sign_artifact(which, key)}"
    registry = registry or registry_of(root)
    version = _version(root, str(study), which, registry)
    with temporary_folder() as temporary:
        artifact = registry.download(version, temporary / "artifact", signed=False)
        by = sign_version(registry, version, artifact, key)
    return f"{version.label} of {study} is signed by key {by}"


def _require_another(out: Path, source: Path, table: TableParams | None) -> None:
    """See that answers do not replace what they are answers to."""
    names = ("", table.file) if table is not None and table.file else ("",)
    if out.exists() and any(out.samefile(each) for n in names if (each := source / n).exists()):
        raise ParameterError(
            f"{out} is the source, or its table", "name another file with --out to write to"
        )


def _version(root: Path, study: str, which: str | None, registry: Registry) -> RegisteredVersion:
    """A version by number or alias; the champion, as the ledger knows it, without either."""
    if which is None:
        return _champion(root, study, registry)
    name = registered_name(root, study)
    if which.isdecimal():
        return registry.version(name, int(which))
    if which == "champion":
        return _champion(root, study, registry)
    settled_study(root, study, registry)  # by which the alias `previous` follows the ledger
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
