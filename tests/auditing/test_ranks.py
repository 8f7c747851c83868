"""An audit under torchrun, in processes of its own."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from scale_audit import write_pictures

from equipoise.auditing import ranks
from equipoise.cli.main import main
from equipoise.runs import load_run

COUNT = 900  # four parts


def test_the_launcher_is_asked_for_where_there_is_none(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("RANK", raising=False)
    words = ["audit", str(tmp_path), "--engine", "torchrun", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert "torchrun --nproc-per-node N -m equipoise" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_rank_computes_on_its_own_gpu(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert ranks.choose_device("cuda") == "cuda:3"
    assert ranks.choose_device("cuda:1") == "cuda:1"
    assert ranks.choose_device("cpu") == "cpu"


@pytest.mark.slow
def test_two_ranks_make_the_rows_of_one_process_and_one_that_is_killed_loses_none(tmp_path):
    pictures, local, shared = (tmp_path / name for name in ("p.parquet", "local", "shared"))
    write_pictures(pictures, COUNT)
    assert main(["audit", str(pictures), "--out", str(local)]) == 0

    launcher = launch(pictures, shared)
    while not list((shared / "items").glob("part-*.parquet")):
        assert launcher.poll() is None, launcher.communicate()
        time.sleep(0.01)
    children = psutil.Process(launcher.pid).children()
    assert len(children) == 2
    second = next(c for c in children if c.environ()["RANK"] == "1")
    second.send_signal(signal.SIGKILL)
    launcher.communicate()
    assert launcher.returncode != 0
    done = len(list((shared / "items").glob("part-*.parquet")))
    assert load_run(shared).record.status == "running"
    assert 0 < done < 4

    again = launch(pictures, shared)
    out, error = again.communicate()
    assert again.returncode == 0, error
    assert out.count('"items": 900') == 1  # one document, of rank 0
    finished = load_run(shared)
    assert finished.read_items().equals(load_run(local).read_items())
    draws = 4
    at_most = 2 * draws * (COUNT - 256 * (done - 1))  # flagged items are seen twice
    assert 0 < finished.record.cost["parts"]["read and score"]["evaluations"] <= at_most

    once_more = launch(pictures, shared)
    _, error = once_more.communicate()
    assert once_more.returncode == 0, error
    assert load_run(shared).record == finished.record


def launch(pictures, out):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "-m", "equipoise", "audit", str(pictures), "--out", str(out),
        "--engine", "torchrun", "--json",
    ]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
