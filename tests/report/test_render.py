import html
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from equipoise.errors import RunError
from equipoise.report import render_report
from equipoise.report.item import load_items
from equipoise.report.wording import format_number
from equipoise.runs import finish_run, load_run, start_run

pytestmark = pytest.mark.slow  # drawing pages takes seconds


class Reader(HTMLParser):
    """Collects text, identifiers and every attribute of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.pieces = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self):
        return re.sub(r"[ \n]+", " ", "".join(self.pieces))


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_answer_is_one_sentence_with_its_error_rate(page, run):
    flagged = run.record.results["verdicts"]["memorized"]
    text = read(page).text.replace("\u00a0", " ")
    wanted = f"Yes: {flagged} of 1,800 fresh outputs are flagged as memorized, at a promised "
    assert wanted + "false-positive rate of 1 % (measured 0.9 %, 95 % interval 0.4\u2013" in text
    assert "n = 1,170)." in text


def test_the_figures_of_every_item_are_text(page, run):
    rows = dict(re.findall(r'<tr><th scope="row" title="[^"]*">(sample/\d+)</th>(.*?)</tr>', page))
    items = load_items(run)
    assert len(rows) == len(items)
    for item in items:
        cells = re.findall(r"<td>(.*?)</td>", rows[item.source])
        assert cells[0] == format_number(item.score)
        assert cells[2] == format_number(item.p_value, 2)
        assert cells[4] == item.verdict.replace("_", " ")


def test_every_rate_of_the_record_is_text(page, run):
    text = read(page).text
    for key in ("auroc", "clean_twin_auroc", "paper_statistic", "oracle"):
        rate = run.record.results[key]
        assert f"{rate['low']:.3f}\u2013{rate['high']:.3f}" in text
    for name in run.record.results["baselines"]:
        assert (
            name.replace("_", " ").replace("jpeg", "JPEG").capitalize()[1:].lower() in text.lower()
        )


def test_nothing_runs_and_nothing_is_fetched(page):
    reader = read(page)
    assert "script" not in reader.tags
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html.unescape(page)
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href"):
            assert value.startswith(("data:", "#")), (tag, value)
    assert "://" not in page
    assert "@import" not in page


def test_identifiers_are_unique_and_resolve(page):
    reader = read(page)
    identifiers = [value for _, name, value in reader.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    targets = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)
    assert {first or second for first, second in targets} <= set(identifiers)


def test_every_picture_and_plot_has_words(page):
    assert page.count("<figure") == page.count('<figure role="img" aria-label="') == 5
    assert page.count("<img ") == page.count('" alt="')
    assert page.count("<figcaption>") == 5


def test_the_page_is_small_and_rendering_twice_is_identical(page, run):
    again = render_report(run.path)
    assert again == run.path / "report.html"
    assert again.read_text() == page
    assert len(page.encode()) < 3_000_000


def test_foreign_text_is_escaped(fake, tmp_path):
    evil = "\"><script>alert(1)</script><img src=x onerror='go()'>$x^2$ {{ 7*7 }}"
    columns = {"source": [evil] * 80, "error": [evil] * 80}
    columns |= {name: [evil] * 80 for name in ("id", "kind", "split")}
    results = {
        "baselines": {evil: fake.make_rate(0.6, 0.1)},
        "most_copied": [{"index": 1, "kind": evil, "multiplicity": 2, "count": 3}],
        "calibration": {"threshold": 1.2, "promised": 0.01, "n": 9, "null": evil},
    }
    detector = {"site": [evil], "statistic": evil, "pooling": evil, "sigma": evil, "draws": evil}
    spec = {"model": evil, "seed": evil, evil: [evil], "detector": detector}
    run = fake.make_run(
        tmp_path / "run", results=results, columns=columns, num_items=80, spec=spec
    )
    page = render_report(run.path).read_text()
    reader = read(page)
    assert "script" not in reader.tags
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert {value for tag, name, value in reader.attributes if (tag, name) == ("img", "src")}
    assert "alert(1)" in reader.text
    assert "{{ 7*7 }}" in reader.text


KEYS = (
    "auroc", "tpr_at_1pct_fpr", "clean_twin_auroc", "planted_minus_twin", "fpr", "baselines",
    "paper_statistic", "oracle", "with_grey_as_negative", "labels", "verdicts", "partly_content",
    "roc", "profiles", "calibration", "most_copied",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("key", [*KEYS, "all of them"])
def test_null_results_leave_a_dash(small, tmp_path, key):
    nulls = dict.fromkeys(KEYS if key == "all of them" else (key,))
    target = copy_run(small, tmp_path / "run", small.record.results | nulls)
    page = render_report(target).read_text()
    assert "None" not in read(page).text.replace("None.", "")


def test_null_values_inside_results_leave_a_dash(small, tmp_path):
    target = copy_run(small, tmp_path / "run", blank(small.record.results))
    assert "Not decided:" in read(render_report(target).read_text()).text


def test_failed_items_have_no_figures(fake, tmp_path):
    nothing = {
        name: [None] * 80
        for name in ("score", "score_low", "score_high", "p_value", "q_value", "verdict", "label")
    }
    columns = nothing | {"error": ["cannot be read"] * 80}
    run = fake.make_run(tmp_path / "run", columns=columns, num_items=80)
    text = read(render_report(run.path).read_text()).text
    assert "80 outputs failed and carry no score." in text
    assert "No output is flagged." in text


def test_partly_content_comes_first(small, tmp_path):
    target = copy_run(small, tmp_path / "run", small.record.results | {"partly_content": True})
    text = read(render_report(target).read_text()).text
    assert text.index("Partly content: the clean twin") < text.index("Does this model copy")
    assert "0.524 (0.483\u20130.565)" in text


def test_an_unknown_kind_names_the_known_ones(tmp_path):
    run = start_run(tmp_path / "run", kind="opera", spec={}, provenance={})
    finish_run(run, results={}, cost={})
    with pytest.raises(RunError, match=r'kind is "opera".*"audit", "bench", "demo"'):
        render_report(run.path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        render_report(tmp_path / "nowhere")


def test_an_unfinished_run_is_an_error(fake, tmp_path):
    run = fake.make_run(tmp_path / "run", finish=False, num_items=80)
    with pytest.raises(RunError, match='status is "running"'):
        render_report(run.path)


@pytest.mark.parametrize(
    "part",
    ["items/part-000000.parquet", "tensors/images.safetensors", "tensors/calibration.safetensors",
     "tensors/profiles.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_an_incomplete_folder_is_an_error(small, tmp_path, part, damage):
    target = copy_run(small, tmp_path / "run", small.record.results)
    if damage == "cut":
        (target / part).write_bytes((small.path / part).read_bytes()[:100])
    else:
        (target / part).unlink()
    with pytest.raises(RunError, match=r"cannot be read|holds no items"):
        render_report(target)


def test_the_parent_package_does_not_load_matplotlib():
    code = "import equipoise, sys; assert not {'matplotlib', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def copy_run(run, target, results):
    """Copy a run folder with other results."""
    record = run.record
    fresh = start_run(target, kind="demo", spec=record.spec, provenance=record.provenance)
    for folder in ("items", "tensors"):
        shutil.copytree(run.path / folder, target / folder, dirs_exist_ok=True)
    finish_run(fresh, results=results, cost=record.cost)
    assert load_run(target).record.status == "finished"
    return target


def blank(entry):
    """Replace every leaf of a record by null."""
    if isinstance(entry, dict):
        return {key: blank(part) for key, part in entry.items()}
    if isinstance(entry, list):
        return [blank(part) for part in entry]
    return None
