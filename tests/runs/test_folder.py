import importlib.metadata
import json
import os
import re
import shutil
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from equipoise.errors import RunError
from equipoise.runs import (
    ITEM_COLUMNS,
    Run,
    build_provenance,
    check_run,
    finish_run,
    list_runs,
    load_run,
    locate_part,
    resume_run,
    start_run,
    write_items,
    write_tensors,
)


def start(path):
    return start_run(path, kind="audit", spec={"sigma": 0.1, "sites": ["a:in"]},
                     provenance={"fingerprint": "0f"})  # fmt: skip


@pytest.fixture
def run(tmp_path):
    return start(tmp_path / "runs" / "today")


def build_items(ids):
    columns = {name: [None] * len(ids) for name in ITEM_COLUMNS}
    columns |= {"id": ids, "source": [f"{i}.png" for i in ids], "score": [0.5] * len(ids)}
    return pa.table(columns | {"extra": list(range(len(ids)))})


def change_record(run, **changes):
    path = run.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_run_makes_the_round_trip_over_the_disk(run):
    assert load_run(run.path).record == run.record
    assert run.record.status == "running"
    assert (run.record.results, run.record.cost) == ({}, {})
    results = {"fpr": {"value": 0.01, "low": 0.0, "high": 0.03, "n": 200}, "names": ["ä", "b"]}
    finished = finish_run(run, results=results, cost={"evaluations": 7})
    again = load_run(run.path)
    assert again.record == finished.record
    assert again.record.status == "finished"
    assert again.record.results == results
    assert again.record.cost == {"evaluations": 7}
    assert again.record.spec == {"sigma": 0.1, "sites": ["a:in"]}
    assert again.record.provenance["fingerprint"] == "0f"
    assert again.record.kind == "audit"


def test_the_record_cannot_be_changed(run):
    with pytest.raises(ValueError, match="frozen"):
        run.record.status = "finished"


def test_items_come_back_in_the_order_of_their_parts(run):
    write_items(run, build_items(["c", "d"]), part=10)
    write_items(run, build_items(["a", "b"]), part=2)
    found = load_run(run.path).read_items()
    assert found.column("id").to_pylist() == ["a", "b", "c", "d"]
    assert found.column("verdict").to_pylist() == [None] * 4
    assert found.column("extra").to_pylist() == [0, 1, 0, 1]
    write_items(run, build_items(["e"]), part=2)  # a part is written again, by a resume
    assert run.read_items().column("id").to_pylist() == ["e", "c", "d"]


@pytest.mark.parametrize("missing", ITEM_COLUMNS)
def test_items_without_a_column_that_readers_rely_on_are_refused(run, missing):
    with pytest.raises(AssertionError, match=missing):
        write_items(run, build_items(["a"]).drop_columns(missing))
    assert not list(run.path.glob("items/*"))


def test_a_flipped_byte_in_the_items_is_noticed(run):
    write_items(run, build_items([f"item {i}" for i in range(200)]))
    path = run.path / "items" / "part-000000.parquet"
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="damaged") as caught:
        run.read_items()
    assert re.search("(?i)crc|checksum|corrupt", str(caught.value.__cause__))


def test_items_of_a_write_that_failed_are_not_read(run, monkeypatch):
    write_items(run, build_items(["a"]))

    def fail(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            write_items(run, build_items(["b"]), part=1)
    assert run.read_items().column("id").to_pylist() == ["a"]


def test_a_run_without_items_says_so(run):
    with pytest.raises(RunError, match="items"):
        run.read_items()


def test_tensors_come_back_with_type_shape_and_values(run):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "turned": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "strided": np.arange(10, dtype=np.uint8)[::3],
        "empty": np.zeros((0, 4)),
        "scalar": np.array(2.5),
    }
    write_tensors(run, "scores", arrays)
    found = load_run(run.path).read_tensors("scores")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array)


def test_a_run_can_be_copied_and_moved(run, tmp_path):
    write_items(run, build_items(["a"]))
    write_tensors(run, "t", {"x": np.ones(2)})
    copy = load_run(shutil.copytree(run.path, tmp_path / "copy"))
    shutil.rmtree(run.path)
    assert copy.record == run.record
    assert copy.read_items().num_rows == 1
    assert copy.read_tensors("t")["x"].tolist() == [1, 1]
    assert isinstance(copy, Run)


