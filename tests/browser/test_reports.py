"""Pages of runs in a browser: nothing runs, nothing is asked for, everybody can read them."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from equipoise.report import render_against, render_report

pytestmark = pytest.mark.slow  # pages are drawn and opened
REPORT = Path(__file__).parents[1] / "report"


def load(name):
    """Load a file of the tests of reports."""
    spec = spec_from_file_location(f"browser_{name}", REPORT / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MAKERS = load("makers").MAKERS


@pytest.fixture(scope="module", params=[*MAKERS, "against"])
def report(request, tmp_path_factory):
    """The page of a kind, and that of a run against itself."""
    path = tmp_path_factory.mktemp(request.param) / "run"
    if request.param == "against":
        MAKERS["audit"](path)
        return render_against(path, path)
    MAKERS[request.param](path)
    return render_report(path)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_a_page_is_quiet_fits_and_has_no_serious_barrier(visit, report, scheme, width):
    seen = visit(report.as_uri(), scheme=scheme, width=width)
    seen.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert seen.list_barriers() == []
    assert seen.measure_overhang() <= 0
    assert seen.complaints == []
    assert {url for url in seen.asked if not url.startswith("data:")} == {report.as_uri()}


@pytest.mark.parametrize("kind", MAKERS)
def test_hostile_texts_run_nothing_and_ask_for_nothing(visit, kind, tmp_path):
    injection = load("test_injection")
    MAKERS[kind](tmp_path / "run")
    injection.spoil(tmp_path / "run", injection.make_hostile())
    page = render_report(tmp_path / "run")
    seen = visit(page.as_uri())
    seen.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    seen.page.keyboard.press("Tab")
    seen.page.mouse.move(300, 300)
    assert seen.page.evaluate("window.hit") is None
    assert {url for url in seen.asked if not url.startswith("data:")} == {page.as_uri()}
    assert seen.page.url == page.as_uri()


def test_a_page_is_used_by_the_keyboard_alone(visit, tmp_path):
    load("fake_audit").make_run(tmp_path / "run", num_items=60)
    seen = visit(render_report(tmp_path / "run").as_uri())
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "skip"
    seen.page.locator("#show-memorized").focus()
    seen.page.keyboard.press("Space")
    states = seen.page.locator(".all tbody tr:visible").evaluate_all(
        "rows => rows.map(row => row.dataset.state)"
    )
    assert states
    assert set(states) == {"memorized"}
