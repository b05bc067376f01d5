"""What is told to the registry about one trained and exported model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstained.artifact.artifact import MODEL_FILE
from unstained.errors import RegistryError
from unstained.files import file_sha256

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow.entities.model_registry import ModelVersion

FOLD: Final = "fold"
"""Tag of a replicate: the fold that was held out. Versions that have it are no candidates."""

SEED: Final = "seed"
"""Tag of a replicate."""

STARTED: Final = "training_started"
FINISHED: Final = "training_finished"
"""Tags: when the training began and ended (ISO 8601), which are the run's times in MLflow."""


@dataclass(frozen=True)
class DatasetFacts:
    """Lineage of the data.

    Attributes:
        name: study.
        data_digest: digest of cells, labels and targets.
        split_digest: digest of the partition into train, val and test.
        location: where the packed store lies, relative to the project's root.
        profile: small facts for people, e.g. number of cells.
    """

    name: str
    data_digest: str
    split_digest: str
    location: str
    profile: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short_digest(self) -> str:
        """As MLflow names it, which keeps 36 characters; the full one is in profile and tags."""
        return self.data_digest[:32]


@dataclass(frozen=True)
class Submission:
    """A model on its way into the registry.

    Attributes:
        experiment: MLflow experiment.
        name: registered model.
        study, model, recipe: names.
        artifact: sealed artifact directory.
        dataset: what it learned from.
        simulated: whether the cells came from the simulator.
        params: flat name -> value, as they took effect.
        metrics: flat name -> number; what is not finite is left out.
        history: one mapping an epoch: 'epoch' and numbers.
        tags: further tags of run and version.
        files: path in the run's artifacts -> file.
        figures: path in the run's artifacts -> figure.
        predictions: the model's predictions, one row a cell.
        headline: metrics that the version's description shows, best first.
        source: tags of the run alone, by which MLflow shows program, repository and commit.
    """

    experiment: str
    name: str
    study: str
    model: str
    recipe: str
    artifact: Path
    dataset: DatasetFacts
    simulated: bool
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    tags: Mapping[str, str]
    files: Mapping[str, Path]
    figures: Mapping[str, Figure]
    predictions: Path
    headline: Sequence[str]
    source: Mapping[str, str] = field(default_factory=dict)

    @property
    def run_name(self) -> str:
        """What its run is called in MLflow."""
        if FOLD in self.tags:
            return f"{self.model} fold{self.tags[FOLD]} seed{self.tags[SEED]}"
        return f"{self.study}/{self.model}"

    def identity(self, digest: str) -> dict[str, str]:
        """Tags of run and version: what it is, and what its bytes must be.

        Args:
            digest: of the artifact.
        """
        return {
            "study": self.study,
            "model": self.model,
            "recipe": self.recipe,
            "simulated": str(self.simulated).lower(),
            "data_digest": self.dataset.data_digest,
            "split_digest": self.dataset.split_digest,
            "artifact_digest": digest,
            "onnx_digest": file_sha256(self.artifact / MODEL_FILE),
            "predictions_digest": file_sha256(self.predictions),
            **self.tags,
        }


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry.

    Attributes:
        name: registered model.
        version: number.
        model: key of the recipe's `models`.
        run_id: its MLflow run.
        digest: of its artifact.
        data_digest, split_digest: equal ones mean the same test cells.
        tags: of the version.
        aliases: sorted.
    """

    name: str
    version: int
    model: str
    run_id: str
    digest: str
    data_digest: str
    split_digest: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]

    @classmethod
    def of(cls, version: ModelVersion, aliases: Mapping[str, Any]) -> RegisteredVersion:
        """What MLflow holds of a version.

        Args:
            version: as MLflow answers it.
            aliases: alias -> number of a version, of the whole registered model.
        """
        tags, number = dict(version.tags), int(version.version)
        return cls(
            name=version.name,
            version=number,
            model=tags.get("model", ""),
            run_id=str(version.run_id),
            digest=tags.get("artifact_digest", ""),
            data_digest=tags.get("data_digest", ""),
            split_digest=tags.get("split_digest", ""),
            tags=tags,
            aliases=tuple(sorted(alias for alias, held in aliases.items() if int(held) == number)),
        )

    @property
    def uri(self) -> str:
        """How MLflow addresses it."""
        return f"models:/{self.name}/{self.version}"

    @property
    def test_cells(self) -> tuple[str, str]:
        """What two versions must share to be comparable."""
        return self.data_digest, self.split_digest

    @property
    def digests(self) -> dict[str, str]:
        """What an entry of the ledger says of its content."""
        return {
            "artifact": self.digest,
            "data": self.data_digest,
            "split": self.split_digest,
            "params": self.tags.get("params_digest", ""),
            "predictions": self.tags.get("predictions_digest", ""),
        }

    @property
    def is_replicate(self) -> bool:
        """Whether it is one training among folds and seeds: never compared alone or promoted."""
        return FOLD in self.tags

    @property
    def remedy_if_lost(self) -> str:
        """What to do where something of it is damaged or gone, for people."""
        return (
            f"delete version {self.version} of {self.name} in MLflow; `dvc repro` registers again "
            "what runs/ holds of it"
        )

    @property
    def label(self) -> str:
        """The version for a sentence: 'v7 (cg_recnet)', or with fold and seed."""
        if not self.is_replicate:
            return f"v{self.version} ({self.model})"
        fold, seed = self.tags[FOLD], self.tags.get(SEED, "?")
        return f"v{self.version} ({self.model}, fold {fold}, seed {seed})"


def require_candidate(version: RegisteredVersion) -> None:
    """Refuse as champion what was not made for it: a replicate, another tool's version.

    Raises:
        RegistryError: it is one.
    """
    if version.is_replicate:
        raise RegistryError(
            f"{version.label} of {version.name} is a replicate of the comparison across folds, and "
            "no candidate for champion",
            "take the alias champion from it in MLflow, or choose a version without the tag fold",
        )
    if not version.digest:
        raise RegistryError(
            f"v{version.version} of {version.name} was not registered by this project, and is no "
            "candidate for champion",
            "take the alias champion from it in MLflow, or set register.registered_model in "
            "params.yaml to a name that no other project uses",
        )


def milliseconds(tags: Mapping[str, str], name: str) -> int | None:
    """The time in a tag as MLflow counts it, since 1970; None where there is no such tag."""
    return int(datetime.fromisoformat(tags[name]).timestamp() * 1000) if name in tags else None


def flatten(content: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    """Nested mappings to one mapping with joined names; empty ones vanish."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, separator, f"{prefix}{key}{separator}")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def numbers(content: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a flat mapping; truth values count as 1 and 0."""
    return {
        name: float(value)
        for name, value in content.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }
