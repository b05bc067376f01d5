"""What Prometheus reads agrees with what was asked."""

from __future__ import annotations

import urllib.request

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.conftest import Running
from tests.serving.test_server import INFER, call, grpc_request, tensor
from tests.serving.test_trust import refusal

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(server: Running) -> Samples:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(before: Samples, after: Samples, name: str, **labels: str) -> float:
    key = (name, tuple(sorted(labels.items())))
    return after.get(key, 0) - before.get(key, 0)


def test_counts_grow_with_what_is_asked(server: Running) -> None:
    before = samples(server)
    _, answer = call(server, INFER, {"inputs": [tensor()]})
    _, same = call(server, INFER, {"inputs": [tensor()], "outputs": [{"name": "cam"}]})
    assert len(same["outputs"]) == 1
    call(server, INFER, {"inputs": []})
    refusal(server, "ModelInfer", grpc_request([1, 1, 2, 2], b"\0"))
    after = samples(server)
    for transport, status, count in (("rest", "200", 3), ("rest", "400", 1), ("grpc", "400", 1)):
        labels = {"transport": transport, "status": status}
        assert grown(before, after, "unstained_requests_total", **labels) == count
    assert grown(before, after, "unstained_request_seconds_count", transport="rest") == 2
    assert grown(before, after, "unstained_cells_total") == 6
    assert grown(before, after, "unstained_batch_cells_sum") == 6
    assert after[("unstained_queue_cells", ())] == 0
    best = np.array(answer["outputs"][0]["data"]).reshape(3, 3).argmax(axis=1)
    for number, label in enumerate("abc"):
        seen = grown(before, after, "unstained_predicted_cells_total", task="", label=label)
        assert seen == 2 * np.count_nonzero(best == number)


def test_abstentions_are_counted_by_reason(server: Running) -> None:
    before = samples(server)
    black = tensor(np.zeros((2, 1, 20, 20), np.uint16))
    call(server, INFER, {"inputs": [black], "outputs": [{"name": "abstention"}]})
    after = samples(server)
    assert grown(before, after, "unstained_abstained_cells_total", reason="empty") == 2


def test_the_model_is_named(server: Running) -> None:
    _, metadata = call(server, "/v2/models/unstained-toy")
    (labels,) = (dict(labels) for name, labels in samples(server) if name == "unstained_model_info")
    assert labels["model"] == metadata["name"]
    assert [labels["version"]] == metadata["versions"]
    assert labels["digest"].startswith(labels["version"])
