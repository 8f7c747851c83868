"""Every tab of the studio as a person uses it: forms, progress, results, errors."""

import sys
import threading
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from PIL import Image

from equipoise.studio import build_server

pytestmark = pytest.mark.slow  # models generate, networks are trained
REPORT = Path(__file__).parents[1] / "report"
WAIT = 300_000  # milliseconds: no test asserts a time


def load(name):
    """Load a file of the tests of reports."""
    spec = spec_from_file_location(f"studio_browser_{name}", REPORT / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio over an audit, the same again, and a training that was watched."""
    folder = tmp_path_factory.mktemp("studio") / "runs"
    makers = load("makers").MAKERS
    makers["audit"](folder / "monday")
    makers["audit"](folder / "tuesday")
    makers["monitor"](folder / "training")
    with build_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["light", "dark"])
def go(request, visit, studio):
    """Open a tab; when the test is over, look at what was left on it."""
    visits = []

    def open_tab(name, *, width=1280):
        visits.append(visit(f"{studio}/{name}", scheme=request.param, width=width))
        return visits[-1].page

    yield open_tab
    for seen in visits:
        assert seen.list_barriers() == []
        assert seen.measure_overhang() <= 0
        assert seen.complaints == []
        assert all(url.startswith((f"{studio}/", "data:")) for url in seen.asked), seen.asked


def ask(page, button):
    """Press the button of a form and give its answer."""
    page.get_by_role("button", name=button).click()
    page.locator("#result .answer").first.wait_for(timeout=WAIT)
    page.locator(".working").wait_for(state="hidden", timeout=WAIT)
    return page.locator("#result").inner_text()


def test_inspect_judges_an_output_and_a_file(go, tmp_path):
    page = go("inspect")
    page.get_by_label("Seed").fill("3")
    told = ask(page, "Inspect")
    assert "emorized:" in told or "Inconclusive:" in told
    assert "p = " in told
    assert page.locator("#result .sight img").count() == 3
    Image.new("L", (40, 40), 90).save(tmp_path / "grey.png")
    page.get_by_label("A file of mine").check()
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "grey.png")
    before = page.locator("#result .sight img").first.get_attribute("src")
    page.get_by_role("button", name="Inspect").click()
    page.wait_for_function(
        "was => document.querySelector('#result .sight img').src !== was", arg=before, timeout=WAIT
    )
    assert page.locator("#result .answer").count() == 1


def test_inspect_says_what_is_wrong_with_a_file_or_a_model(go, tmp_path):
    page = go("inspect", width=320)
    (tmp_path / "text.png").write_text("no picture")
    page.get_by_label("A file of mine").check()
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "text.png")
    page.get_by_role("button", name="Inspect").click()
    alarm = page.get_by_role("alert")
    alarm.wait_for(timeout=WAIT)
    assert "upload" in alarm.inner_text()
    page.get_by_role("combobox", name="Model").fill("zoo:nothing")
    page.get_by_role("button", name="Inspect").click()
    alarm.filter(has_text='No model "nothing"').wait_for(timeout=WAIT)


def test_steer_makes_a_vector_and_takes_it_again(go):
    page = go("steer")
    for name, count in (("Columns", "2"), ("Rows", "1")):
        page.get_by_label(name).fill(count)
    told = ask(page, "Steer")
    assert "At full strength outputs move" in told
    assert page.locator("#result .doses img").count() == 2
    page.reload()
    page.get_by_label("One I made").check()
    assert page.locator("select[name=vector] option").all_text_contents() == ["bag"]
    for name, count in (("Columns", "2"), ("Rows", "1")):
        page.get_by_label(name).fill(count)
    assert "vector bag" in ask(page, "Steer")


def test_watch_shows_a_training(go):
    page = go("watch", width=320)
    page.get_by_label("Look again every 5 seconds").uncheck()
    assert "Stop at step 200" in ask(page, "Watch")
    with page.expect_popup() as popup:
        page.get_by_role("link", name="The whole page of this run").click()
    popup.value.wait_for_url("**/report")  # a new window is empty until its page has come
    assert "Stop at step 200" in popup.value.locator("main").inner_text()


def test_theory_answers_at_once_follows_a_slider_and_can_be_stopped(go):
    page = go("theory")
    page.locator("#result .answer").wait_for(timeout=WAIT)
    assert "With 16 units for 5 images" in page.locator("#result .answer").inner_text()
    page.get_by_label("Hidden units p").fill("8")
    page.locator("#result .answer", has_text="With 8 units").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Train").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator(".working").wait_for(state="hidden", timeout=WAIT)
    assert page.get_by_role("alert").is_hidden()


def test_runs_are_opened_and_compared(go):
    page = go("runs", width=320)
    with page.expect_popup() as popup:
        page.get_by_role("link", name="monday").click()
    assert "flagged as memorized" in popup.value.locator("main").inner_text()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("alert").wait_for(timeout=WAIT)
    page.get_by_label("monday is the earlier one").check()
    page.get_by_label("tuesday is the later one").check()
    assert "tuesday against monday" in ask(page, "Compare")


def test_a_form_is_used_by_the_keyboard_alone(go):
    page = go("watch")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_role("button", name="Watch").focus()
    page.keyboard.press("Enter")
    page.locator("#result .answer").wait_for(timeout=WAIT)
    page.get_by_label("Look again every 5 seconds").uncheck()
