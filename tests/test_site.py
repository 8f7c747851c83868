"""The documentation builds without a warning, has every page in its menu, and asks for nothing."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "zensical.toml"


def list_pages(entries):
    for entry in entries:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else list_pages(target)


def test_every_page_is_in_the_menu_once():
    listed = list(list_pages(tomllib.loads(CONFIG.read_text())["project"]["nav"]))
    docs = ROOT / "docs"
    assert sorted(listed) == sorted(str(p.relative_to(docs)) for p in docs.rglob("*.md"))


def test_the_site_builds_without_a_warning_and_loads_nothing_from_outside(tmp_path):
    shutil.copy(CONFIG, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "build" / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    loaded = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//""")
    assert [page.name for page in pages if loaded.search(page.read_text())] == []
