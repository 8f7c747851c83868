import re
import shutil

import pytest

from equipoise.errors import BadInputError
from equipoise.report import printing
from equipoise.report.printing import print_report


def test_a_missing_browser_is_told_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BadInputError, match=r"none of chromium, .*print it there"):
        print_report(tmp_path / "report.html")


def test_a_browser_that_prints_nothing_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(printing, "find_browser", lambda: shutil.which("true"))
    with pytest.raises(BadInputError, match="gave no PDF"):
        print_report(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
def test_a_short_page_is_one_sheet(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<!doctype html><title>one</title><p>page</p>")
    content = print_report(page).read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", content)) == 1
