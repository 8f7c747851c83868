import dataclasses
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy import stats

from equipoise.auditing import prevalence
from equipoise.auditing.job import Audit, run_audit, score_parts
from equipoise.auditing.pile import GeneratedPile, PicturePile, count_parts
from equipoise.auditing.subject import Subject
from equipoise.errors import BadInputError, CalibrationError, RunError
from equipoise.runs import check_run, lock_run
from equipoise.sampling import SamplerSpec

pytestmark = pytest.mark.slow  # whole audits

STABLE = ["id", "source", "score", "p_value", "q_value", "verdict", "error"]


@pytest.fixture(autouse=True)
def _few_simulated_audits(monkeypatch):
    monkeypatch.setattr(prevalence, "DRAWS", 2000)


@pytest.fixture
def audit(model, calibration, folder):
    return Audit(
        model=model, name="test", calibration=calibration, calibration_name="test",
        pile=PicturePile(folder, model.sample_shape),
    )  # fmt: skip


def test_every_item_is_a_row_and_the_counts_add_up(audit, folder, tmp_path):
    (folder / "0" / "broken.png").write_text("no picture")
    (folder / "0" / "caption.txt").write_text("a caption")
    audit = dataclasses.replace(audit, pile=PicturePile(folder, (1, 8, 8)))
    run = run_audit(audit, tmp_path / "run")
    rows = run.read_items().to_pylist()
    assert list(rows[0])[: len(STABLE)] == STABLE
    assert sorted(row["source"] for row in rows) == sorted(
        [f"{i // 100}/{i:04d}.png" for i in range(600)] + ["0/broken.png"]
    )
    results = run.record.results
    assert results["items"] == 601
    assert results["failed"] == 1
    assert results["other_files"] == {".txt": 1}
    assert sum(results["verdicts"].values()) + results["failed"] == 601
    broken = next(row for row in rows if row["error"])
    assert broken["source"] == "0/broken.png"
    assert broken["id"]
    assert broken["score"] is None
    assert broken["verdict"] is None
    assert list(results["failed_by_reason"].values()) == [1]
    assert set(check_run(run.path).values()) == {"ok"}


def test_pictures_of_the_planted_kind_are_flagged_and_the_rate_covers_the_truth(audit, tmp_path):
    run = run_audit(audit, tmp_path / "run")
    rows = run.read_items().to_pylist()
    planted = [row for row in rows if int(row["source"][-8:-4]) % 10 == 0]
    flagged = [row for row in rows if row["verdict"] == "memorized"]
    assert np.mean([row["verdict"] == "memorized" for row in planted]) > 0.95
    threshold = audit.calibration.threshold
    assert all((row["score"] >= threshold) == (row in flagged) for row in rows)
    low, high = audit.calibration.allowed_false_positives(540)
    assert low <= len(flagged) - sum(row in flagged for row in planted) <= high
    rate = run.record.results["copy_rate"]
    assert rate["low"] <= 0.1 <= rate["high"]
    assert rate["n"] == 600


def test_q_values_are_those_of_all_items_together(audit, tmp_path):
    run = run_audit(audit, tmp_path / "run")
    items = run.read_items()
    expected = stats.false_discovery_control(items["p_value"].to_numpy(), method="bh")
    np.testing.assert_allclose(items["q_value"].to_numpy(), expected)
    found = run.record.results["discoveries"]
    assert found["count"] == int((expected <= 0.05).sum())
    # One lone item has q = p n; its p cannot be below 1 / (n_calibration + 1).
    needed = found["calibration_items_needed"]
    assert 600 / (needed + 1) <= 0.05 < 600 / needed


def test_a_stopped_audit_goes_on_and_ends_with_the_same_rows(audit, tmp_path):
    whole = run_audit(audit, tmp_path / "whole").read_items()

    class Stopping(PicturePile):
        def read(self, parts):
            for number, loaded in super().read(parts):
                yield number, loaded
                raise KeyboardInterrupt

    stopping = Stopping(audit.pile.images, (1, 8, 8))
    out = tmp_path / "run"
    for _ in range(count_parts(audit.pile)):
        with pytest.raises(KeyboardInterrupt):
            run_audit(dataclasses.replace(audit, pile=stopping), out)
    assert run_audit(audit, out).read_items().equals(whole)


