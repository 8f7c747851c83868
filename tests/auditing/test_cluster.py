"""An audit by workers of Ray; what needs Ray itself runs where it is installed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from scale_audit import write_pictures

from equipoise.auditing.cluster import BLOCK, RayEngine, Worker, cut_blocks
from equipoise.auditing.parts import AuditRequest, build_audit
from equipoise.cli.main import main
from equipoise.errors import BadInputError
from equipoise.runs import load_run

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='needs Ray: pip install "equipoise[ray]"'
)
COUNT = 1100  # five parts


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "p.parquet"
    write_pictures(path, COUNT)
    return path


@pytest.fixture(scope="module")
def local(pictures):
    out = pictures.with_name("local")
    assert main(["audit", str(pictures), "--out", str(out)]) == 0
    return load_run(out)


def test_ray_is_asked_for_where_it_is_not_installed(monkeypatch, pictures):
    monkeypatch.setitem(sys.modules, "ray", None)
    request = AuditRequest(model="edm-fashion", images=pictures)
    with pytest.raises(BadInputError, match=r'pip install "equipoise\[ray\]"'):
        next(RayEngine(request)(build_audit(request), [0]))


def test_options_of_ray_are_refused_without_it(capsys, pictures):
    assert main(["audit", str(pictures), "--workers", "2"]) == 2
    assert "--engine ray" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "workers"), [(1, 2), (5, 2), (100, 3), (10_000, 16)])
def test_blocks_hold_every_part_once_and_are_enough_for_all_workers(count, workers):
    blocks = cut_blocks([*range(count)], workers)
    assert [part for block in blocks for part in block] == [*range(count)]
    assert max(map(len, blocks)) <= BLOCK
    assert len(blocks) >= min(count, workers)


def test_a_worker_elsewhere_finds_the_same_files(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    request = AuditRequest(
        model="model", images="out/*.png", calibration=Path("c.json"), training="train",
    ).resolve()  # fmt: skip
    assert request.model == str(tmp_path / "model")
    assert request.images == str(tmp_path / "out" / "*.png")
    assert request.calibration == tmp_path / "c.json"
    assert request.training is None  # the answer is not a worker's
    far = AuditRequest(model="zoo:edm-fashion", images="s3://bucket/out").resolve()
    assert (far.model, far.images) == ("zoo:edm-fashion", "s3://bucket/out")


@pytest.mark.slow
def test_a_worker_refuses_what_would_make_other_rows(pictures):
    request = AuditRequest(model="edm-fashion", images=pictures)
    spec = build_audit(request).describe()
    elsewhere = spec | {"images": "/another/machine/p.parquet"}
    assert [number for number, _ in Worker(request, elsewhere).score([4])] == [4]
    changed = spec | {"listing": "another"}
    with pytest.raises(BadInputError, match="another listing under"):
        Worker(request, changed).score([4])


@needs_ray
@pytest.mark.slow
def test_workers_make_the_rows_of_one_process_and_one_that_is_killed_loses_none(
    pictures, local, tmp_path
):
    driver = start(pictures, tmp_path / "run")
    wait_for_a_part(driver, tmp_path / "run")
    family = psutil.Process(driver.pid).children(recursive=True)
    worker = next(p for p in family if p.name().startswith("ray::Worker"))
    everyone = [psutil.Process(driver.pid), *family]
    heard = [(p, c.laddr.ip.removeprefix("::ffff:")) for p in everyone for c in list_open(p)]
    # Ray keeps the process of its dashboard without the page: it must not be one that is heard.
    pages = {p for p, _ in heard if "dashboard.py" in " ".join(p.cmdline())}
    worker.send_signal(signal.SIGKILL)
    assert {ip for _, ip in heard} == {"127.0.0.1"}
    assert not pages
    assert driver.wait() == 0, (tmp_path / "run.log").read_text()
    assert load_run(tmp_path / "run").read_items().equals(local.read_items())


@needs_ray
@pytest.mark.slow
def test_what_a_killed_driver_left_is_done_by_the_second_start(pictures, local, tmp_path):
    out = tmp_path / "run"
    driver = start(pictures, out)
    wait_for_a_part(driver, out)
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = len(list((out / "items").glob("part-*.parquet")))
    _, alive = psutil.wait_procs(family, timeout=120)
    assert not alive
    assert len(list((out / "items").glob("part-*.parquet"))) == done  # nobody else writes

    second = start(pictures, out)
    assert second.wait() == 0, (tmp_path / "run.log").read_text()
    finished = load_run(out)
    assert finished.read_items().equals(local.read_items())
    at_most = 2 * 4 * (COUNT - 256 * (done - 1))  # flagged items are seen twice, by four draws
    assert 0 < finished.record.cost["parts"]["read and score"]["evaluations"] <= at_most


def start(pictures, out):
    command = [
        sys.executable, "-m", "equipoise", "audit", str(pictures), "--out", str(out),
        "--engine", "ray", "--workers", "2", "--json",
    ]  # fmt: skip
    with out.with_suffix(".log").open("w") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )


def list_open(process):
    if not process.is_running():
        return []
    every = process.net_connections(kind="inet")
    return [one for one in every if one.status == psutil.CONN_LISTEN]


def wait_for_a_part(driver, out):
    while not list((out / "items").glob("part-*.parquet")):
        assert driver.poll() is None, out.with_suffix(".log").read_text()
        time.sleep(0.01)
