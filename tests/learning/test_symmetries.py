"""Training of a network that sees each cell in several symmetries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.learning.cases import NETWORK, STUDY, small_store, split_rows, train_small
from unstained.config.model_input import InputParams
from unstained.data.canvas import load_canvases
from unstained.learning import scores
from unstained.models.networks.resnet import ResNet
from unstained.models.trained import load_trained, save_trained


def test_it_learns_by_one_view_and_is_chosen_and_kept_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = small_store(tmp_path / "store")
    many = NETWORK.model_copy(update={"input": InputParams(symmetries=8)})
    seen: list[int] = []
    plain = ResNet.maps

    def spy(self: ResNet, images: torch.Tensor) -> torch.Tensor:
        seen.append(0 if self.training else len(images))
        return plain(self, images)

    monkeypatch.setattr(ResNet, "maps", spy)
    monkeypatch.setattr(scores, "BATCH", 32)
    one, eight = (train_small(store, model=model, train={"epochs": 2}) for model in (NETWORK, many))
    assert max(seen) == 32  # of validation cells, 4 in all their views
    losses = [[record.train_loss for record in result.history] for result in (one, eight)]
    assert losses[0] == losses[1]
    assert one.history[-1].val_loss != eight.history[-1].val_loss
    save_trained(tmp_path / "model", eight.trained)
    loaded = load_trained(tmp_path / "model")
    canvases = load_canvases(store, split_rows(store)[1], STUDY.canvas)
    told, again = eight.trained.predict(canvases), loaded.predict(canvases)
    assert np.array_equal(told["logits"], again["logits"])
    images = canvases.contrast(slice(None), loaded.spec.scale)
    with torch.inference_mode():
        turned = loaded.network(torch.rot90(images, 1, (2, 3))).logits.numpy()
    np.testing.assert_allclose(turned, told["logits"], rtol=1e-3, atol=1e-4)
