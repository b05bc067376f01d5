"""The differential network: its sizes, and what its streams see and do not see."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.models.sizes import lively, parse
from unstained.errors import ParameterError
from unstained.models.blocks.differences import differences
from unstained.models.build import bare_model, build_model
from unstained.models.network import Network

SINGLE = {"architecture": "differential_cnn", "streams": ["raw"], "width": 1, "frames": 5}
DOUBLE = {**SINGLE, "streams": ["raw", "lag1"]}
ALL = {**SINGLE, "streams": ["raw", "lag1", "lag2", "lag3", "lag4", "diff2"]}
SMALL = {"image": 16, "width": 0.5}


def build(content: dict[str, Any], channels: int = 5, **changes: Any) -> Network:
    """A lively network of small size for one proportion."""
    torch.manual_seed(0)
    network = build_model(parse(content, **SMALL, **changes), 1, 0, channels)
    assert isinstance(network, Network)
    lively(network)
    network.mean_image.normal_()
    return network


def movie(planes: int = 5, cells: int = 3) -> torch.Tensor:
    return torch.randn(cells, planes, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("image", "single", "double"),
    [(48, 213_921, 427_441), (64, 328_609, 656_817), (96, 656_289, 1_312_177)],
)
def test_it_has_as_many_parameters_as_its_definition(image, single, double):
    with torch.device("meta"):
        for content, count in ((SINGLE, single), (DOUBLE, double)):
            network = bare_model(parse(content, image=image), 1, 0, 5)
            assert sum(p.numel() for p in network.parameters()) == count
        volume = bare_model(
            parse({"architecture": "cnn_3d", "width": 1, "frames": 5, "image": 48}), 1, 0, 5
        )
    assert sum(p.numel() for p in volume.parameters()) == 217_473


@pytest.mark.parametrize("channels", [1, 2])
def test_the_frames_are_five_channels_and_their_differences_four(channels):
    network = build(ALL, 5 * channels)
    taken = {name: trunk[0].in_channels // channels for name, trunk in network.trunks.items()}
    assert taken == {"raw": 5, "lag1": 4, "lag2": 3, "lag3": 2, "lag4": 1, "diff2": 3}
    assert network(movie(5 * channels)).logits.shape == (3, 1)


@pytest.mark.parametrize("architecture", ["differential_cnn", "differential_cnn_pooled"])
def test_a_second_stream_that_weighs_nothing_leaves_the_single_stream(architecture):
    double = build(DOUBLE, architecture=architecture)
    single = build(SINGLE, architecture=architecture)
    half = double.fc.in_features // 2
    state = {k: v for k, v in double.state_dict().items() if k in single.state_dict()}
    single.load_state_dict({**state, "fc.weight": double.fc.weight[:, :half]})
    before = double(movie()).logits
    with torch.no_grad():
        double.fc.weight[:, half:] = 0
    torch.testing.assert_close(double(movie()).logits, single(movie()).logits)
    assert not torch.allclose(before, double(movie()).logits)


def test_a_stream_of_differences_answers_alike_to_all_that_stands_still():
    network = build(SINGLE, streams=["lag1", "lag4", "diff2"])
    still = movie(1).expand(-1, 5, -1, -1)
    answers = network(still).embedding
    torch.testing.assert_close(answers, answers[:1].expand_as(answers))
    assert not torch.allclose(network(movie()).embedding[0], network(movie()).embedding[1])


def test_a_constant_added_to_all_frames_is_not_seen_by_differences():
    network, image = build(SINGLE, streams=["lag1", "lag3", "diff3"]), torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(
        network(movie() + image).embedding, network(movie()).embedding, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("stream", "sign"), [("lag1", -1), ("lag3", -1), ("diff1", -1), ("diff2", 1)]
)
def test_backwards_in_time_differences_turn_round(stream, sign):
    frames = movie().double()[:, :, None]
    backwards = differences(frames.flip(1), stream)
    torch.testing.assert_close(backwards, sign * differences(frames, stream).flip(1))


def test_differences_are_those_of_their_definitions():
    x = movie().double()[:, :, None]
    torch.testing.assert_close(differences(x, "lag2")[:, 0], x[:, 2] - x[:, 0])
    torch.testing.assert_close(differences(x, "diff2")[:, 2], x[:, 4] - 2 * x[:, 3] + x[:, 2])
    torch.testing.assert_close(
        differences(x, "diff4")[:, 0], x[:, 4] - 4 * x[:, 3] + 6 * x[:, 2] - 4 * x[:, 1] + x[:, 0]
    )
    assert torch.equal(differences(x, "lag1"), differences(x, "diff1"))
    assert torch.equal(differences(x, "raw"), x)


def test_centring_frames_centres_differences():
    network, frames = build(DOUBLE), movie(cells=40)
    network.mean_image.copy_(frames.mean(dim=0))
    entering = network.planes(network.widen(frames), "lag1")
    known = frames[:, 1:] - frames[:, :-1]
    torch.testing.assert_close(entering, known - known.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_shared_weights_are_those_of_one_trunk_for_every_lag():
    streams = ["lag1", "raw", "lag3"]
    shared = build(SINGLE, streams=streams, shared=True)
    apart = build(SINGLE, streams=streams)
    assert set(shared.trunks) == {"raw", "differences"}
    state = {
        name.replace("lag1", "differences"): shared.state_dict()[
            name.replace("lag1", "differences")
        ]
        for name in apart.state_dict()
        if "lag3" not in name
    }
    own = {name.replace("differences", "lag1"): value for name, value in state.items()}
    lag3 = {k.replace("lag1", "lag3"): v for k, v in own.items() if "lag1" in k}
    kernel = "trunks.lag3.0.weight"
    lag3[kernel] = lag3[kernel][:, 2:]  # frames 4 and 5 alone have a frame three before
    apart.load_state_dict({**own, **lag3})
    torch.testing.assert_close(shared(movie()).logits, apart(movie()).logits)


def test_what_is_shared_is_normalised_together():
    network = build(SINGLE, streams=["lag1", "lag2"], shared=True).train()
    norm = network.trunks["differences"][1]
    assert isinstance(norm, nn.BatchNorm2d)
    before = norm.num_batches_tracked.clone()
    network(movie())
    assert norm.num_batches_tracked == before + 1


def test_a_map_tells_the_score():
    network = build(ALL, architecture="differential_cnn_pooled", streams=["raw", "lag2", "diff2"])
    found = network(movie())
    torch.testing.assert_close(found.cam.mean(dim=(2, 3)) + network.fc.bias, found.logits)


def test_convolutions_over_time_see_the_order_of_frames():
    network = build({"architecture": "cnn_3d", "width": 1, "frames": 5})
    mixed = movie()[:, [2, 0, 4, 1, 3]]
    network.mean_image.zero_()
    assert not torch.allclose(network(movie()).logits, network(mixed).logits, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": ["raw", "raw"]}, "name each once"),
        ({"streams": ["raw", "lag0"]}, "string_pattern_mismatch|match pattern"),
        ({"streams": []}, "at least 1"),
        ({"streams": ["raw", "lag1"], "shared": True}, "two streams of differences or more"),
        ({"weights": "imagenet"}, "nobody published"),
    ],
)
def test_streams_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        parse({**SINGLE, **SMALL, **changes})


@pytest.mark.parametrize(("stream", "frames"), [("lag5", 5), ("diff6", 5), ("lag1", 1)])
def test_a_stream_that_looks_too_far_back_is_refused(stream, frames):
    with pytest.raises(ParameterError, match=f"{stream} of differential_cnn needs more frames"):
        build(SINGLE, streams=["raw", stream], frames=frames)


def test_a_view_that_is_not_contrast_is_refused():
    with pytest.raises(ParameterError, match=r"but input\.view is standardised"):
        build(SINGLE, input={"view": "standardised"})


@pytest.mark.parametrize(
    "content", [DOUBLE, {"architecture": "cnn_3d", "width": 1, "frames": 5}], ids=["2d", "3d"]
)
def test_features_differ_between_cells_and_outlive_steps_the_same_way(content):
    """Features that are 0 for every cell teach nothing again: with them all answers are one."""
    torch.manual_seed(0)
    network = build_model(parse(content, image=32), 1, 0, 5).train()
    share = torch.linspace(0, 1, 24)[:, None]
    cells = torch.randn(24, 5, 32, 32, generator=torch.Generator().manual_seed(2)).cumsum(1)
    cells *= (0.8 + 0.4 * share)[..., None, None]
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)

    def silent() -> float:
        return float((network(cells).embedding.amax(dim=0) == 0).float().mean())

    assert silent() < 0.1
    for _ in range(5):
        optimiser.zero_grad()
        binary_cross_entropy_with_logits(network(cells).logits, share).backward()
        optimiser.step()
    assert silent() < 0.4


def test_its_own_training_is_written_alike_however_json_wrote_its_numbers():
    """Kubeflow hands parameters to pods as JSON in which 0.0 is 0; model files keep them."""
    given = {"weight_decay": 0.0, "epochs": 3, "augment": {"noise": 0.0, "shift_px": 1}}
    sent = {"weight_decay": 0, "epochs": 3, "augment": {"noise": 0, "shift_px": 1}}
    one, other = (parse(SINGLE, image=48, train=train) for train in (given, sent))
    assert one.model_dump_json() == other.model_dump_json()
    assert '"epochs":3,' in other.model_dump_json()
