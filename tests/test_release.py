"""What a release is: the wheel, the licences of dependencies, the gate for somebody's own."""

import importlib.util
import re
import subprocess
import sys
import textwrap
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
import yaml

from equipoise.cli.main import app

TOOLS = Path(__file__).parent.parent / "tools"


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_wheel_holds_the_files_of_the_source(tmp_path):
    check = load_tool("release_check")
    wheel = check.build_wheel(tmp_path, "--no-build-isolation")
    assert check.find_faults(wheel) == []
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "equipoise/py.typed" in names
    assert "equipoise/zoo/models/edm-fashion/calibration.json" in names
    missing = tmp_path / wheel.name.replace("0.1.0", "0.1.1")
    with zipfile.ZipFile(wheel) as archive, zipfile.ZipFile(missing, "w") as other:
        for name in names:
            if not name.endswith(("py.typed", "NOTICE")):
                other.writestr(name, archive.read(name))
        other.writestr("equipoise/notes.txt", "")
    assert check.find_faults(missing) == [
        "missing: equipoise/py.typed",
        "not in the source: equipoise/notes.txt",
        "missing: NOTICE",
    ]


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT\nLicense: old words", "MIT"),
        ("Classifier: License :: OSI Approved :: BSD License\nLicense: BSD", "BSD License"),
        ("License: Apache 2.0\n        and more", "Apache 2.0"),
        ("Classifier: Typing :: Typed", ""),
    ],
    ids=["expression", "classifier", "words", "none"],
)
def test_a_licence_is_read_from_where_it_is_said(tmp_path, metadata, licence):
    folder = tmp_path / "thing-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: thing\nVersion: 1\n{metadata}\n"
    )
    assert load_tool("licences").find_licence(PathDistribution(folder)) == licence


def test_every_dependency_here_says_its_licence():
    done = subprocess.run(
        [sys.executable, TOOLS / "licences.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "| torch |" in done.stdout


def test_the_workflow_of_the_page_is_one():
    page = (TOOLS.parent / "docs" / "tools.md").read_text()
    block = re.search(r"^(    name: copies\n(?:    .*\n)+)", page, re.M)[1]
    steps = yaml.safe_load(textwrap.dedent(block))["jobs"]["audit"]["steps"]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("equipoise")]
    assert len(commands) == 1
    _, asked, unused, *_ = app.parse_known_args(commands[0].split()[1:])
    assert unused == []
    assert asked.arguments["fail_above"] == 0.01
    assert asked.arguments["generate"] == 2000
    told = [step["run"] for step in steps if "gate.md" in step.get("run", "")]
    assert told == ['cat audit/gate.md >> "$GITHUB_STEP_SUMMARY"']
    assert str(asked.arguments["out"]) == "audit"
