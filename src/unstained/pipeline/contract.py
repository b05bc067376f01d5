"""What a stage is: typed parameters, named inputs and outputs, one function from files to files.

A stage module defines `STAGE` (this contract) and `run(params, inputs, outputs, job) -> Report`.
It knows nothing of DVC, Kubeflow or the command line. Everything else that runs stages (dvc.yaml,
`unstained run`, pipelines, tests) is derived from, or checked against, these definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from unstained.config.base import Params

if TYPE_CHECKING:
    from unstained.registry.registry import Registry

Scalar = str | int | float | bool | None

REPORT: Final = "report.json"
"""File that the runner writes beside a stage's outputs: the stage's report and their digests."""


@dataclass(frozen=True)
class Input:
    """An output of an earlier stage.

    `every_model` asks for the outputs of all models of the study: the stage then receives the
    directory that holds one sub-directory a model. `every_replicate` asks for those of all models,
    folds and seeds of `baselines`. `main` is an input of the main job alone, which a replicate
    does without.
    """

    stage: str
    output: str = ""
    every_model: bool = False
    every_replicate: bool = False
    main: bool = False


@dataclass(frozen=True)
class Replicate:
    """One training of a model among several: which fold is held out, and the seed."""

    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Its directory."""
        return f"fold{self.fold}-seed{self.seed}"


@dataclass(frozen=True)
class Output:
    """A file or directory that a stage writes, by its path within the stage's directory."""

    path: str
    kind: Literal["data", "metrics", "plots"] = "data"
    plot: Mapping[str, str] = field(default_factory=dict)
    """DVC plot properties: x, y, title, template."""


@dataclass(frozen=True)
class Stage:
    """The contract of one stage.

    Attributes:
        name: verb, also the module's name.
        params: class of its parameters; its fields are the keys of `sections`.
        sections: field -> path in params.yaml; '{study}', '{recipe}' and '{model}' are replaced.
        inputs: name -> output of an earlier stage.
        outputs: name -> file or directory below the stage's directory. report.json is always
            written beside them.
        per: 'study' (once a study) or 'model' (once a study and model). Of stages that run once a
            model, those of the main job take no replicate and those of `baselines` need one; a
            stage can be of both.
        watches: what it rests on that lies outside of runs/, and whose change makes it run again:
            'source', the raw images (the stage has the parameters `data`); or 'registry', which
            must hold what it registered.
    """

    name: str
    params: type[Params]
    sections: Mapping[str, str]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]
    per: Literal["study", "model"]
    watches: Literal["source", "registry"] | None = None


@dataclass(frozen=True)
class Job:
    """What one run of a stage may know beside its parameters and files.

    Attributes:
        study, model, recipe: names; `model` is None for stages that run once a study.
        models: all models of the study, in the order of params.yaml; those of `baselines` for
            stages that are about replicates.
        replicate: fold and seed; None in the main job, and for stages that run once a study.
        replicates: all folds and seeds of `baselines`, for stages that are about replicates.
        scratch: directory for state that survives an interruption (checkpoints, journals). It is
            private to this stage, study, model and fingerprint and is removed after success.
        fingerprint: sha256 of code, parameters and inputs: equal fingerprint, equal result.
        registry: the port to MLflow.
        root: the project's root, for the promotion ledger.
        git_commit: commit of the working tree, with '-dirty' where it differs, or 'unknown'.
        git_remote: address of the repository, without credentials; '' where there is none.
    """

    study: str
    model: str | None
    recipe: str
    models: tuple[str, ...]
    scratch: Path
    fingerprint: str
    registry: Registry
    root: Path
    git_commit: str
    git_remote: str = ""
    replicate: Replicate | None = None
    replicates: tuple[Replicate, ...] = ()

    @property
    def fold(self) -> int | None:
        """The fold that is held out; None in the main job, for the parts of the split."""
        return self.replicate.fold if self.replicate else None

    @property
    def title(self) -> str:
        """Study and model, with fold and seed where it is a replicate, for people."""
        names = f"{self.study}/{self.model}" if self.model else self.study
        return f"{names} {self.replicate.name}" if self.replicate else names


@dataclass(frozen=True)
class Report:
    """What a stage says of its run: numbers for report.json, sentences for people.

    Attributes:
        metrics: flat name -> number or text.
        notes: sentences that a user should read, worst first.
    """

    metrics: Mapping[str, Scalar]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain content of report.json."""
        return {"metrics": dict(self.metrics), "notes": list(self.notes)}


Inputs = Mapping[str, Path]
Outputs = Mapping[str, Path]
