"""Benchmark: what the page takes for many cells, in a headless browser, against a thousand.

    python -m tests.bench.bench_page --cells 20000

Cells of a small network's golden batch and others like it, over and over. Times are of the browser
until what was asked for is painted; `longest task` is how long a keystroke may have to wait while
the sample is opened, walked through, sorted and plotted (PerformanceObserver, from 50 ms on).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page

from tests.bench.table import Row, show
from tests.browser import chromium
from tests.serving.artifacts import export_artifact
from tests.serving.conftest import free_ports
from tests.serving.page.conftest import Shown, shown

FEW = 1000
PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
WATCH = """window.tasks = [0];
new PerformanceObserver(seen => window.tasks.push(...seen.getEntries().map(one => one.duration)))
  .observe({ type: 'longtask', buffered: true });"""


def serve(found: Shown) -> tuple[uvicorn.Server, str]:
    """The page's address, answered by a thread."""
    (port,) = free_ports(1)
    config = uvicorn.Config(found.app, port=port, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.02)
    return server, f"http://127.0.0.1:{port}/ui/"


def timed(page: Page, work: Callable[[], object]) -> float:
    """Milliseconds until what was done is painted."""
    began = time.perf_counter()
    work()
    page.evaluate(PAINTED)
    return 1000 * (time.perf_counter() - began)


def walk(page: Page) -> None:
    """Scroll to the end in forty steps."""
    page.evaluate(
        f"""async () => {{
            const grid = document.querySelector('.grid');
            for (let step = 1; step <= 40; step++) {{
                grid.scrollTop = step * grid.scrollHeight / 40;
                await {PAINTED};
            }}
        }}"""
    )


def measure(browser: Browser, url: str, sample: str) -> dict[str, float]:
    """Milliseconds of each thing that people do."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(WATCH)

    def opened() -> None:
        page.goto(f"{url}#{sample}")
        page.locator('.picture[style*="blob:"]').first.wait_for()

    def plotted() -> None:
        page.locator("#tab-plot").click()

    found = {
        "open": timed(page, opened),
        "walk to the end": timed(page, lambda: walk(page)),
        "sort": timed(page, lambda: page.get_by_label("Order").select_option("confidence")),
        "filter": timed(page, lambda: page.locator(".bar").first.click()),
        "plot": timed(page, plotted),
    }
    found["longest task"] = float(page.evaluate("Math.max(...window.tasks)"))
    page.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20_000)
    count = parser.parse_args().cells
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        ours = shown(export_artifact(Path(folder)))
        server, url = serve(ours)
        measure(browser, url, ours.sample(FEW))  # starts what starts once
        few, many = (measure(browser, url, ours.sample(n)) for n in (FEW, count))
        server.should_exit = True
    rows = [
        Row(f"{name}, {count:,} cells", many[name] / few[name], None, f"{many[name]:,.0f} ms")
        for name in few
        if few[name]
    ]
    show(f"The page: {count:,} cells as multiples of {FEW:,}", rows)


if __name__ == "__main__":
    main()
