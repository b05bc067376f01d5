"""First-layer answers of streams, against hooks, and what follows from what a stream sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.test_differential_cnn import ALL, DOUBLE, build, movie
from unstained.explain.first_layer import first_layers
from unstained.models.networks.differential_cnn import Streams


def network(content: dict[str, object], **changes: object) -> Streams:
    found = build(content, **changes).eval()
    assert isinstance(found, Streams)
    return found


def of_both() -> tuple[torch.Tensor, torch.Tensor]:
    cells = movie(cells=6)
    return cells[:3], 0.2 * cells[3:]


@pytest.mark.parametrize("shared", [False, True])
def test_maps_are_what_leaves_the_first_rectifier(shared: bool) -> None:
    net = network(ALL, shared=shared)
    first, second = of_both()
    seen: dict[str, torch.Tensor] = {}
    for name, trunk in net.trunks.items():
        trunk[2].register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    net(first)
    kept = dict(seen)  # the call below meets the hooks again
    found = first_layers(net, first, second)
    assert [one.stream for one in found] == ALL["streams"]
    for one in found:
        trunk = net.trunk_of(one.stream)
        place = net.fellows(trunk).index(one.stream)
        hooked = kept[trunk].chunk(len(net.fellows(trunk)))[place][0].detach().numpy()
        mine = sorted(maps.sum() for maps in one.maps[:, 0])
        assert mine == pytest.approx(sorted(hooked.sum(axis=(1, 2))), rel=1e-4)
        assert one.maps.shape == (8, 2, 16, 16)
        assert one.maps.min() >= 0
        assert (np.diff(abs(one.apart)) <= 1e-9).all()


def test_a_stream_of_differences_sees_no_difference_between_still_movies() -> None:
    net = network(DOUBLE)
    net.mean_image.zero_()
    first, second = (cells[:, :1].expand(-1, 5, -1, -1) for cells in of_both())
    raw, lag = first_layers(net, first, second)
    assert abs(lag.apart).max() < 1e-3
    assert (lag.seen == 0).all()
    assert abs(raw.apart).max() > 0.5
    middle = net.widen(first)[0, 2].detach().numpy()
    np.testing.assert_allclose(raw.seen[0], middle, rtol=1e-6)
