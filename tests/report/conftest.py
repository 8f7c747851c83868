"""One fake demo run for all tests of the room; tests that change it make their own."""

import importlib.util
import sys
from pathlib import Path

import pytest

from equipoise.report import render_report


def load_fake():
    """Load fake.py beside this file, whatever folder pytest starts in."""
    if "report_fake" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "report_fake", Path(__file__).with_name("fake.py")
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules["report_fake"] = module
        spec.loader.exec_module(module)
    return sys.modules["report_fake"]


@pytest.fixture(scope="session")
def fake():
    return load_fake()


@pytest.fixture(scope="session")
def run(fake, tmp_path_factory):
    return fake.make_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="session")
def page(run):
    return render_report(run.path).read_text()


@pytest.fixture(scope="session")
def small(fake, tmp_path_factory):
    """A run of few items, for tests that change and render it."""
    return fake.make_run(tmp_path_factory.mktemp("report") / "small", num_items=80)
