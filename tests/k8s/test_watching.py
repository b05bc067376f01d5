"""Dashboard and alerts name metrics that a server exports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.exported import raw_cells
from tests.k8s.manifests import ROOT
from unstained.serving.metrics import Metrics
from unstained.serving.predictor import Predictor

PROD = ROOT / "k8s" / "overlays" / "prod"
NAME = re.compile(r"\bunstained_\w+")
LABEL = re.compile(r"(\w+)=~?\"")
BY = re.compile(r"by \(([^)]*)\)")
GIVEN = {"le", "namespace", "pod"}
"""Labels that Prometheus adds itself, and a histogram's."""


def alerts() -> list[dict[str, str]]:
    content = yaml.safe_load((PROD / "alerts.yaml").read_text())
    return [rule for group in content["spec"]["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, object]]:
    return json.loads((PROD / "dashboard.json").read_text())["panels"]


def expressions() -> list[str]:
    shown = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [*shown, *(rule["expr"] for rule in alerts())]


def exported(artifact: Path) -> dict[str, set[str]]:
    """Labels by name of sample, of a server that has counted everything once."""
    predictor = Predictor(artifact, threads=1)
    metrics = Metrics(predictor)
    metrics.serves(predictor, "1")
    metrics.request("rest", 200)
    metrics.answered("rest", 0.1)
    metrics.change("changed")
    metrics.challenged(predictor, "2", 0.1)
    metrics.taken()
    metrics.compared(2, 1)
    found = predictor.predict(raw_cells(3))
    found["abstention"][:] = True
    metrics.batch(found, len(found["abstention"]), 0.1)
    families = text_string_to_metric_families(metrics.text().decode())
    return {sample.name: set(sample.labels) for f in families for sample in f.samples}


def test_every_metric_and_label_is_exported(artifact: Path) -> None:
    known = exported(artifact)
    for text in expressions():
        names = set(NAME.findall(text))
        assert names
        assert names <= set(known), text
        labels = {label for name in names for label in known[name]} | GIVEN
        asked = {*LABEL.findall(text), *re.findall(r"\w+", " ".join(BY.findall(text)))}
        assert asked <= labels, text


def test_everything_that_is_exported_is_shown(artifact: Path) -> None:
    shown = " ".join(expressions())
    families = {re.sub(r"_(total|bucket|count|sum|info)$", "", name) for name in exported(artifact)}
    assert {name for name in families if name not in shown} == set()


def test_alerts_say_what_to_do_and_panels_do_not_overlap() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert len(rule["annotations"]["description"]) > 40
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        here = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not here & taken
        taken |= here
    assert max(x for x, _ in taken) == 23
    numbers = [panel["id"] for panel in panels()]
    assert len(numbers) == len(set(numbers))
