"""Promote: the best new version becomes champion, if the gate lets it.

`unstained rollback STUDY` (`operations`) undoes the last promotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.promote import PromoteParams
from unstained.config.register import RegisterParams
from unstained.files import read_json, write_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from unstained.registry.registry import Registry
    from unstained.registry.submission import RegisteredVersion


class PromoteStageParams(Params):
    """Parameters of the stage."""

    register_: RegisterParams
    promote: PromoteParams


STAGE = Stage(
    name="promote",
    params=PromoteStageParams,
    sections={"register_": "register", "promote": "promote"},
    inputs={
        "leaderboard": Input("compare", "leaderboard"),
        "registrations": Input("register", "registration", every_model=True),
    },
    outputs={
        "decision": Output("decision.json"),
        "deployment": Output("deployment.yaml"),
    },
    per="study",
)


def run(params: PromoteStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Decide about the best new version and act on it.

    Raises:
        RegistryError: MLflow failed, or the champion changed since the comparison.
        IntegrityError: an artifact, the ledger or the registry was tampered with.
    """
    from unstained.registry.ledger import Ledger, ledger_path
    from unstained.registry.promotion import decided, promote, settled_champion
    from unstained.registry.registration import read_registrations, require_as_registered

    mode = params.promote.mode
    name = params.register_.name_of(job.study)
    about = {"study": job.study, "name": name, "mode": mode}
    if mode == "off":
        sentence = "promotion is off (promote.mode): nothing was decided"
        write_text(outputs["deployment"], f"# {sentence}\n")
        write_json(outputs["decision"], {**about, "promoted": False, "sentence": sentence})
        return Report({"promoted": False}, (sentence,))
    ledger = Ledger(ledger_path(job.root, job.study))
    settled = settled_champion(job.registry, ledger, job.study, name)
    new = read_registrations(inputs["registrations"], job.models)
    require_as_registered(job.registry, name, inputs["registrations"], job.models)
    decision = decided(settled, read_json(inputs["leaderboard"]), new, params.promote)
    outcome = promote(job.registry, ledger, job.study, name, decision, mode)
    result = {"promoted": outcome.promoted, "champion": outcome.champion}
    content = {
        **decision.as_json(),
        **about,
        **result,
        "replaced": decision.champion if outcome.promoted else None,
        "sentence": outcome.sentence,
    }
    write_json(outputs["decision"], content)
    champion = outcome.champion and job.registry.version(name, outcome.champion)
    manifest = deployment(job.registry, job.study, champion or None)
    write_text(outputs["deployment"], manifest)
    notes = (*dict.fromkeys((*settled.notes, *outcome.notes)), outcome.sentence)
    return Report({**result, "challenger": decision.challenger}, notes)


def deployment(registry: Registry, study: str, champion: RegisteredVersion | None) -> str:
    """The InferenceService that serves the champion, as YAML; a comment where there is none to say.

    Where UNSTAINED_MODEL_STORE names an object store, the champion's artifact is put there first.

    Raises:
        ParameterError: UNSTAINED_MODEL_STORE is no s3:// address.
        StoreError: the object store refuses or is unreachable.
    """
    from unstained.registry.deployment import render_inference_service
    from unstained.registry.shipping import STORE, model_store, ship

    store = model_store()
    if champion is None:
        return "# there is no champion to deploy\n"
    if store is None:
        return f"# set {STORE}=s3://bucket/prefix, then run `unstained deployment {study}`\n"
    with temporary_folder() as folder:
        artifact = registry.download(champion, folder / "artifact")
        address = ship(artifact, store, study)
    number, model, digest = str(champion.version), champion.model, champion.digest
    return render_inference_service(study, address, digest, version=number, model=model)
