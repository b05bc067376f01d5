"""What params.yaml says once is what every study, recipe and model is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.config.test_config import RECIPE, edit
from unstained.config.document import Document, read_document
from unstained.config.layers import Stated, Tree, merge
from unstained.config.learning import TrainParams
from unstained.config.models import EnsembleParams
from unstained.config.networks import NetworkParams, ViTParams
from unstained.config.project import ProjectParams, StudyParams, load_params
from unstained.errors import ParameterError

REFERENCE = Path(__file__).parent / "effective.json"
"""Every study, recipe and model as params.yaml spelt each of them out before it was composed; a
value that is the schema's default is left out. A deliberate change of params.yaml changes it."""

SPELT_OUT = ("nsc", "cellcycle")
"""Studies that there were then."""


@pytest.fixture(scope="module")
def shipped(repository: Path) -> ProjectParams:
    return load_params(repository / "params.yaml")


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    return dict(json.loads(REFERENCE.read_text()))


def spelt_out(shipped: ProjectParams) -> list[tuple[str, StudyParams]]:
    return [(name, shipped.studies[name]) for name in SPELT_OUT]


def test_sections_are_as_they_were(shipped: ProjectParams, reference: dict[str, Any]) -> None:
    for name, study in spelt_out(shipped):
        for recipe in study.recipes:
            found = (
                study.recipes[recipe]
                .sections()
                .model_dump(mode="json", exclude_defaults=True, by_alias=True)
            )
            expected = reference[f"{name}/{recipe}"] | reference["shared"]
            expected["uncertainty"] = expected["uncertainty"] | reference["gates"].get(name, {})
            of_defaults = {key for key in expected if key not in found}
            assert of_defaults <= {"simulate", "models"}
            assert found == {key: expected[key] for key in expected.keys() - of_defaults}


def test_models_are_built_and_trained_as_they_were(
    shipped: ProjectParams, reference: dict[str, Any]
) -> None:
    seen = 0
    for name, study in spelt_out(shipped):
        for recipe, asked in study.recipes.items():
            common = TrainParams.model_validate(reference[f"{name}/{recipe}"]["train"])
            for model, params in asked.models.items():
                if (spelt := reference.get(f"{name}/{recipe}/{model}")) is None:
                    continue  # there was no such model then
                expected = dict(spelt)
                own = expected.pop("train", {})
                content = common.model_dump() | own
                content["augment"] = common.augment.model_dump() | own.get("augment", {})
                built = params.model_dump(mode="json", exclude_defaults=True, exclude={"train"})
                assert built == expected, f"{name}/{recipe}/{model}"
                assert params.training(asked.train) == TrainParams.model_validate(content)
                seen += 1
    assert seen == 2 * 3 * 18


SECTION = [
    ("train", "learning_rate"),
    ("recipes", "demo", "train", "learning_rate"),
    ("studies", "nsc", "train", "learning_rate"),
    ("studies", "nsc", "demo", "train", "learning_rate"),
]
NETWORK = [
    ("network", "width"),
    ("recipes", "demo", "network", "width"),
    ("architectures", "cg_recnet", "width"),
    ("architectures", "cg_recnet", "demo", "width"),
    ("studies", "nsc", "network", "width"),
    ("studies", "nsc", "demo", "network", "width"),
    ("studies", "nsc", "models", "cg_recnet", "width"),
    ("studies", "nsc", "demo", "models", "cg_recnet", "width"),
    ("variants", "cg_recnet_rescaled", "width"),
    ("variants", "cg_recnet_rescaled", "demo", "width"),
    ("studies", "nsc", "models", "cg_recnet_rescaled", "width"),
    ("studies", "nsc", "demo", "models", "cg_recnet_rescaled", "width"),
    ("variants", "cg_recnet_rescaled_equal_compute", "width"),
    ("studies", "nsc", "demo", "models", "cg_recnet_rescaled_equal_compute", "width"),
]


def without(content: Any, key: str) -> Any:
    """A copy of plain data that says nothing of a key, however deep."""
    if not isinstance(content, dict):
        return content
    return {name: without(inner, key) for name, inner in content.items() if name != key}


def set_value(content: dict[str, Any], keys: tuple[str, ...], value: float) -> None:
    for key in keys[:-1]:
        content = content.setdefault(key, {})
    content[keys[-1]] = value


@pytest.mark.parametrize("layers", [SECTION, NETWORK], ids=["section", "network"])
def test_each_layer_wins_over_the_one_before(
    repository: Path, layers: list[tuple[str, ...]]
) -> None:
    content: Any = read_document(repository / "params.yaml").content
    content = without(content | {"active": []}, layers[0][-1])
    last = layers[-1][-2]
    for number, layer in enumerate(layers, start=1):
        set_value(content, layer, number / 100)
        composition = ProjectParams(Document("p", content, {})).composition
        if last == "train":
            tree = composition.sections("nsc", "demo")["train"]
        else:
            tree = composition.model("nsc", "demo", last)
        assert isinstance(tree, dict)
        assert tree[layer[-1]] == Stated(number / 100, layer)


TREES = st.recursive(
    st.builds(Stated, st.integers(0, 3), st.just(())),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
).filter(lambda tree: isinstance(tree, dict))


