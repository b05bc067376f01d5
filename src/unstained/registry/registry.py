"""The port to MLflow: versions, aliases, tags, artifacts with proof, predictions.

Nothing here connects before it is asked something, and every answer of MLflow is plain data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstained.artifact.artifact import verify_artifact
from unstained.errors import IntegrityError, RegistryError
from unstained.files import file_sha256
from unstained.registry import runs
from unstained.registry.connection import (
    connect,
    explained,
    global_uri,
    overwrite,
    public,
    unless_it_exists,
)
from unstained.registry.fetching import fetch_artifact
from unstained.registry.notes import about_model, about_version
from unstained.registry.submission import (
    FINISHED,
    STARTED,
    RegisteredVersion,
    Submission,
    milliseconds,
)
from unstained.registry.trials import log_search
from unstained.registry.wrapping import WRAPPING
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from unstained.predictions import Predictions

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"

DATABASES: Final = ("sqlite", "postgresql", "mysql", "mssql")
"""Without a server there is nobody to choose where artifacts lie: they go below the project."""

KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Lets MLflow show an experiment's runs and charts, not its pages for language models."""

PREDICTIONS: Final = "predictions/predictions.parquet"
TRIALS: Final = "unstained-trials"
"""Experiment of all searches' trials: apart from the models, whose columns differ."""

PAGE: Final = 1000


