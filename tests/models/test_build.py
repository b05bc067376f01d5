import typing

import pytest
import torch
from pydantic import ValidationError

from tests.models.sizes import TINY, lively, parse
from unstained.config.models import ModelParams
from unstained.errors import ParameterError
from unstained.models.architectures import network_class
from unstained.models.build import FEATURE_MODELS, build_model
from unstained.models.network import Network
from unstained.models.outputs import Outputs

BOOSTING = {
    "architecture": "features_boosting",
    "iterations": 2,
    "learning_rate": 0.1,
    "max_leaf_nodes": 4,
    "min_samples_leaf": 2,
    "l2_regularization": 0.0,
    "max_features": 1.0,
}
LINEAR = {"architecture": "features_linear", "loss": "hinge", "cost": 0.1}
FEATURES = {content["architecture"]: content for content in (BOOSTING, LINEAR)}
WITHOUT_MAP = {
    "vgg16",
    "vit_b_16",
    "hybrid_paper",
    "hybrid_gated",
    "differential_cnn",
    "cnn_3d",
    *FEATURES,
}


def architectures() -> set[str]:
    union = typing.get_args(typing.get_args(ModelParams)[0])
    literals = [kind.model_fields["architecture"].annotation for kind in union]
    return {name for literal in literals for name in typing.get_args(literal)}


def test_every_architecture_that_can_be_parsed_can_be_built_and_is_tested():
    networks = {content["architecture"] for content in TINY.values()}
    assert architectures() == {*networks, *FEATURE_MODELS, "ensemble"}
    for name in networks:
        assert issubclass(network_class(name), Network)
    with pytest.raises(KeyError, match="ensemble"):
        network_class("ensemble")


@pytest.mark.parametrize("name", [*TINY, *FEATURES])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_architecture_maps_contrast_to_outputs(name, channels):
    content = (FEATURES | TINY)[name]
    network = build_model(parse(content), classes=3, targets=2, channels=channels).eval()
    architecture = content["architecture"]
    assert type(network) is (FEATURE_MODELS.get(architecture) or network_class(architecture))
    with torch.inference_mode():
        outputs = network(torch.randn(5, channels, 32, 32))
        alone = network(torch.zeros(1, channels, 32, 32))
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == (5, 3)
    assert outputs.targets.shape == (5, 2)
    assert outputs.embedding.shape[0] == 5
    assert {part.dtype for part in outputs if part is not None} == {torch.float32}
    assert all(torch.isfinite(part).all() for part in alone if part is not None)
    assert (outputs.cam is None) == (content["architecture"] in WITHOUT_MAP)


@pytest.mark.parametrize("name", TINY)
def test_one_step_reaches_every_parameter_and_lowers_the_loss(name):
    torch.manual_seed(0)
    network = lively(build_model(parse(TINY[name]), 3, 1)).train()
    images, labels = torch.randn(8, 1, 32, 32), torch.arange(8) % 3

    def loss() -> torch.Tensor:
        outputs = network(images)
        classes = torch.nn.functional.cross_entropy(outputs.logits, labels)
        return classes + outputs.targets.square().mean()

    before = loss()
    before.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        total = sum(float(p.grad.square().sum()) for p in network.parameters())
        for parameter in network.parameters():
            parameter -= 0.01 * float(before) / total * parameter.grad
    assert loss() < before


@pytest.mark.parametrize("name", TINY)
def test_bfloat16_stays_near_float32(name):
    torch.manual_seed(0)
    network = lively(build_model(parse(TINY[name]), 3, 1))
    images = torch.randn(8, 1, 32, 32)
    with torch.no_grad():
        exact = network(images).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = network(images).logits.float()
    assert (cast - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("name", TINY)
def test_three_copies_of_a_grey_image_are_three_channels(name):
    torch.manual_seed(0)
    copies = build_model(parse(TINY[name], grey_as="three"), 3, 1).eval()
    plain = build_model(parse(TINY[name]), 3, 1, channels=3).eval()
    plain.load_state_dict(copies.state_dict())
    grey = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(copies(grey).logits, plain(grey.expand(-1, 3, -1, -1)).logits)


def test_a_colour_image_enters_as_it_is_where_grey_ones_are_copied():
    models = []
    for grey_as in ("three", "one"):
        torch.manual_seed(0)
        models.append(build_model(parse(TINY["resnet50"], grey_as=grey_as), 3, 1, channels=3))
    image = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        found, plain = (model.eval()(image).logits for model in models)
    assert torch.equal(found, plain)


def test_only_grey_images_are_copied():
    with pytest.raises(ParameterError, match="the images have 2 planes"):
        build_model(parse(TINY["resnet50"], grey_as="three"), 3, 1, channels=2)


@pytest.mark.parametrize("name", TINY)
def test_dropout_acts_while_training_only(name):
    torch.manual_seed(0)
    network = build_model(parse(TINY[name], dropout=0.5), 3, 1).eval()
    images = torch.randn(8, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(images).logits, network(images).logits)
        network.dropout.train()
        assert not torch.equal(network(images).logits, network(images).logits)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValidationError, match="resnet51"):
        parse(TINY["resnet50"], architecture="resnet51")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnet50", {"global_scale": "mean"}, "resnet50 has no attention"),
        ("resgdnet", {"global_scale": "mean"}, "resgdnet has no attention"),
        ("resnet50", {"gate_activation": "sigmoid"}, "resnet50 has no gate"),
        ("rescmnet", {"gate_activation": "sigmoid"}, "rescmnet has no gate"),
        ("vit_b_16", {"patch": 7}, "patches of 7 px do not tile an image of 32 px"),
        ("vgg16", {"stem_stride": 1}, "extra"),
        ("densenet121", {"preset": "text"}, "extra"),
        ("cg_recnet", {"preset": "table"}, "table_swapped"),
        ("xception", {"weights": "random"}, "imagenet"),
        ("hybrid_paper", {"weights": "imagenet"}, "nobody published ImageNet weights"),
        ("hybrid_paper", {"patch": 5}, "patches of 5 px every 5 px do not tile an image of 32 px"),
        ("hybrid_gated", {"patch": 8, "patch_step": 7}, "8 px every 7 px do not tile"),
    ],
)
def test_what_an_architecture_does_not_have_is_refused(name, changes, message):
    with pytest.raises(ValidationError, match=message):
        parse(TINY[name], **changes)


@pytest.mark.parametrize("name", ["densenet121", "vgg16", "xception"])
def test_an_image_too_small_for_the_strides_is_refused(name):
    network = build_model(parse(TINY[name]), 3, 1).eval()
    side = type(network).smallest
    with torch.inference_mode():
        assert torch.isfinite(network(torch.randn(2, 1, side, side)).logits).all()
        with pytest.raises(ParameterError, match=f"at least {side} x {side} px, not {side} x 8"):
            network(torch.randn(2, 1, side, 8))


def test_same_seed_same_weights():
    content = parse(TINY["cg_recnet"])
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build_model(content, 3, 1).state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True)
    )
    assert not torch.equal(states[0]["conv1.weight"], states[2]["conv1.weight"])