def same_kind(*trees: Tree) -> bool:
    """Whether trees hold a value or keys at the same places, as one schema has them."""
    kinds: dict[str, set[bool]] = {}
    for tree in trees:
        for key, inner in tree.items():
            kinds.setdefault(key, set()).add(isinstance(inner, Stated))
    if any(len(found) > 1 for found in kinds.values()):
        return False
    below = {key: [tree[key] for tree in trees if key in tree] for key in kinds}
    nested = [inner for key, inner in below.items() if kinds[key] == {False}]
    return all(same_kind(*(t for t in inner if not isinstance(t, Stated))) for inner in nested)


@given(TREES, TREES, TREES)
def test_layers_may_be_merged_in_any_grouping(first: Tree, second: Tree, third: Tree) -> None:
    assume(same_kind(first, second, third))
    merged = merge(first, second, third)
    assert merge(merge(first, second), third) == merged == merge(first, merge(second, third))
    assert merge(third, merged) == merge(third, merge(first, second), third)
    assert merge(merged, merged) == merged


def test_a_variant_is_its_base_as_the_study_has_it(project: Path) -> None:
    """What a study says of a model holds for its variants, but does not undo their own changes."""
    params = project / "params.yaml"
    edit(params, "studies", "nsc", "models", "cg_recnet", value={"dropout": 0.4, "preset": "text"})
    models = load_params(params).studies["nsc"].recipes["demo"].models
    swapped = models["cg_recnet_swapped"]
    assert isinstance(swapped, NetworkParams)
    assert (swapped.dropout, swapped.preset) == (0.4, "table_swapped")


def test_a_mapping_with_free_keys_is_replaced_whole(project: Path) -> None:
    space = {"train.weight_decay": {"low": 0.1, "high": 0.2}}
    edit(project / "params.yaml", *RECIPE, "tune", "network_space", value=space)
    tune = load_params(project / "params.yaml").studies["nsc"].recipes["demo"].sections().tune
    assert list(tune.network_space) == ["train.weight_decay"]
    assert len(tune.spaces["features_boosting"]) == 2


def test_a_transformer_is_built_for_the_image_that_it_is_shown(project: Path) -> None:
    edit(project / "params.yaml", *RECIPE, "models", "vit_b_16", value={"input": {"side": 96}})
    recipes = load_params(project / "params.yaml").studies["nsc"].recipes
    built = [recipes[name].models["vit_b_16"] for name in ("demo", "full", "paper")]
    assert [model.image for model in built if isinstance(model, ViTParams)] == [96, 64, 224]


def test_an_ensemble_has_its_members_as_the_study_has_them(project: Path) -> None:
    params = project / "params.yaml"
    edit(params, "studies", "nsc", "models", "cg_recnet", value={"dropout": 0.4})
    recipe = load_params(params).studies["nsc"].recipes["demo"]
    built = recipe.models["ensemble"]
    assert isinstance(built, EnsembleParams)
    assert built.members == ("cg_recnet", "features_boosting")
    assert built.models == tuple(recipe.models[name] for name in built.members)
    assert built.models[0].dropout == 0.4


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["cg_recnet", "features_bosting"], "did you mean features_boosting"),
        (["cg_recnet", "efficientnet_and_features"], "an ensemble itself; name its members"),
        (["cg_recnet", "cg_recnet_other_split"], "its members learn from the same cells"),
        (["cg_recnet"], "at least 2 items"),
    ],
)
def test_members_that_cannot_answer_together_are_named(
    members: list[str], message: str, project: Path
) -> None:
    params = project / "params.yaml"
    edit(params, "architectures", "ensemble", "members", value=members)
    edit(params, "models", value=["ensemble"])
    with pytest.raises(ParameterError, match=message):
        load_params(params)


@pytest.mark.parametrize(
    ("keys", "value", "text"),
    [
        (
            (*RECIPE, "train", "learing_rate"),
            1,
            "demo.train.learing_rate: unknown key; did you mean learning_rate?",
        ),
        (("train", "epoch"), 3, "train.epoch: unknown key; did you mean epochs?"),
        (
            ("studies", "nsc", "epochs"),
            3,
            "studies.nsc.epochs: unknown key; did you mean tune.epochs or train.epochs?",
        ),
    ],
)
def test_a_wrong_key_is_named_where_it_is_written(
    project: Path, keys: tuple[str, ...], value: object, text: str
) -> None:
    edit(project / "params.yaml", *keys, value=value)
    with pytest.raises(ParameterError) as error:
        load_params(project / "params.yaml")
    assert text in re.sub(r" \(line \d+\)", "", str(error.value))


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"resnet5": {"train.warmup": {"low": 0.1, "high": 0.2}}}, "did you mean resnet50"),
        ({"cg_recnet": {"model.dropuot": {"choices": [0.0, 0.5]}}}, "did you mean model.dropout"),
        ({"cg_recnet": {"train.weight_l2": {"choices": [0.1]}}}, "at least 2 items"),
        ({"cg_recnet": {"train.weight_l2": {"choices": [0.1, 0.1]}}}, "a choice stands twice"),
        ({"cg_recnet": {"train.weight_l2": {"choices": [0.1, -1]}}}, "greater than or equal to 0"),
        ({"cg_recnet": {"train.warmup": {"low": 0.2, "high": 0.1}}}, "low < high"),
        ({"ensemble": {"train.warmup": {"low": 0.1, "high": 0.2}}}, "'ensemble' is an ensemble"),
    ],
)
def test_a_space_that_no_model_can_search_is_refused_when_params_are_read(
    spaces: dict[str, Any], message: str, project: Path
) -> None:
    edit(project / "params.yaml", *RECIPE, "tune", "spaces", value=spaces)
    with pytest.raises(ParameterError, match=message):
        load_params(project / "params.yaml")