def test_a_file_that_is_no_part_of_the_audit_adds_no_row(audit, tmp_path):
    def stop(_, parts):
        yield next(score_parts(audit, parts))
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_audit(audit, out, engine=stop)
    first = out / "items" / "part-000000.parquet"
    table = pq.read_table(first)
    pq.write_table(table, out / "items" / "part-000099.parquet")
    with pytest.raises(RunError, match=r"part-000099.*has none.*Remove it"):
        run_audit(audit, out)
    (out / "items" / "part-000099.parquet").unlink()
    pq.write_table(table[:-1], first)
    with pytest.raises(RunError, match=r"part-000000.*Remove it"):
        run_audit(audit, out)
    first.unlink()
    assert run_audit(audit, out).read_items().num_rows == len(audit.pile)


def test_a_finished_run_is_returned_and_not_made_again(audit, tmp_path):
    first = run_audit(audit, tmp_path / "run")
    stamp = (first.path / "items" / "part-000000.parquet").stat().st_mtime_ns
    again = run_audit(audit, tmp_path / "run")
    assert again.record == first.record
    assert (first.path / "items" / "part-000000.parquet").stat().st_mtime_ns == stamp


def test_memory_that_runs_out_halves_the_batch_and_changes_no_row(audit, tmp_path):
    class Small(type(audit.calibration.detector)):
        def score(self, denoiser, images, ids, *, batch, **more):
            if batch > 20:
                raise torch.OutOfMemoryError("out of memory")
            return super().score(denoiser, images, ids, batch=batch, **more)

    whole = run_audit(audit, tmp_path / "whole")
    small = Small(**audit.calibration.detector.model_dump())
    tight = audit.calibration.model_copy(update={"detector": small})
    run = run_audit(dataclasses.replace(audit, calibration=tight), tmp_path / "run")
    assert (whole.record.cost["batch"], run.record.cost["batch"]) == (64, 16)
    assert run.read_items()["verdict"].equals(whole.read_items()["verdict"])
    scores = [one.read_items()["score"].to_numpy() for one in (run, whole)]
    assert scores[0] == pytest.approx(scores[1], rel=2e-6)


@pytest.mark.parametrize("change", ["calibration", "pile", "training"])
def test_another_spec_is_refused_and_named(audit, tmp_path, folder, change, model):
    run_audit(audit, tmp_path / "run")
    if change == "calibration":
        other = audit.calibration.model_copy(update={"promised": 0.05})
        asked, named = dataclasses.replace(audit, calibration=other), "promised"
    elif change == "training":
        asked, named = dataclasses.replace(audit, training=folder), "training"
    else:
        (folder / "0" / "0000.png").unlink()
        asked, named = dataclasses.replace(audit, pile=PicturePile(folder, (1, 8, 8))), "listing"
    with pytest.raises(RunError, match=named):
        run_audit(asked, tmp_path / "run")


