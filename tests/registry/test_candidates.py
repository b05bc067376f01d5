"""A champion that was evaluated on other cells is asked about these, where it can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.registered import CLASSES, NAME, fresh_registry, register, standing_of, toy_logits
from tests.stages.studies import compare_params, promote_params
from tests.synthetic import make_store
from unstained.data.store.cell_store import CellStore
from unstained.errors import IntegrityError
from unstained.registry.gate import decide
from unstained.registry.leaderboard.candidates import CellFiles
from unstained.registry.registry import Registry
from unstained.registry.standings import Leaderboard, find_entry, findings
from unstained.registry.submission import RegisteredVersion

BIAS = 1.0


class Grown:
    """A champion from before data were added, and a new version on the cells of a store."""

    def __init__(self, root: Path, **champion: Any) -> None:
        self.root = root
        self.registry: Registry = fresh_registry(root)
        # Cells of one size: the toy graph, unlike real ones, would notice padding.
        size = {"height": (40, 40), "width": (40, 40)}
        self.store: CellStore = make_store(
            root / "store", groups_per_class=6, cells_per_group=8, **size
        )
        self.split = self._split()
        self.champion = self.register(BIAS, split="7" * 64, **champion)
        self.registry.set_alias(NAME, "champion", self.champion.version)
        frame = self.predictions(np.random.default_rng(1).permuted(self.labels))
        self.new = self.register(2.0, predictions=frame)

    @property
    def labels(self) -> np.ndarray:
        return self.store.labels(CLASSES)

    def register(self, bias: float, **changes: Any) -> RegisteredVersion:
        return register(self.registry, self.root / "in", bias, **changes)

    def _split(self) -> pd.DataFrame:
        table = self.store.columns("cell_id", "group")
        number = table["group"].str[-2:].astype(int)
        table["part"] = np.select([number == 0, number >= 3], ["val", "test"], "train")
        path = self.root / "split.parquet"
        table[["cell_id", "part"]].sample(frac=1, random_state=1).to_parquet(path)
        return table

    def predictions(self, predicted: np.ndarray) -> pd.DataFrame:
        frame = self.split.assign(label=self.labels)
        for k in range(len(CLASSES)):
            frame[f"probability_{k}"] = np.where(predicted == k, 0.8, 0.1)
            frame[f"logit_{k}"] = np.log(frame[f"probability_{k}"])
            frame[f"set_{k}"] = predicted == k
        frame["target_DNA"] = self.store.columns("marker_DNA")["marker_DNA"]
        frame["predicted_DNA"] = 1.0 + frame.index
        return frame[frame["part"] != "train"]

    def leaderboard(self) -> Leaderboard:
        cells = CellFiles(self.root / "store", self.root / "split.parquet")
        return standing_of(self.registry, compare_params(), (self.new.version,), cells)


def test_champion_is_asked_about_the_new_cells(tmp_path: Path) -> None:
    """Its predictions equal a naive float64 computation from the raw images."""
    grown = Grown(tmp_path)
    table = grown.leaderboard()
    assert table["not_comparable"] == []
    entry = find_entry(table, grown.champion.version)
    assert entry is not None
    assert entry["rescored"] is True
    images = grown.store.images(range(len(grown.store)))
    called = np.array([toy_logits(image[None], BIAS)[0].argmax() for image in images])
    test = (grown.split["part"] == "test").to_numpy()
    assert entry["tasks"]["blob"]["accuracy"] == pytest.approx(
        (called == grown.labels)[test].mean()
    )
    means = np.array([image.mean() for image in images])[test]
    dna = grown.store.columns("marker_DNA")["marker_DNA"].to_numpy()[test]
    assert entry["tasks"]["DNA"]["r"] == pytest.approx(np.corrcoef(means, dna)[0, 1], abs=1e-4)
    assert any("asked about these for the comparison" in line for line in findings(table))


def test_gate_can_decide_after_data_were_added(tmp_path: Path) -> None:
    grown = Grown(tmp_path)
    champion, new = grown.champion.version, grown.new.version
    decision = decide(grown.leaderboard(), [new], champion, promote_params().promote, {})
    assert decision.criteria[0].name == "better"
    assert decision.criteria[0].value is not None
    assert f"that of v{champion} on the same cells" in decision.criteria[0].sentence


@pytest.mark.parametrize(
    ("champion", "reason"),
    [
        ({"classes": ("a", "b", "d")}, "it knows other classes than the study has now"),
        (
            {"card_format": 1},
            "its card has format 1, this version of unstained reads 3; export and register the "
            "model again",
        ),
    ],
)
def test_champion_for_another_question_is_left_out(
    tmp_path: Path, champion: dict[str, Any], reason: str
) -> None:
    grown = Grown(tmp_path, **champion)
    table = grown.leaderboard()
    (other,) = table["not_comparable"]
    assert other["reason"].startswith("other test cells: the split changed, and it cannot be asked")
    assert reason in other["reason"]
    decision = decide(table, [grown.new.version], 1, promote_params().promote, {})
    assert not decision.passed
    assert "champion v1 cannot be compared: other test cells" in decision.sentence
    assert "change register.registered_model" in decision.sentence


def test_cells_on_disk_must_be_those_of_the_leaderboard(tmp_path: Path) -> None:
    grown = Grown(tmp_path)
    fewer = grown.split[["cell_id", "part"]].iloc[:-1]
    fewer.to_parquet(tmp_path / "split.parquet")
    (other,) = grown.leaderboard()["not_comparable"]
    assert "the cells on disk are other ones" in other["reason"]


def test_tampered_champion_is_not_asked(tmp_path: Path) -> None:
    grown = Grown(tmp_path)
    for path in (tmp_path / "mlartifacts").rglob("calibration.json"):
        path.write_text("{}")
    with pytest.raises(IntegrityError, match=r"calibration\.json was changed"):
        grown.leaderboard()
