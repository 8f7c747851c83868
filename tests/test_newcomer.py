"""A newcomer's path: a shell types the commands of the README's first sections, and nothing else.

What the README says a newcomer has is made here: a folder of a model, pictures, two folders that
show a concept and do not. What make would install is there already.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from equipoise.detection import load_calibration
from equipoise.runs import load_run
from equipoise.steering import load_vector

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
LEFT_OUT = {".venv", ".git", "runs", "build", "dist"}
"""At the root: what git does not know, see .gitignore."""


def leave_out(folder, names):
    return {"__pycache__"} | (LEFT_OUT if Path(folder) == ROOT else set())


def read_section(title):
    return re.search(rf"^## {title}\n(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)[1]


def list_commands(section):
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


def write_pictures(folder, count, *, seed, shade):
    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    for index in range(count):
        grey = shade + 0.3 * torch.rand(16, 16, generator=generator)
        Image.fromarray((255 * grey).byte().numpy()).save(folder / f"{index}.png")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A checkout, with an environment whose packages are installed."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    folder = tmp_path_factory.mktemp("newcomer") / "equipoise"
    shutil.copytree(ROOT, folder, ignore=leave_out)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / ".venv" / ".ok").touch()
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=16, in_channels=1, out_channels=1, block_out_channels=(16, 32),
        layers_per_block=1, norm_num_groups=4, down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(folder / "my-model")
    write_pictures(folder / "my-pictures", 20, seed=1, shade=0.3)
    write_pictures(folder / "red", 10, seed=2, shade=0.6)
    write_pictures(folder / "others", 10, seed=3, shade=0.0)
    page = (folder / "docs" / "adding-a-detector.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.S)[1]
    (folder / "my_detector.py").write_text(code)
    return folder


def type_commands(folder, commands):
    """Type commands into one shell, which ends at the first that fails."""
    hidden = {"PYTHONPATH": str(folder / "src"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        ["bash", "-e"], input="\n".join(commands), cwd=folder, env={**os.environ, **hidden},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_clone_to_first_verdict(clone):
    first = list_commands(read_section("Try it"))[0]
    assert first == "make demo"
    done = type_commands(clone, [first])
    assert done.returncode == 0, done.stderr
    (report,) = clone.glob("runs/demo-*/report.html")
    assert "copies" in report.read_text()


def test_a_model_and_a_detector_of_ones_own(clone):
    commands = list_commands(read_section("From here to a model of yours"))
    assert len(commands) >= 6
    done = type_commands(clone, commands)
    assert done.returncode == 0, done.stderr
    assert load_calibration(clone / "calibration.json").promised == 0.05
    run = load_run(clone / "runs" / "mine")
    verdicts = run.read_items().column("verdict").to_pylist()
    assert len(verdicts) == 20
    assert set(verdicts) <= {"memorized", "not_memorized", "inconclusive"}
    assert (run.path / "report.html").is_file()
    assert load_vector(clone / "red.safetensors").record.recipe["positive"] == 10
    with Image.open(clone / "strip.png") as strip:
        assert strip.width > strip.height
    assert done.stdout.rstrip().endswith("kept the contract")
    assert json.loads((run.path / "run.json").read_text())["status"] == "finished"
