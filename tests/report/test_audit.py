import html
import importlib.util
import itertools
import re
import shutil
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import RunError
from equipoise.report import exhibit, render_report
from equipoise.report.item import load_items
from equipoise.report.wording import format_number, format_visible
from equipoise.runs import finish_run, start_run

pytestmark = pytest.mark.slow  # whole pages are rendered


def load_fake():
    """Load fake_audit.py beside this file, whatever folder pytest starts in."""
    spec = importlib.util.spec_from_file_location(
        "report_fake_audit", Path(__file__).with_name("fake_audit.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake = load_fake()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake.make_run(tmp_path_factory.mktemp("audit") / "run")


@pytest.fixture(scope="module")
def page(run):
    return render_report(run.path).read_text()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run of few items, for tests that change and render it."""
    return fake.make_run(tmp_path_factory.mktemp("audit") / "small", num_items=60, part_size=25)


class Reader(HTMLParser):
    """Collects text, tags, headings and every attribute of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.pieces, self.cells = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "th" and ("class", "source") in attrs and ("scope", "row") in attrs:
            self.cells.append("")

    def handle_data(self, data):
        self.pieces.append(data)
        if self.cells and self.cells[-1] == "":
            self.cells[-1] = data

    @property
    def text(self):
        return re.sub(r"[ \n]+", " ", "".join(self.pieces)).replace("\u00a0", " ")


def test_the_answer_is_one_sentence_about_the_images(page, run):
    counts = run.record.results["verdicts"]
    scored = run.record.results["scored"]
    text = Reader(page).text
    assert f"{counts['memorized']} of {scored} scored images are flagged as memorized; " in text
    assert text.index("How many of these images") < text.index("Does this model treat")
    assert "training images score higher by 0.420 on average (p = 0.00010)" in text


def test_every_item_is_accounted_for(page, run):
    columns = run.read_items(["source", "verdict", "error"]).to_pydict()
    failed = sum(error is not None for error in columns["error"])
    terms = [columns["verdict"].count(v) for v in ("memorized", "inconclusive", "not_memorized")]
    words = ("memorized", "inconclusive", "not memorized")
    sum_ = " + ".join(f"{n} {word}" for n, word in zip(terms, words, strict=True))
    assert f"{sum_} + {failed} failed = {len(columns['source'])} items" in Reader(page).text
    assert sum(terms) + failed == len(columns["source"])
    assert sorted(Reader(page).cells) == sorted(map(format_visible, columns["source"]))


def test_what_the_table_leaves_out_is_listed(run, monkeypatch):
    monkeypatch.setattr(exhibit, "ROWS", 50)
    reader = Reader(render_report(run.path).read_text())
    assert len(reader.cells) == 50
    listed = {line[33:] for piece in reader.pieces for line in piece.split("\n")}
    sources = {format_visible(item.source) for item in load_items(run)}
    assert sources - set(reader.cells) == sources & listed - set(reader.cells)


def test_the_figures_of_every_item_are_text(page, run):
    rows = re.findall(r'<tr data-state="(\w+)">(.*?)</tr>', page)
    items = {item.id: item for item in load_items(run)}
    assert len(rows) == len(items) == 300
    scores = []
    for state, row in rows:
        item = items[re.search(r"<small>(\w+)</small>", row)[1]]
        cells = re.findall(r"<td>(.*?)</td>", row)
        assert item.state == state
        assert cells[1] == format_number(item.score)
        assert cells[3:5] == [format_number(n, 2) for n in (item.p_value, item.q_value)]
        scores.append(-np.inf if item.score is None else item.score)
    assert scores == sorted(scores, reverse=True)


def test_each_state_can_be_shown_alone_without_a_script(page):
    choices = re.findall(r'<input type="radio" name="state" id="show-(\w+)"', page)
    assert choices == ["all", "memorized", "inconclusive", "not_memorized", "failed"]
    for state in choices[1:]:
        rule = f'.all:has(#show-{state}:checked) tbody tr:not([data-state="{state}"])'
        assert rule in page
    assert page.count("<label><input") == len(choices)
    assert "<fieldset" in page
    assert "<legend>Show</legend>" in page


def test_failed_items_stand_under_their_reason(page, run):
    columns = run.read_items(["source", "error"]).to_pydict()
    for reason, count in run.record.results["failed_by_reason"].items():
        box = re.search(
            rf"<summary>{count}: {html.escape(reason)}</summary>(.*?)</details>", page, re.DOTALL
        )[1]
        listed = re.search(r'<pre class="lines">(.*?)</pre>', box, re.DOTALL)[1].split("\n")
        assert len(listed) == count == columns["error"].count(reason)


def test_nothing_runs_and_nothing_is_fetched(page):
    reader = Reader(page)
    assert "script" not in reader.tags
    assert "form" not in reader.tags
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html.unescape(page)
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name)
        if (tag, name) == ("img", "src"):
            assert value.startswith("data:image/png;base64,")
        elif name in ("src", "href"):
            assert value.startswith(("data:", "#")), (tag, value)
    assert "@import" not in page


def test_no_hidden_character_reaches_the_page(page):
    ours = set("\n")
    found = {c for c in page if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - ours
    assert not found
    assert "\\u202egnp.exe \\u2066isolate\\u2069" in page
    assert "evil/line\\nbreak\\r\\ttab.png" in page


def test_identifiers_resolve_and_everything_has_a_name(page):
    reader = Reader(page)
    identifiers = [value for _, name, value in reader.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    targets = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)
    assert {first or second for first, second in targets} <= set(identifiers)
    assert reader.tags.count("img") == sum(
        (t, n) == ("img", "alt") for t, n, _ in reader.attributes
    )
    assert page.count('role="region"') == page.count('role="region" aria-label="')
    levels = [int(tag[1]) for tag in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_rendering_twice_is_identical(page, run):
    assert render_report(run.path).read_text() == page


def test_foreign_text_is_escaped_everywhere(tmp_path):
    evil = "\"><script>alert(1)</script><img src=x onerror='go()'>\u202e$x^2$ {{ 7*7 }}"
    columns = {
        name: [evil] * 40
        for name in ("id", "source", "format", "mode", "nearest", "label")
    } | {"verdict": ["memorized"] * 39 + [evil], "error": [None] * 38 + [evil, None]}  # fmt: skip
    results = {
        "calibration": {"threshold": 1.2, "promised": 0.01, "n": 9, "null": evil},
        "warnings": [evil], "other_files": {evil: 3}, "failed_by_reason": {evil: 1},
    }  # fmt: skip
    spec = {
        "model": evil, "images": evil, "seed": evil, evil: [evil], "listing": evil,
        "detector": dict.fromkeys(("statistic", "pooling", "sigma", "draws"), evil),
        "picture_rule": {evil: evil},
    }  # fmt: skip
    run = fake.make_run(
        tmp_path / "run", num_items=40, columns=columns, results=results, spec=spec
    )
    page = render_report(run.path).read_text()
    reader = Reader(page)
    assert "script" not in reader.tags
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert "\u202e" not in page
    assert "alert(1)" in reader.text
    assert "{{ 7*7 }}" in reader.text


KEYS = (
    "items", "scored", "failed", "failed_by_reason", "other_files", "verdicts", "calibration",
    "expected_false_flags", "copy_rate", "sensitivity", "detection_limit", "discoveries",
    "warnings", "training", "permutation",
)  # fmt: skip


@pytest.mark.parametrize("key", [*KEYS, "all of them", "missing", "inside"])
def test_null_results_leave_a_dash(small, tmp_path, key):
    results = dict(small.record.results)
    if key == "missing":
        results = {}
    elif key == "inside":
        results = blank(results)
    else:
        results |= dict.fromkeys(KEYS if key == "all of them" else (key,))
    text = Reader(render_report(copy_run(small, tmp_path / "run", results)).read_text()).text
    assert not re.search(r"\bNone\b(?! of | is )", text)
    assert " = 60 items" in text


@pytest.mark.parametrize(
    "name",
    ["score_low", "score_high", "width", "height", "format", "mode", "thumbnail", "nearest",
     "ratio", "label", "nearest_thumbnail"],
)  # fmt: skip
def test_optional_columns_may_be_missing(tmp_path, name):
    run = fake.make_run(tmp_path / "run", num_items=40, without=(name,))
    page = render_report(run.path).read_text()
    assert " = 40 items" in Reader(page).text
    assert (">no picture<" in page) == (name in ("thumbnail", "nearest_thumbnail"))


def test_an_unknown_spec_and_provenance_can_be_rendered(small, tmp_path):
    target = copy_run(small, tmp_path / "run", small.record.results, spec={})
    assert "fresh outputs" in Reader(render_report(target).read_text()).text


def test_pictures_that_are_none_are_left_out(tmp_path):
    hostile = [b"<svg onload='go()'></svg>"] * 40
    columns = {"thumbnail": hostile, "nearest_thumbnail": ["x"] * 40, "heat": hostile}
    run = fake.make_run(tmp_path / "run", num_items=40, columns=columns)
    assert "<img" not in render_report(run.path).read_text()


def test_an_audit_in_which_everything_failed_has_no_answer(tmp_path):
    columns = {
        name: [None] * 40 for name in ("score", "score_low", "score_high", "p_value", "q_value",
                                       "verdict", "thumbnail")
    } | {"error": [f"cannot be read: {row}" for row in range(40)]}  # fmt: skip
    run = fake.make_run(tmp_path / "run", num_items=40, columns=columns, training=False)
    text = Reader(render_report(run.path).read_text()).text
    assert "No answer: none of 40 images has a score." in text
    assert "No image is flagged." in text


def test_a_run_without_calibration_only_ranks(small, tmp_path):
    nulls = {"calibration": None, "expected_false_flags": None, "verdicts": None}
    target = copy_run(small, tmp_path / "run", small.record.results | nulls)
    (target / "tensors" / "calibration.safetensors").unlink()
    text = Reader(render_report(target).read_text()).text
    assert "No error rate was promised." in text


def test_a_forged_record_is_told(small, tmp_path):
    forged = small.record.results | {"verdicts": {"memorized": 0}}
    text = Reader(render_report(copy_run(small, tmp_path / "run", forged)).read_text()).text
    assert "The record and the items of this run do not agree" in text


@pytest.mark.parametrize("part", ["items/part-000001.parquet", "tensors/calibration.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_folder_is_an_error(small, tmp_path, part, damage):
    target = copy_run(small, tmp_path / "run", small.record.results)
    content = bytearray((small.path / part).read_bytes())
    content[4:64] = bytes(255 - byte for byte in content[4:64])
    damaged = {"cut": content[:100], "flipped": content, "empty": b""}[damage]
    (target / part).write_bytes(bytes(damaged))
    with pytest.raises(RunError, match="cannot be read"):
        render_report(target)


@pytest.mark.parametrize("folder", ["items", "tensors"])
def test_a_missing_part_is_an_error(small, tmp_path, folder):
    target = copy_run(small, tmp_path / "run", small.record.results)
    shutil.rmtree(target / folder)
    with pytest.raises(RunError, match=r"cannot be read|holds no items"):
        render_report(target)


def test_foreign_text_hides_nothing():
    assert format_visible("a/\u00e9 \u4e2d <b>.png") == "a/\u00e9 \u4e2d <b>.png"
    assert format_visible("a\nb\t\x00\x7f\x9b") == "a\\nb\\t\\x00\\x7f\\x9b"
    assert format_visible("\u202egnp\u2066\u200b\u00ad\u00a0\ud800\U000e0041") == (
        "\\u202egnp\\u2066\\u200b\\xad\\xa0\\ud800\\U000e0041"
    )
    assert format_visible(None) == "\u2014"
    assert format_visible(4) == "4"


@given(st.text())
def test_visible_text_tells_texts_apart_and_is_printable(foreign):
    shown = format_visible(foreign)
    assert shown.isprintable()
    escape = r"\\(\\|n|r|t|x..|u....|U........)"
    assert (
        re.sub(escape, lambda found: found[0].encode().decode("unicode_escape"), shown) == foreign
    )


def copy_run(run, target, results, spec=None):
    """Copy a run folder with other results."""
    record = run.record
    spec = record.spec if spec is None else spec
    fresh = start_run(target, kind="audit", spec=spec, provenance={})
    for folder in ("items", "tensors"):
        shutil.copytree(run.path / folder, target / folder, dirs_exist_ok=True)
    finish_run(fresh, results=results, cost=record.cost)
    return target


def blank(entry):
    """Replace every leaf of a record by null."""
    if isinstance(entry, dict):
        return {key: blank(part) for key, part in entry.items()}
    if isinstance(entry, list):
        return [blank(part) for part in entry]
    return None
