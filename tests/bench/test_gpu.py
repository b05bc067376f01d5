"""The GPU's benchmark, at its smallest size on the CPU."""

from __future__ import annotations

import math

import pytest

from tests.bench import bench_gpu


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.minutes
def test_every_row_is_there_and_its_rates_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bench_gpu.Rates] = []

    def measured(*arguments: object) -> bench_gpu.Rates:
        seen.append(measure(*arguments))
        return seen[-1]

    measure = bench_gpu.measure
    monkeypatch.setattr(bench_gpu, "measure", measured)
    rows = bench_gpu.benchmark(small=True, cells=54, batch=16, rounds=1)
    assert [rates.side for rates in seen] == [64, 224]
    for rates in seen:
        for rate in (rates.ours, rates.plain, rates.resident):
            assert math.isfinite(rate)
            assert rate > 0
    assert [row.name for row in rows] == [
        f"{side} px, training / {other}"
        for side in (64, 224)
        for other in ("a plain loop over an image folder", "the same steps on a resident batch")
    ]
    assert rows[0].ratio == pytest.approx(seen[0].ours / seen[0].plain)
    assert rows[1].ratio == pytest.approx(seen[0].ours / seen[0].resident)


def test_the_goals_are_those_of_native_resolution() -> None:
    rates = bench_gpu.Rates(64, ours=96.0, plain=20.0, resident=100.0)
    assert [row.verdict for row in rates.rows((5.0, 0.97))] == ["missed", "missed"]
    assert [row.verdict for row in rates.rows((None, 0.95))] == ["", "met"]


def test_without_a_gpu_it_says_what_it_would_measure(capsys: pytest.CaptureFixture[str]) -> None:
    bench_gpu.main([])
    said = capsys.readouterr().out
    assert "no GPU here" in said
    assert "224 px" in said