def test_a_second_start_in_the_same_folder_is_refused(run):
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(RunError, match="exists already"):
        start(run.path)
    finish_run(run, results={}, cost={})
    with pytest.raises(RunError, match="exists already"):
        start(run.path)
    assert json.loads(before)["status"] == "running"
    assert load_run(run.path).record.status == "finished"


def test_a_file_in_the_place_of_the_folder_is_refused_and_an_empty_folder_taken(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        start(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert start(tmp_path / "empty").record.status == "running"


def test_what_a_run_without_its_record_left_is_not_taken_for_the_next_one(run):
    write_items(run, build_items(["a"]))
    (run.path / "run.json").unlink()
    with pytest.raises(RunError, match=r"items/part-000000\.parquet of a run without"):
        resume_run(run.path, kind="audit", spec={}, provenance={})
    assert not (run.path / "run.json").exists()


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "odd" / "run.json").mkdir(parents=True)
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file", tmp_path / "odd"):
        with pytest.raises(RunError, match=r"is not a run folder.*cannot be read"):
            load_run(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b'{"version": 1, "status": "running"}'],
    ids=["empty", "half", "a list", "null", "no text", "no field", "fields missing"],
)
def test_a_damaged_record_is_refused(run, content):
    (run.path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=r"run\.json\" is damaged"):
        load_run(run.path)


