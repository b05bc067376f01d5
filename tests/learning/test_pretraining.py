"""A network learns from images before labels: from which cells, with what effect, resumably."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.learning.cases import (
    NETWORK,
    NO_AUGMENT,
    STUDY,
    TRAIN,
    small_store,
    split_rows,
    train_small,
    weights_digest,
)
from tests.learning.test_ensemble import MIXED
from tests.models.sizes import TINY, parse
from tests.synthetic import make_store
from unstained.config.learning import TrainParams
from unstained.data.store.cell_store import CellStore
from unstained.errors import TrainingError
from unstained.learning.checkpoint import Checkpoint, CheckpointStore
from unstained.learning.compute import choose_compute
from unstained.learning.distributed import Group
from unstained.learning.fit import FitResult
from unstained.learning.inner_folds import deal, inner_problem
from unstained.learning.pretraining import Expanded, Pretraining
from unstained.learning.problem import pose
from unstained.learning.vicreg import vicreg
from unstained.models.build import build_model

BEFORE = {"epochs": 2, "batch_size": 64, "expander": 32}
ON = {"epochs": 2, "pretraining": BEFORE}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CellStore:
    return small_store(tmp_path_factory.mktemp("before") / "store")


@pytest.fixture(scope="module")
def partly(tmp_path_factory) -> CellStore:
    """A store of which every third cell of each acquisition has neither class nor marker."""
    path = tmp_path_factory.mktemp("partly") / "store"
    return make_store(path, cells_per_group=9, unlabelled=1 / 3)


@pytest.fixture(scope="module")
def learnt(store: CellStore) -> FitResult:
    return train_small(store, train=ON)


def wanting(**changes: Any) -> TrainParams:
    return TrainParams.model_validate(TRAIN.model_dump() | changes)


def run_of(store: CellStore, model: Any = NETWORK, **changes: Any) -> Pretraining:
    """A pretraining that has not taken a step."""
    problem, train = pose(store, *split_rows(store), STUDY, 7), wanting(**{**ON, **changes})
    torch.manual_seed(0)
    network = build_model(model, problem.tasks.logits, problem.tasks.targets)
    compute = choose_compute(train, Group())
    return Pretraining(network, problem, train, 7, Group(), compute, None)


def test_it_changes_what_training_starts_from_and_is_told(store: CellStore, learnt: FitResult):
    (before,) = learnt.pretrained
    assert (before.cells, before.unlabelled, len(before.losses)) == (135, 0, 2)
    assert [record.epoch for record in learnt.history] == [1, 2]
    without = train_small(store, train={"epochs": 2})
    assert without.pretrained == ()
    assert weights_digest(without) != weights_digest(learnt)


def test_views_of_a_cell_are_learnt_to_be_alike_and_cells_apart(store: CellStore):
    own = {"epochs": 8, "batch_size": 32, "expander": 32, "learning_rate": 1e-2}
    losses = run_of(store, pretraining=own).finish(lambda count: None).losses
    assert min(losses[4:]) < 0.95 * losses[0]


def test_off_it_changes_nothing_whatever_else_is_said_of_it(store: CellStore):
    off = {"epochs": 1, "pretraining": {"epochs": 0, "learning_rate": 0.5, "batch_size": 3}}
    digests = [weights_digest(train_small(store, train=one)) for one in ({"epochs": 1}, off)]
    assert digests[0] == digests[1]


def test_it_leaves_heads_and_the_given_network_as_they_are(store: CellStore):
    run = run_of(store)
    torch.manual_seed(0)
    fresh = build_model(NETWORK, 3, 1).state_dict()
    run.finish(lambda count: None)
    for name, weights in run.pretrained.state_dict().items():
        if name.startswith(("fc.", "fc_targets.")):
            assert torch.equal(weights, fresh[name])
        elif name.endswith("weight"):
            assert not torch.equal(weights, fresh[name])


@pytest.mark.parametrize("name", TINY)
def test_every_network_gives_an_embedding_to_learn_by(name: str):
    torch.manual_seed(0)
    network = build_model(parse(TINY[name]), 3, 1)
    expanded = Expanded(network, torch.zeros(1, 1, 32, 32), 8)
    network.train()
    expanded(torch.randn(4, 1, 32, 32)).square().sum().backward()
    told = {name for name, p in network.named_parameters() if p.grad is not None}
    assert told == {name for name, p in network.named_parameters() if p.requires_grad}
    assert told
    assert not any(name.startswith(("fc.", "fc_targets.")) for name in told)


def test_it_sees_training_cells_with_and_without_truth_and_no_others(partly: CellStore):
    train_rows, val_rows = split_rows(partly)
    study = STUDY.model_copy(update={"tasks": STUDY.tasks[:1]})
    problem = pose(partly, train_rows, val_rows, study, 7)
    unknown = partly.table["label"].isna().to_numpy()
    assert 0 < unknown[train_rows].sum() < len(train_rows)
    assert np.array_equal(problem.unlabelled.rows, train_rows[unknown[train_rows]])
    assert np.isnan(problem.unlabelled.truth).all()
    assert np.array_equal(problem.train.joined(problem.unlabelled).rows, train_rows)
    assert not unknown[problem.val.rows].any()
    few = pose(partly, train_rows, val_rows, study, 7, max_cells=12)
    assert (len(few.train), len(few.unlabelled)) == (12, 12)
    result = train_small(partly, data=study, train={**ON, "epochs": 1})
    (before,) = result.pretrained
    assert (before.cells, before.unlabelled) == (len(train_rows), unknown[train_rows].sum())


def test_a_member_that_leaves_a_fold_out_does_not_see_its_cells_before_labels(partly: CellStore):
    study = STUDY.model_copy(update={"tasks": STUDY.tasks[:1]})
    problem = pose(partly, *split_rows(partly), study, 7)
    group = partly.table["group"].to_numpy()
    kept = []
    for fold in range(3):
        part = inner_problem(problem, 3, fold, 7)
        left_out = group[problem.train.rows[deal(problem, 3, 7) == fold]]
        assert not np.isin(group[part.unlabelled.rows], left_out).any()
        kept.append(len(part.unlabelled))
    assert sum(kept) == 2 * len(problem.unlabelled)


def test_networks_of_an_ensemble_learn_so_and_trees_do_not(store: CellStore):
    result = train_small(store, model=MIXED, train={**ON, "epochs": 1})
    assert len(result.pretrained) == 1


class KilledError(Exception):
    """A process that ends right after it wrote a checkpoint."""


@pytest.mark.parametrize("written", [1, 6, 7])
def test_a_killed_run_goes_on_with_the_same_bits(
    store: CellStore,
    learnt: FitResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: int,
):
    """In the first epoch before labels, after the last, at the first step with labels."""
    save, left = CheckpointStore.save, [written]

    def killed(self: CheckpointStore, checkpoint: Checkpoint, best_epoch: int) -> None:
        save(self, checkpoint, best_epoch)
        left[0] -= 1
        if not left[0]:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", killed)
        with pytest.raises(KilledError):
            train_small(store, train=ON, scratch=tmp_path, checkpoint_seconds=0)
    assert (tmp_path / "checkpoint").exists() == (written == 7)
    again = train_small(store, train=ON, scratch=tmp_path, checkpoint_seconds=0)
    assert weights_digest(again) == weights_digest(learnt)
    assert (again.history, again.pretrained) == (learnt.history, learnt.pretrained)


def test_workers_add_up_the_gradient_of_one(store: CellStore):
    """Each takes the others' features as constants; the parts' gradients sum to the whole."""
    run = run_of(store)
    first, second = (torch.randn(7, 5, requires_grad=True) for _ in range(2))
    vicreg(first, second).backward()
    whole = [view.grad.clone() for view in (first, second)]
    table = {}

    class Worker(Group):
        def sum(self, tensor: torch.Tensor) -> torch.Tensor:
            return table[view_of[0]]

    view_of, found = [0], [torch.zeros_like(first) for _ in range(2)]
    for share in ((0, 3), (3, 7)):
        run.group = Worker(0, 2, 2)
        own, gathered = [], []
        for number, view in enumerate((first, second)):
            table[number], view_of[0] = view.detach().clone(), number
            own.append(view.detach()[slice(*share)].requires_grad_())
            gathered.append(run._everyone(own[-1], share, 7))
        vicreg(*gathered).backward()
        for total, part in zip(found, own, strict=True):
            total[slice(*share)] += part.grad
    for one, other in zip(whole, found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.minutes
def test_two_workers_learn_as_one(store: CellStore, learnt: FitResult):
    together = train_small(store, train={**ON, "workers": 2})
    np.testing.assert_allclose(
        together.pretrained[0].losses, learnt.pretrained[0].losses, rtol=1e-4
    )


def test_the_two_views_differ_and_so_do_their_numbers_from_those_of_training(store: CellStore):
    run = run_of(store)
    assert run.seed != 7
    shown = []
    plain = run.present

    def spy(contrast: torch.Tensor, draws: Any) -> torch.Tensor:
        shown.append(plain(contrast, draws))
        return shown[-1]

    run.present = spy
    run.network.train()
    batch = np.arange(6)
    run._step(batch, (0, 6), next(run.source.contrasts([batch], 1)))
    assert not torch.equal(*shown)


def test_what_cannot_teach_is_refused(store: CellStore):
    with pytest.raises(ValidationError, match="augment is all off"):
        wanting(**ON, augment=NO_AUGMENT.model_dump())
    wanting(augment=NO_AUGMENT.model_dump())
    for name, value in (("dihedral", True), ("crop", 0.5), ("noise", 0.01), ("defocus_um", 1.0)):
        wanting(**ON, augment=NO_AUGMENT.model_dump() | {name: value})
    with pytest.raises(ValidationError, match="batch_size"):
        wanting(pretraining={"batch_size": 1})


def test_a_diverging_run_names_its_own_learning_rate(store: CellStore):
    wild = {"epochs": 3, "learning_rate": 1e30, "batch_size": 32}
    changes = {"pretraining": wild, "clip_norm": 1e30, "warmup": 0.0}
    with pytest.raises(TrainingError, match="pretraining's loss became") as caught:
        train_small(store, train=changes)
    assert "train.pretraining.learning_rate" in caught.value.remedy
