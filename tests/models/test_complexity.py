import pytest
import torch

from tests.models.sizes import FULL, TINY, parse, residual
from tests.models.test_build import BOOSTING
from tests.optics import optics
from unstained.errors import ParameterError
from unstained.models.architectures import network_class
from unstained.models.complexity import TOOL, complexity


@pytest.mark.parametrize(
    ("architecture", "preset", "thousand_millions"),
    [
        ("resnet50", "text", 4.09),
        ("rescmnet", "text", 5.84),
        ("resgdnet", "text", 5.75),
        ("cg_recnet", "text", 7.50),
        ("rescmnet", "table_swapped", 4.33),
        ("cg_recnet", "table_swapped", 5.99),
        ("cg_recnet", "table_printed", 6.10),
    ],
)
def test_multiply_accumulates_of_the_papers_networks(architecture, preset, thousand_millions):
    cost = complexity(parse(residual(architecture, preset), grey_as="three"), 3, 0, 1, 224)
    assert cost.multiply_accumulates / 1e9 == pytest.approx(thousand_millions, abs=0.02)
    assert cost.tool == TOOL
    assert TOOL.startswith("torch.utils.flop_counter.FlopCounterMode of torch ")
    assert cost.side == 224


@pytest.mark.parametrize(
    ("name", "side", "thousand_millions"),
    [
        ("densenet121", 224, 2.83),
        ("vgg16", 224, 15.47),
        ("mobilenet_v2", 224, 0.30),
        ("efficientnet_lite0", 224, 0.38),
        ("xception", 299, 8.36),
    ],
)
def test_multiply_accumulates_of_networks_of_comparison(name, side, thousand_millions):
    cost = complexity(parse(FULL[name], grey_as="three"), 3, 0, 1, side)
    assert cost.multiply_accumulates / 1e9 == pytest.approx(thousand_millions, abs=0.02)


@pytest.mark.parametrize(("image", "patch"), [(224, 16), (64, 8)])
def test_a_transformers_attention_is_counted(image, patch):
    cost = complexity(parse(FULL["vit_b_16"], image=image, patch=patch), 3, 0, 3, image)
    patches, dim = (image // patch) ** 2, 768
    tokens = patches + 1
    layers = 12 * tokens * (3 + 1 + 4 + 4) * dim**2
    attention = 12 * 2 * tokens**2 * dim
    embedding = patches * 3 * patch**2 * dim
    assert cost.multiply_accumulates == layers + attention + embedding + 3 * dim


def test_recovering_phase_costs_its_products_of_matrices():
    side, half = 32, 32 // 2 + 1
    told = optics(side)
    phase = parse(TINY["cg_recnet"], input={"view": "phase_alone", "optics": told})
    cost = complexity(phase, 3, 0, 4, side).multiply_accumulates
    network = complexity(parse(TINY["cg_recnet"]), 3, 0, 1, side).multiply_accumulates
    wave = side * side * half
    assert cost - network == 4 * (2 * wave + 4 * wave) + 4 * wave + 2 * wave


def test_resolution_stem_and_input_channels_count():
    params = parse(residual("resnet50"))
    fine = complexity(params.model_copy(update={"stem_stride": 1}), 3, 0, 1, 64)
    coarse = complexity(params, 3, 0, 1, 64)
    assert fine.multiply_accumulates == pytest.approx(4 * coarse.multiply_accumulates, rel=0.01)
    wide = complexity(params, 3, 0, 3, 64)
    assert wide.multiply_accumulates - coarse.multiply_accumulates == 2 * 49 * 64 * 32 * 32


@pytest.mark.parametrize("name", TINY)
def test_counts_parameters_without_drawing_any(name):
    state = torch.random.get_rng_state()
    weights = (
        "imagenet" if hasattr(network_class(TINY[name]["architecture"]), "pretrained") else "none"
    )
    cost = complexity(parse(TINY[name], weights=weights), 3, 2, 1, 32)
    assert torch.equal(torch.random.get_rng_state(), state)
    alone = complexity(parse(TINY[name]), 3, 0, 1, 32)
    assert cost.classifier_parameters == alone.parameters == alone.classifier_parameters
    assert cost.parameters > alone.parameters


def test_trees_multiply_nothing_and_a_wrong_size_is_refused():
    assert complexity(parse(BOOSTING), 3, 0, 1, 64) is None
    with pytest.raises(ParameterError, match="built for images of 224 x 224 px"):
        complexity(parse(FULL["vit_b_16"]), 3, 0, 1, 64)
