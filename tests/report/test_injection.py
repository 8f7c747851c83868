"""Every text of a run is hostile, and the page does not change its markup.

Every text field holds all payloads one after another, in an order of its own. The tags and
attribute names of the page must be those of the same run with harmless texts.
"""

import importlib.util
import itertools
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from equipoise.report import render_report
from equipoise.runs import load_run

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow  # whole pages are rendered


def load(name):
    """Load a file beside this one, whatever folder pytest starts in."""
    spec = importlib.util.spec_from_file_location(f"injection_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


payloads = load("payloads")
MAKERS = load("makers").MAKERS
KEPT = ("kind", "status")
MOST_TEXTS = 5000
"""Of a run that is made here."""


def spoil(path, make):
    """Replace every text of the record and of the items."""
    record = json.loads((path / "run.json").read_text())
    spoiled = {
        key: entry if key in (*KEPT, "files") else payloads.fill(entry, make)
        for key, entry in record.items()
    }
    (path / "run.json").write_text(json.dumps(spoiled))
    for part in load_run(path).list_parts():
        table = pq.read_table(part)
        for index, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                texts = [None if t is None else make() for t in table[field.name].to_pylist()]
                table = table.set_column(index, field.name, pa.array(texts, pa.string()))
        pq.write_table(table, part, write_page_checksum=True)


def say_all(index):
    """Say all payloads, each time from another one on; no two texts are alike."""
    start = index % len(payloads.PAYLOADS)
    return " ".join([*payloads.PAYLOADS[start:], *payloads.PAYLOADS[:start], str(index)])


def make_hostile():
    counter = itertools.count()
    return lambda: say_all(next(counter))


def make_harmless():
    """Texts that a page sorts as it sorts the hostile ones, and takes for saves (`@`) as these."""
    order = sorted(range(MOST_TEXTS), key=say_all)
    ranks = {index: rank for rank, index in enumerate(order)}
    counter = itertools.count()
    return lambda: f"text@{ranks[next(counter)]:05d}"


class Markup(HTMLParser):
    """Tags with the names of their attributes, in order."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))


@pytest.fixture(scope="module", params=MAKERS)
def pages(request, tmp_path_factory):
    """The hostile and the harmless page of a kind."""
    found = []
    for name, make in (("hostile", make_hostile()), ("harmless", make_harmless())):
        path = tmp_path_factory.mktemp(request.param) / name
        MAKERS[request.param](path)
        spoil(path, make)
        found.append(render_report(path))
    return found


def test_the_markup_does_not_depend_on_the_texts(pages):
    hostile, harmless = (Markup(page.read_text()).tags for page in pages)
    assert hostile == harmless
