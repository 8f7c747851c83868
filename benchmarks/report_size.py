"""Measure how large the page of an audit is, and how long a browser takes to open it.

    .venv/bin/python benchmarks/report_size.py 100 10000 100000

The runs are made of noise by the tests' maker of audits: pictures of 64 x 48 px that do not
compress, nearest training images and heat maps of everything that is flagged, one item in twelve
a copy. Times are medians of five openings, each in a fresh profile of the installed Chromium:
until something is painted, until the page has loaded, and what the process of the page computed
until then, its start included, which other work on the machine leaves as it is.
"""

import os
import statistics
import sys
import tempfile
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from equipoise.report import render_report
from equipoise.report.printing import find_browser
from equipoise.runs import build_provenance

MAKER = Path(__file__).parents[1] / "tests" / "report" / "fake_audit.py"
OPENINGS = 5
PATIENCE = 600_000  # milliseconds, on a busy machine
PART = 5000  # items a file
READ_TIMES = """() => {
  const [load] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [paint ? paint.startTime : load.loadEventEnd, load.loadEventEnd];
}"""


def make_run(path: Path, count: int) -> None:
    """Write an audit of so many items."""
    spec = spec_from_file_location("fake_audit", MAKER)
    assert spec is not None
    assert spec.loader is not None
    maker = module_from_spec(spec)
    spec.loader.exec_module(maker)
    maker.make_run(path, num_items=count, copies=1 / 12, part_size=PART)


def time_opening(browser: Browser, page: Path) -> tuple[float, float, float]:
    """Open a page in a fresh profile; return seconds until painted and loaded, and computed."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    session = context.new_cdp_session(tab)
    session.send("Performance.enable")
    tab.goto(page.as_uri(), wait_until="load")
    tab.wait_for_timeout(500)  # the paint may be told after the load
    told = session.send("Performance.getMetrics")["metrics"]
    (computed,) = (metric["value"] for metric in told if metric["name"] == "ProcessTime")
    painted, loaded = tab.evaluate(READ_TIMES)
    context.close()
    return painted / 1000, loaded / 1000, computed


def measure(browser: Browser, count: int) -> str:
    """Make, render and open a run; return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        make_run(run, count)
        start = time.process_time()
        page = render_report(run)
        rendered = time.process_time() - start
        times = [time_opening(browser, page) for _ in range(OPENINGS)]
        medians = [statistics.median(column) for column in zip(*times, strict=True)]
        size = page.stat().st_size / 1e6
    seconds = " | ".join(f"{value:.2f} s" for value in medians)
    return f"| {count:,} | {size:.1f} MB | {rendered:.1f} s | {seconds} |"


def main() -> None:
    """Print the table."""
    told = build_provenance()
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=sandbox, timeout=PATIENCE
        )
        rows = [measure(browser, int(count)) for count in sys.argv[1:]]
        version = browser.version
        browser.close()
    sys.stdout.write(
        "| items | page | computing it | painted after | loaded after | computed by then |\n"
        f"|---|---|---|---|---|---|\n{chr(10).join(rows)}\n\n"
        f"{told['processor']}, Chromium {version}, {told['time'][:10]}.\n"
    )


if __name__ == "__main__":
    main()
