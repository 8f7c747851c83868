"""Six questions of somebody who has the page and nothing else; each answer is on it.

The answers are worked out here from the rows and figures the run was made of, not by the code that
writes the page.
"""

import re
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from equipoise.report import render_report

pytestmark = pytest.mark.slow  # whole pages are drawn
NUM_ITEMS = 300


def load(name):
    """Load a file beside this one, whatever folder pytest starts in."""
    spec = spec_from_file_location(f"stranger_{name}", Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Words(HTMLParser):
    """What a page says: no markup, no style, no drawing."""

    UNSAID = ("style", "svg", "title")

    def __init__(self, page):
        super().__init__()
        self.depth, self.words = 0, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.depth += tag in self.UNSAID

    def handle_endtag(self, tag):
        self.depth -= tag in self.UNSAID

    def handle_data(self, data):
        if not self.depth:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def read(page):
    return Words(page.read_text()).text


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    """The words of an audit, with the rows and figures it was made of."""
    maker = load("fake_audit")
    columns = maker.make_columns(np.random.default_rng(0), NUM_ITEMS, copies=0.08, training=True)
    run = maker.make_run(tmp_path_factory.mktemp("stranger") / "run", num_items=NUM_ITEMS)
    return read(render_report(run.path)), columns, run.record


def test_how_many_copies(audit):
    text, columns, _ = audit
    flagged = sum(verdict == "memorized" for verdict in columns["verdict"])
    scored = sum(error is None for error in columns["error"])
    assert f"{flagged} of {scored}" in text
    share = (flagged / scored - 0.01) / 0.74  # promised 1 %, of known copies 75 % are flagged
    assert f"{100 * share:.1f} % of the images are copies" in text


def test_how_sure(audit):
    text, _, record = audit
    false, rate = record.results["expected_false_flags"], record.results["copy_rate"]
    assert f"false alarms alone would explain {false['low']} to {false['high']}" in text
    assert f"95 % interval {100 * rate['low']:.1f}\u2013{100 * rate['high']:.1f} %" in text
    assert "of known copies 25 % are not flagged" in text


def test_against_which_null(audit):
    text, _, record = audit
    n = record.results["calibration"]["n"]
    assert "1 % of images that this model makes and that copy nothing are flagged" in text
    assert f"Set on {n:,} of them; it holds for such images only" in text


def test_which_images(audit):
    text, columns, _ = audit
    rows = zip(columns["source"], columns["verdict"], strict=True)
    plain = [source for source, _ in rows if source.startswith("batch_")]
    assert len(plain) > NUM_ITEMS - 20
    assert [source for source in plain if source not in text] == []
    reasons = {reason for reason in columns["error"] if reason}
    assert [reason for reason in reasons if reason not in text] == []


def test_which_model_and_how_to_repeat(audit):
    text, _, record = audit
    for told in (
        record.spec["model"], record.provenance["fingerprint"], record.provenance["command"],
        record.provenance["torch"], record.spec["listing"], "0.13", "up_blocks.0.resnets.0.conv2",
    ):  # fmt: skip
        assert told in text
    assert "How to repeat" in text


def test_a_bench_answers_the_same_questions(tmp_path):
    bench = load("test_bench")
    run = bench.build_run(tmp_path / "run", bench.ROWS)
    text = read(render_report(run.path))
    for told in (
        "40 copies of 9 planted images, 300 new outputs",  # how many
        "0.980 (0.880\u20130.990)", "+0.010 to +0.050",  # how sure
        "its threshold on further new outputs of the same stream", "1.2 %",  # against which null
        "Every model copies images that were planted in its training",  # which images
        "zoo:one", "needs a <condition>",  # which model, and what was left out
        "How to repeat", run.record.provenance["command"], "seed 0",
    ):  # fmt: skip
        assert told in text, told