@pytest.mark.parametrize(
    "changes", [{"status": "asleep"}, {"version": "one"}, {"spec": []}, {"more": 1}], ids=str
)
def test_a_record_with_a_wrong_field_is_refused(run, changes):
    change_record(run, **changes)
    with pytest.raises(RunError, match="damaged: 1 field"):
        load_run(run.path)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_record_with_a_number_that_is_not_finite_is_refused(run, number):
    path = run.path / "run.json"
    path.write_text(path.read_text().replace("0.1", number))
    with pytest.raises(RunError, match="damaged: a number"):
        load_run(run.path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"steps": []}, {"status": "paused"}],
    ids=["of the same fields", "with a new field", "with a new status"],
)
def test_a_run_of_a_later_version_is_refused_as_that(run, changes):
    change_record(run, version=2, **changes)
    with pytest.raises(RunError, match="layout 2, this equipoise reads up to 1"):
        load_run(run.path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")], ids=str)
def test_results_that_json_cannot_hold_are_refused_and_the_record_stays(run, bad):
    with pytest.raises(ValueError, match="JSON"):
        finish_run(run, results={"auroc": bad}, cost={})
    assert load_run(run.path).record == run.record


def test_the_record_is_plain_json(run):
    record = json.loads((run.path / "run.json").read_text())
    assert list(record)[:4] == ["version", "status", "kind", "spec"]
    assert record["version"] == 1


def test_provenance_says_when_where_and_with_what():
    found = build_provenance()
    assert found["torch"] == importlib.metadata.version("torch")
    assert found["equipoise"] == importlib.metadata.version("equipoise")
    age = datetime.now(UTC) - datetime.fromisoformat(found["time"])
    assert abs(age.total_seconds()) < 60
    assert found["machine"]
    assert found["processor"]
    assert all(isinstance(value, str) for value in found.values())


def resume(path, **spec):
    return resume_run(path, kind="audit", spec={"sigma": 0.1, "sites": ("a:in",)} | spec,
                      provenance={})  # fmt: skip


def test_a_run_of_the_same_spec_is_gone_on_with(tmp_path):
    first = resume(tmp_path / "run")
    write_items(first, build_items(["x"]))
    again = resume(tmp_path / "run")
    assert again.record == first.record
    assert again.list_parts() == [locate_part(first, 0)]


def test_another_spec_or_kind_is_refused_and_named(tmp_path):
    resume(tmp_path / "run")
    with pytest.raises(RunError, match="seed, sigma differ"):
        resume(tmp_path / "run", sigma=0.2, seed=1)
    with pytest.raises(RunError, match="kind"):
        resume_run(tmp_path / "run", kind="demo", spec={"sigma": 0.1, "sites": ["a:in"]},
                   provenance={})  # fmt: skip


def test_changed_missing_and_unknown_files_are_told(run):
    for part in range(3):
        write_items(run, build_items([str(part)]), part=part)
    assert set(check_run(run.path).values()) == {"ok"}  # not finished: no hashes yet
    finish_run(run, results={}, cost={})
    assert set(check_run(run.path).values()) == {"ok"}
    names = [f"items/part-{part:06d}.parquet" for part in range(4)]
    content = bytearray((run.path / names[0]).read_bytes())
    content[len(content) // 2] ^= 1
    (run.path / names[0]).write_bytes(content)
    (run.path / names[1]).unlink()
    shutil.copy(run.path / names[2], run.path / names[3])
    expected = dict(zip(names, ["changed", "missing", "ok", "unknown"], strict=True))
    assert check_run(run.path) == expected


def test_a_folder_in_the_place_of_a_file_is_damage(run):
    write_items(run, build_items(["a"]))
    part = locate_part(run, 0)
    part.rename(run.path / "elsewhere")
    part.mkdir()
    (run.path / "elsewhere").rename(part / "inside.parquet")
    assert check_run(run.path) == {"items/part-000000.parquet": "damaged"}
    change_record(run, status="finished", files={"items/part-000000.parquet": "0f"})
    assert check_run(run.path) == {"items/part-000000.parquet": "damaged"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text_are_written_and_read_back(tmp_path, monkeypatch):
    name = os.fsdecode(b"\xff\xe4")
    monkeypatch.setattr(sys, "argv", ["equipoise", "audit", name])
    spec = {"calibration": f"\U0001f480{name}"}
    run = resume_run(tmp_path / name, kind="audit", spec=spec, provenance={})
    write_items(run, build_items(["a"]))
    again = resume_run(tmp_path / name, kind="audit", spec=spec, provenance={})
    assert again.record.spec == {"calibration": "\U0001f480\\xff\\xe4"}
    assert again.record.provenance["command"] == "equipoise audit \\xff\\xe4"
    assert again.read_items().num_rows == 1


def test_a_name_of_a_column_that_is_no_text_is_damage(run):
    write_items(run, build_items(["a"]))
    part = locate_part(run, 0)
    content = part.read_bytes()
    part.write_bytes(content.replace(b"extra", b"e\xe8tra"))
    with pytest.raises(RunError, match="damaged"):
        run.read_items()


def test_a_flipped_bit_is_noticed_before_there_are_hashes_and_if_it_was_there_before_them(run):
    write_items(run, build_items([f"item {i}" for i in range(200)]))
    write_tensors(run, "scores", {"a": np.zeros(3)})
    part = locate_part(run, 0)
    content = bytearray(part.read_bytes())
    content[60] ^= 1
    part.write_bytes(content)
    (run.path / "tensors" / "scores.safetensors").write_bytes(b"short")
    expected = {"items/part-000000.parquet": "damaged", "tensors/scores.safetensors": "damaged"}
    assert check_run(run.path) == expected
    finish_run(run, results={}, cost={})  # the hashes are those of the damaged files
    assert check_run(run.path) == expected


def test_runs_are_listed_and_a_damaged_neighbour_hides_none(tmp_path):
    for name in ("b", "a", "damaged"):
        start(tmp_path / name)
    (tmp_path / "damaged" / "run.json").write_text("{")
    (tmp_path / "no run").mkdir()
    assert [run.path.name for run in list_runs(tmp_path)] == ["a", "b"]
    with pytest.raises(RunError, match="not a folder"):
        list_runs(tmp_path / "nowhere")


def test_chosen_columns_are_read_and_damage_is_told(run):
    write_items(run, build_items(["x", "y"]))
    assert run.read_items(["id", "extra"]).column_names == ["id", "extra"]
    locate_part(run, 0).write_bytes(b"damaged")
    with pytest.raises(RunError, match="damaged"):
        run.read_items()
