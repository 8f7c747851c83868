"""Pages in a real browser: the Chromium that is installed, driven by Playwright.

Without either of the two the tests of this folder are left out, and say so. Accessibility is
checked by axe-core 4.14.1 (`axe.min.js`, unchanged from npm; MPL-2.0, see axe.LICENSE), which lies
here so that no test needs the network; it is no part of the package.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from equipoise.errors import BadInputError
from equipoise.report.printing import find_browser

HERE = Path(__file__).parent
PATIENCE = 300_000  # milliseconds: a busy machine is slow, and no test asserts a time
GRAVE = ("serious", "critical")
WIDTHS = {"phone": 320, "desk": 1280}


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    try:
        path = find_browser()
    except BadInputError:
        pytest.skip("no Chromium is installed")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has none to enter
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=sandbox, timeout=PATIENCE)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page, and what went on behind it."""

    page: object
    complaints: list[str] = field(default_factory=list)
    """Errors on the console, and those no script caught."""
    asked: list[str] = field(default_factory=list)
    """Addresses of all requests; what a page holds in itself is none."""

    def list_barriers(self):
        """List what axe-core finds serious or critical."""
        self.page.evaluate((HERE / "axe.min.js").read_text())
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            (rule["id"], node["target"], node["html"][:200])
            for rule in found["violations"] if rule["impact"] in GRAVE
            for node in rule["nodes"]
        ]  # fmt: skip

    def measure_overhang(self):
        """Measure how many pixels the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )


@pytest.fixture
def visit(browser):
    """Open a page by its address, in a context of its own."""
    contexts = []

    def open_page(address, *, scheme="light", width=WIDTHS["desk"]):
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        made = Visit(context.new_page())
        context.on("request", lambda request: made.asked.append(request.url))
        context.on("weberror", lambda error: made.complaints.append(str(error.error)))
        context.on(
            "console",
            lambda message: made.complaints.append(message.text)
            if message.type in ("error", "warning") else None,
        )  # fmt: skip
        made.page.goto(address)
        return made

    yield open_page
    for context in contexts:
        context.close()