def test_another_model_is_refused(audit, tiny_edm, tmp_path):
    with pytest.raises(CalibrationError, match="Thresholds do not move"):
        run_audit(dataclasses.replace(audit, model=tiny_edm), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_readable_is_bad_input(audit, tmp_path):
    root = tmp_path / "bad"
    root.mkdir()
    (root / "a.png").write_text("no picture")
    with pytest.raises(BadInputError, match="Not one of the 1 items"):
        run_audit(dataclasses.replace(audit, pile=PicturePile(root, (1, 8, 8))), tmp_path / "run")


def test_a_second_writer_is_refused(audit, tmp_path):
    with lock_run(tmp_path / "run"), pytest.raises(RunError, match=str(os.getpid())):
        run_audit(audit, tmp_path / "run")
    assert run_audit(audit, tmp_path / "run").record.status == "finished"


def test_training_images_stand_beside_flagged_items(audit, folder, tmp_path, model):
    training = dataclasses.replace(audit, training=folder, held_out=None)
    run = run_audit(training, tmp_path / "run")
    rows = run.read_items().to_pylist()
    flagged = [row for row in rows if row["verdict"] == "memorized"]
    assert flagged
    for row in flagged:  # the pile is its own training set
        assert row["nearest"] == row["source"]
        assert row["ratio"] == 0
        assert row["label"] == "copy"
        assert row["nearest_thumbnail"] == row["thumbnail"]
    others = [row for row in rows if row["verdict"] != "memorized"]
    assert all(row["nearest"] is None and row["ratio"] is None for row in others)
    assert run.record.results["training"]["images"] == 600
    assert run.record.results["training"]["labels"] == {
        "copy": len(flagged), "grey": 0, "novel": 0,
    }  # fmt: skip


def test_held_out_images_need_training_images(audit, folder, tmp_path):
    with pytest.raises(BadInputError, match="without training"):
        run_audit(dataclasses.replace(audit, held_out=folder), tmp_path / "run")


@pytest.mark.parametrize("name", ["training", "held_out"])
def test_a_folder_without_pictures_is_refused_before_anything_is_scored(
    audit, folder, tmp_path, name
):
    (tmp_path / "empty").mkdir()
    asked = dataclasses.replace(audit, **({"training": folder} | {name: tmp_path / "empty"}))
    with pytest.raises(BadInputError, match="holds no picture"):
        run_audit(asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("null", "generated", "words"),
    [
        ("own outputs", False, ["stricter"]),
        ("generated and novel", False, []),
        ("generated and novel", True, []),
        ("held-out real", False, []),
        ("held-out real", True, ["not that of novel outputs"]),
    ],
)
def test_a_calibration_of_another_kind_warns(audit, model, tmp_path, null, generated, words):
    other = audit.calibration.model_copy(update={"null": null})
    asked = dataclasses.replace(audit, calibration=other)
    if generated:
        sampler = SamplerSpec(steps=2, batch=8)
        subject = Subject("tiny", model, sampler, lambda *_: None, None)
        fresh = GeneratedPile(subject, count=5, seed=0, stream="audit")
        asked = dataclasses.replace(asked, pile=fresh)
    found = run_audit(asked, tmp_path / "run").record.results["warnings"]
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_an_audit_killed_again_and_again_ends_with_the_rows_of_an_unbroken_one(
    audit, folder, tmp_path, calibration
):
    """SIGKILL at a dozen moments; a part is on the disk whole or not at all."""
    calibration.save(tmp_path / "calibration.json")
    script = textwrap.dedent("""
        import dataclasses, sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        import conftest
        from equipoise.auditing.job import Audit, run_audit
        from equipoise.auditing import pile
        from equipoise.detection import load_calibration
        pile.PART = 20
        model = conftest.model.__wrapped__()
        audit = Audit(model=model, name="test",
                      calibration=load_calibration(Path(sys.argv[2])), calibration_name="test",
                      pile=pile.PicturePile(Path(sys.argv[3]), model.sample_shape))
        print("ready", flush=True)
        run_audit(audit, Path(sys.argv[4]))
        """)
    out = tmp_path / "run"
    command = [
        sys.executable, "-c", script, os.path.dirname(__file__),
        str(tmp_path / "calibration.json"), str(folder), str(out),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    killed = 0
    for _ in range(12):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            try:
                process.wait(timeout=float(rng.uniform(0.01, 0.25)))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
            process.stderr.read()
    subprocess.run(command, check=True, capture_output=True)
    assert killed >= 3
    from equipoise.runs import load_run

    run = load_run(out)
    assert run.record.status == "finished"
    whole = run_audit(audit, tmp_path / "whole").read_items()
    assert run.read_items().combine_chunks().equals(whole.combine_chunks())
