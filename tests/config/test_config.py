"""params.yaml is strict: what is not understood is refused by its full path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from unstained.config.document import parse_document, read_document
from unstained.config.project import load_params
from unstained.config.study import CommonParams
from unstained.errors import ParameterError, SourceError
from unstained.sources import set_source

RECIPE = ("studies", "nsc", "demo")


class _Loader(yaml.CSafeLoader):
    """libyaml, in a tenth of ruamel's time, with numbers as YAML 1.2 writes them."""


class _Dumper(yaml.CSafeDumper):
    """The same."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789")
    )


def edit(path: Path, *keys: object, value: object) -> None:
    """Set one value of a YAML file; comments go, the order of keys stays."""
    content = yaml.load(path.read_text(), Loader=_Loader)
    node = content
    for key in keys[:-1]:
        node = node.setdefault(key, {})
    node[keys[-1]] = value
    path.write_text(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


@given(st.text(alphabet="0123456789abefoxTrueNnl~.+-_:,=< yYsS", max_size=8))
@example("012")
@example("0o17")
@example("1e3")
@example("12:30:45")
@example("2024-02-30")
def test_scalars_mean_what_dvc_reads_in_them(text: str) -> None:
    try:
        expected: Any = YAML(typ="safe", pure=True).load(f"k: {text}")
    except (YAMLError, ValueError):
        with pytest.raises(ParameterError):
            parse_document(f"k: {text}", "params.yaml")
        return
    if isinstance(expected, dict):
        found = parse_document(f"k: {text}", "params.yaml").content
        assert repr(found) == repr(expected)


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    with pytest.raises(ParameterError, match=r"a\.b stands in line 2 and in line 4"):
        parse_document("a:\n  b: 1\n  c: 2\n  b: 3\n", "params.yaml")


def test_edits_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """YAML 1.1, in which PyYAML writes, and 1.2 differ in what is a number."""
    path, values = tmp_path / "a.yaml", [1e-5, 1e16, "1e3", "on", "012", "1_0", "ä b", None]
    path.write_text("z: 1e3\na: {b: 1E-4}\n")
    edit(path, "a", "c", value=values)
    content = read_document(path).content
    assert content == {"z": 1000.0, "a": {"b": 1e-4, "c": values}}
    assert list(content) == ["z", "a"]


def test_shipped_parameters_are_valid(project: Path) -> None:
    params = load_params(project / "params.yaml")
    assert params.recipe == "demo"
    assert params.studies["nsc"].data.class_names == ("astrocyte", "oligodendrocyte", "neuron")
    for study in params.studies.values():
        assert set(study.recipes) == {"demo", "full", "paper"}


def test_typo_is_named_by_its_full_path(project: Path) -> None:
    edit(project / "params.yaml", *RECIPE, "split", "stratgy", value="grouped")
    with pytest.raises(
        ParameterError, match=r"split\.stratgy .line \d+.: unknown key; did you mean strategy"
    ):
        load_params(project / "params.yaml")


@pytest.mark.parametrize(
    ("keys", "value", "text"),
    [
        ((*RECIPE, "split", "fractions"), [0.7, 0.2, 0.2], "add up to 1"),
        ((*RECIPE, "split"), {"folds": 2, "rotate": True}, "folds must be 3 or more where folds"),
        ((*RECIPE, "split", "strategy"), "random", "split.strategy"),
        (("recipe",), "huge", "there is no recipe 'huge'"),
        (("active",), ["cellcycle"], "unstained source cellcycle PATH"),
        (("active",), ["nope"], "there is no study 'nope'"),
        (("models",), ["vgg"], "did you mean vgg16?"),
        (("compare", "alpha"), 1.5, "compare.alpha"),
        ((*RECIPE, "models", "vgg16", "train"), {"lerning_rate": 1}, "models.vgg16.train"),
        ((*RECIPE, "models", "vgg16", "input"), {"view": "background"}, "hidden_px"),
        ((*RECIPE, "models", "resnet50", "partition"), "reference", "'resnet50' is an experiment"),
        (("baselines", "folds"), [0, 9], "has no fold 9"),
        (("baselines", "models"), ["resnet50"], "'cg_recnet' is not in baselines.models"),
        (("common", "seed"), "many", "common.seed"),
    ],
)
def test_impossible_values_are_refused(
    project: Path, keys: tuple[str, ...], value: object, text: str
) -> None:
    edit(project / "params.yaml", *keys, value=value)
    with pytest.raises(ParameterError) as error:
        load_params(project / "params.yaml")
    assert text in str(error.value)


def test_missing_file_and_broken_yaml(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="does not exist"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1, 2")
    with pytest.raises(ParameterError, match="no valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_digest_depends_on_values_alone() -> None:
    assert CommonParams(seed=1).digest() == CommonParams(seed=1).digest()
    assert CommonParams(seed=1).digest() != CommonParams(seed=2).digest()


def test_a_model_changes_only_what_it_names_of_training(project: Path) -> None:
    given = {"learning_rate": 3.0e-4, "augment": {"shift_px": 0}}
    edit(project / "params.yaml", *RECIPE, "models", "resnet50", "train", value=given)
    recipe = load_params(project / "params.yaml").studies["nsc"].recipes["demo"]
    found = recipe.models["resnet50"].training(recipe.train)
    assert (found.learning_rate, found.augment.shift_px) == (3.0e-4, 0)
    augment = found.augment.model_copy(update={"shift_px": recipe.train.augment.shift_px})
    usual = {"learning_rate": recipe.train.learning_rate, "augment": augment}
    assert found.model_copy(update=usual) == recipe.train
    boosting = recipe.models["features_boosting"]
    assert boosting.training(recipe.train) == recipe.train


def test_pretraining_is_a_networks_own_and_never_of_measured_features(project: Path) -> None:
    given = {"pretraining": {"epochs": 5, "learning_rate": 1}}
    edit(project / "params.yaml", *RECIPE, "models", "resnet50", "train", value=given)
    recipe = load_params(project / "params.yaml").studies["nsc"].recipes["demo"]
    found, usual = recipe.models["resnet50"].training(recipe.train), recipe.train.pretraining
    assert usual.epochs == 0
    changes = {"epochs": 5, "learning_rate": 1.0}
    assert found.pretraining == usual.model_copy(update=changes)
    assert found.model_copy(update={"pretraining": usual}) == recipe.train
    edit(project / "params.yaml", *RECIPE, "models", "features_boosting", "train", value=given)
    with pytest.raises(ParameterError, match=r"features_boosting\.train"):
        load_params(project / "params.yaml")


def test_set_source_activates_the_study_and_changes_no_other_line(
    project: Path, tmp_path: Path
) -> None:
    params_file = project / "params.yaml"
    images = tmp_path / "images"
    images.mkdir()
    before = params_file.read_text().splitlines()
    set_source(params_file, "cellcycle", str(images))
    params = load_params(params_file)
    assert params.active == ("nsc", "cellcycle")
    assert params.studies["cellcycle"].data.source == str(images)
    after = params_file.read_text().splitlines()
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert [old.split()[0] for old, _ in changed] == ["active:", "source:"]
    assert [new.partition("#")[2] for _, new in changed] == [
        old.partition("#")[2] for old, _ in changed
    ]


def test_set_source_takes_a_file_where_the_reader_does(project: Path) -> None:
    params_file = project / "params.yaml"
    file = project / "tube.cif"
    file.write_bytes(b"")
    with pytest.raises(SourceError, match="is no directory"):
        set_source(params_file, "cellcycle", str(file))
    text = params_file.read_text()
    params_file.write_text(text.replace("reader: jurkat_montage", "reader: cif"))
    set_source(params_file, "cellcycle", str(file))
    assert load_params(params_file).studies["cellcycle"].data.source == str(file)


def test_the_remedy_of_an_active_study_without_a_source_helps(project: Path) -> None:
    params_file = project / "params.yaml"
    edit(params_file, "active", value=["nsc", "cellcycle"])
    with pytest.raises(ParameterError, match="'cellcycle' has no source") as error:
        load_params(params_file)
    assert error.value.remedy == "run `unstained source cellcycle PATH`"
    (project / "images").mkdir()
    set_source(params_file, "cellcycle", str(project / "images"))
    assert load_params(params_file).active == ("nsc", "cellcycle")


def test_set_source_says_where_a_study_must_state_one(project: Path) -> None:
    params_file = project / "params.yaml"
    text = params_file.read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("source: null"))
    params_file.write_text(text.replace(line + "\n", "", 1))
    with pytest.raises(ParameterError, match="states no source of cellcycle"):
        set_source(params_file, "cellcycle", str(project))
    params_file.write_text(text)
    set_source(params_file, "cellcycle", str(project))


def test_set_source_to_any_simulator(project: Path) -> None:
    params_file = project / "params.yaml"
    set_source(params_file, "nsc", str(project))
    for study in ("nsc", "wbc"):
        set_source(params_file, study, "simulator")
        assert load_params(params_file).studies[study].data.source == "simulator"
    assert load_params(params_file).active == ("nsc", "wbc")


def test_set_source_refuses_what_cannot_run(project: Path) -> None:
    params_file = project / "params.yaml"
    before = params_file.read_text()
    with pytest.raises(SourceError, match="no directory"):
        set_source(params_file, "cellcycle", "/no/such/place")
    with pytest.raises(ParameterError, match="no simulator"):
        set_source(params_file, "cellcycle", "simulator")
    with pytest.raises(ParameterError, match="no study"):
        set_source(params_file, "nope", ".")
    assert params_file.read_text() == before
