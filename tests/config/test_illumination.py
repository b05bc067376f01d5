"""A study says once where its light comes from; networks that see phase are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.optics import CHANNELS, ILLUMINATION, optics
from unstained.config.document import Document, read_document
from unstained.config.illumination import IlluminationParams
from unstained.config.networks import NetworkBase
from unstained.config.project import ProjectParams
from unstained.errors import ParameterError


def project(repository: Path, network: dict[str, Any] | None = None, **data: Any) -> ProjectParams:
    """The shipped parameters with other data of study nsc, whose networks see phase, or another."""
    content: Any = read_document(repository / "params.yaml").content
    nsc = content["studies"]["nsc"]
    changed = nsc | {
        "data": nsc["data"] | {"channels": list(CHANNELS), "pixel_size_um": 0.2} | data,
        "network": network or {"input": {"view": "phase"}},
    }
    studies = content["studies"] | {"nsc": changed}
    return ProjectParams(Document("p", content | {"active": [], "studies": studies}, {}))


def test_a_network_that_sees_phase_is_told_how_the_images_came_about(repository: Path) -> None:
    recipe = project(repository, illumination=ILLUMINATION).studies["nsc"].recipes["demo"]
    network = recipe.models["hybrid_gated"]
    assert isinstance(network, NetworkBase)
    assert network.input.optics == optics(64)
    control = recipe.models["cg_recnet_background"]
    assert isinstance(control, NetworkBase)
    assert control.input.optics is None  # it hides the cell instead


def test_phase_without_illumination_and_unknown_channels_are_refused(repository: Path) -> None:
    with pytest.raises(ParameterError, match=r"the views of phase need .*\.data\.illumination"):
        _ = project(repository).studies["nsc"].recipes["demo"].models["resnet50"]
    with pytest.raises(ParameterError, match="the study has no channel DPC_Up"):
        project(repository, illumination=ILLUMINATION | {"top": "DPC_Up"})


def test_a_network_that_sees_cells_turned_is_told_where_their_light_comes_from(
    repository: Path,
) -> None:
    shown = {"input": {"symmetries": 8}}
    lit = project(repository, network=shown, illumination=ILLUMINATION).studies["nsc"]
    network = lit.recipes["demo"].models["resnet50"]
    assert isinstance(network, NetworkBase)
    assert (network.input.symmetries, network.input.optics) == (8, optics(64))
    plain = project(repository, network=shown).studies["nsc"].recipes["demo"].models["resnet50"]
    assert isinstance(plain, NetworkBase)
    assert (plain.input.symmetries, plain.input.optics) == (8, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner": 0.5}, "no light passes"),
        ({"aperture": 0.3}, "no light passes"),
        ({"inner": -0.1}, "greater than or equal to 0"),
        ({"right": "DPC_Left"}, "give each side its own"),
    ],
)
def test_impossible_light_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IlluminationParams.model_validate(ILLUMINATION | changes)