class Registry:
    """Experiments and registered models on an MLflow server or in a database.

    Args:
        uri: MLflow tracking URI; None means the SQLite database mlflow.db in `root`.
        root: the project's directory. Without a server, artifacts lie in mlartifacts/ beside an
            SQLite database, or in `root`.
    """

    def __init__(self, uri: str | None, root: Path) -> None:
        self.uri = uri or f"sqlite:///{root.resolve() / 'mlflow.db'}"
        database = self.uri.removeprefix("sqlite:///")
        self.root = Path(database).resolve().parent if database != self.uri else root.resolve()
        self._client: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, connected at first use.

        Raises:
            RegistryError: see `connection.connect`.
        """
        if self._client is None:
            self._client = connect(self.uri)
        return self._client

    def register(self, given: Submission) -> tuple[RegisteredVersion, bool]:
        """Log a run with everything about a model, and make its artifact a version.

        An artifact that is a version already is not registered again. What an interrupted
        registration left is removed.

        Returns:
            (the version, whether it was created now).

        Raises:
            IntegrityError: the artifact is not what was sealed, here or after the upload.
            RegistryError: MLflow failed.
        """
        digest = verify_artifact(given.artifact)
        tags = given.identity(digest)
        for known in self.versions(given.name):
            if known.digest == digest:
                self.complete(known)
                return known, False
        client = self.client
        with explained(self.uri), global_uri(self.uri):
            experiment = self.experiment(given.experiment)
            runs.remove_unfinished(client, experiment, digest)
            run = client.create_run(
                experiment,
                start_time=milliseconds(tags, STARTED),
                tags={**tags, **given.source},
                run_name=given.run_name,
            ).info.run_id
            try:
                version = self._log(experiment, run, given, tags)
            except BaseException:
                with suppress(Exception):  # the server may be what failed
                    client.set_terminated(run, "FAILED")
                raise
            runs.close_run(client, run, given.name, version)
        return self.version(given.name, version), True

    def complete(self, version: RegisteredVersion) -> None:
        """Finish the run of a version whose registration was interrupted after it was made."""
        client = self.client
        with explained(self.uri, version.remedy_if_lost):
            if client.get_run(version.run_id).info.status != "FINISHED":
                runs.close_run(client, version.run_id, version.name, version.version)

    def restore(self, version: RegisteredVersion) -> tuple[str, ...]:
        """Take back that a version's run, or the experiment around it, was deleted.

        Returns:
            What was deleted: 'experiment', 'run'.
        """
        client = self.client
        with explained(self.uri):
            return runs.restore_run(client, version.run_id)

    def versions(self, name: str) -> list[RegisteredVersion]:
        """All versions of a registered model, oldest first; empty where there is no such model."""
        with explained(self.uri):
            found = self.mlflow_versions(name)
            if not found:
                return []
            aliases = self.client.get_registered_model(name).aliases
        return [RegisteredVersion.of(version, aliases) for version in found]

    def mlflow_versions(self, name: str) -> list[ModelVersion]:
        """`versions` as MLflow answers them; what it raises is left as it is."""
        found: list[ModelVersion] = []
        token: str | None = None
        while True:
            page = self.client.search_model_versions(
                f"name='{name}'",
                max_results=PAGE,
                order_by=["version_number ASC"],
                page_token=token,
            )
            found += page
            token = page.token
            if not token:
                return found

    def version(self, name: str, number: int) -> RegisteredVersion:
        """One version.

        Raises:
            RegistryError: there is no such version.
        """
        for version in self.versions(name):
            if version.version == number:
                return version
        raise RegistryError(
            f"MLflow at {public(self.uri)} holds no version {number} of {name}",
            "set MLFLOW_TRACKING_URI to the registry that the model was registered in, or "
            "register again: `dvc repro`",
        )

    def alias(self, name: str, alias: str) -> int | None:
        """Version that an alias points to, or None."""
        return self.aliases(name).get(alias)

    def aliases(self, name: str) -> dict[str, int]:
        """Alias -> version; empty where there is no such registered model."""
        client = self.client
        with explained(self.uri):
            found = client.search_registered_models(f"name='{name}'")
            return {a: int(v) for a, v in found[0].aliases.items()} if found else {}

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Point an alias to a version; None removes it."""
        client = self.client
        with explained(self.uri):
            if version is not None:
                overwrite(client.set_registered_model_alias, name, alias, str(version))
            elif alias in self.aliases(name):
                client.delete_registered_model_alias(name, alias)

    def model_tag(self, name: str, key: str) -> str | None:
        """A tag of the registered model, or None."""
        client = self.client
        with explained(self.uri):
            found = client.search_registered_models(f"name='{name}'")
            return found[0].tags.get(key) if found else None

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Tag the registered model."""
        with explained(self.uri):
            overwrite(self.client.set_registered_model_tag, name, key, value)

    def tag_version(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Tag a version."""
        with explained(self.uri):
            for key, value in tags.items():
                overwrite(self.client.set_model_version_tag, name, str(version), key, value)

    def attach(self, version: RegisteredVersion, file: Path, folder: str) -> None:
        """Add a file to the artifacts of a version's run."""
        client = self.client
        with explained(self.uri, version.remedy_if_lost):
            client.log_artifact(version.run_id, str(file), folder)

    def download(self, version: RegisteredVersion, directory: Path, *, signed: bool = True) -> Path:
        """Fetch a version's artifact.

        Args:
            version: which one.
            directory: where the artifact is put, whole or not at all.
            signed: with its signature, if it has one; not where it is about to be signed anew.

        Returns:
            `directory`.

        Raises:
            IntegrityError: the artifact is not the one that was registered.
            RegistryError: MLflow failed.
        """
        client = self.client
        with explained(self.uri, version.remedy_if_lost):
            place = client.get_model_version_download_uri(version.name, str(version.version))
        fetch_artifact(client, self.uri, place, version.digest, directory, version, signed)
        return directory

    def predictions(self, version: RegisteredVersion) -> Predictions:
        """A version's predictions of a study's cells.

        Raises:
            IntegrityError: they are not the ones that were registered.
            RegistryError: MLflow failed.
        """
        from unstained.predictions import read_predictions

        client = self.client
        with temporary_folder() as temporary:
            with explained(self.uri, version.remedy_if_lost):
                path = Path(client.download_artifacts(version.run_id, PREDICTIONS, str(temporary)))
            if file_sha256(path) != version.tags.get("predictions_digest"):
                raise IntegrityError(
                    f"the predictions of {version.uri} are not the ones that were registered",
                    version.remedy_if_lost,
                )
            return read_predictions(path)

    def log_trials(
        self, study: str, model: str, trials: Sequence[Mapping[str, Any]], search: str
    ) -> None:
        """Show a search's trials: one run a trial, below one parent a search.

        Logging a search again, e.g. after it was resumed, adds what is missing.

        Args:
            study: key of params.yaml `studies`.
            model: key of the recipe's `models`.
            trials: records with `trial` (number), `state`, `value`, `epochs`, `params` and
                `history`, pairs of epoch and loss.
            search: digest of what defines the search, e.g. the stage's fingerprint.
        """
        with explained(self.uri):
            log_search(self.client, self.experiment(TRIALS), study, model, search, trials)

    def experiment(self, name: str, tags: Mapping[str, str] = KIND) -> str:
        """Id of an experiment, made with `tags` where it is not there.

        Raises:
            RegistryError: it was deleted.
        """
        client = self.client
        found = client.get_experiment_by_name(name)
        if found is None:
            place = None
            if self.uri.startswith(DATABASES):
                place = (self.root / "mlartifacts" / name).as_uri()
            unless_it_exists(
                lambda: client.create_experiment(name, artifact_location=place, tags=dict(tags))
            )
            found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            number = name if found is None else found.experiment_id
            raise RegistryError(
                f"the MLflow experiment {name!r} was deleted",
                f"`MLFLOW_TRACKING_URI={public(self.uri)} mlflow experiments restore "
                f"--experiment-id {number}` brings it back; or choose another name: "
                "register.experiment in params.yaml",
            )
        return str(found.experiment_id)

    def _log(self, experiment: str, run: str, given: Submission, tags: Mapping[str, str]) -> int:
        """Fill the run, upload the model, prove the upload, create the version."""
        client = self.client
        runs.log_params(client, run, given.params)
        runs.log_dataset(client, run, given.dataset)
        runs.log_files(client, run, given, {PREDICTIONS: given.predictions})
        logged = runs.log_onnx(client, experiment, run, given)
        runs.log_history(client, run, given.history, when=milliseconds(tags, FINISHED))
        place = client.get_logged_model(logged).artifact_location
        with temporary_folder() as temporary:
            digest, fetched = tags["artifact_digest"], temporary / "artifact"
            wrapping = fetch_artifact(client, self.uri, place, digest, fetched)
        unless_it_exists(
            lambda: client.create_registered_model(given.name, description=about_model(given))
        )
        version = client.create_model_version(
            given.name,
            f"models:/{logged}",
            run_id=run,
            tags={**tags, WRAPPING: wrapping},
            description=about_version(given, tags),
            model_id=logged,
        )
        return int(version.version)
