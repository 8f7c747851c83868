"""The auditor's commands, on a folder of everything that goes wrong."""

import json
import os
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from equipoise.cli.main import main
from equipoise.zoo.package import load_zoo

pytestmark = pytest.mark.slow  # whole audits take seconds

SCRIPT = "<script>alert(1)</script>"


def run(capsys, *tokens):
    code = main([str(token) for token in tokens])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def write_bomb(path, side):
    """A PNG whose header promises side x side pixels."""

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def zoo_pictures():
    return load_zoo("edm-fashion").training_set.images[:80, 0].numpy()


@pytest.fixture
def hazards(tmp_path, zoo_pictures):
    """Good pictures of every kind, and everything that is none; returns the folder and names."""
    root = tmp_path / "images"
    (root / "below").mkdir(parents=True)
    for index, picture in enumerate(zoo_pictures[:20]):
        Image.fromarray(picture).save(root / "below" / f"{index:02d}.png")
    colour = Image.fromarray(np.stack([zoo_pictures[0]] * 3, axis=-1))
    good = {
        "sixteen.png": Image.fromarray(zoo_pictures[1].astype(np.uint16) * 257),
        "transparent.png": colour.convert("RGBA"),
        "cmyk.jpg": colour.convert("CMYK"),
        f"{SCRIPT[:8]}{SCRIPT[-9:-2]}.png": colour,
        "new\nline.png": colour,
        "x" * 246 + ".png": colour,
        "=cmd|' calc'!A0.png": colour,
        "\u202egnp.exe.png": colour,
    }
    good = {name.replace("/", "_"): image for name, image in good.items()}
    for name, image in good.items():
        image.save(root / name)
    colour.save(root / "moving.gif", save_all=True, append_images=[colour.rotate(90)])
    whole = (root / "cmyk.jpg").read_bytes()
    bad = {
        "truncated.jpg": whole[: len(whole) // 2],
        "text.png": b"hello",
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
        "empty.png": b"",
    }
    for name, content in bad.items():
        (root / name).write_bytes(content)
    write_bomb(root / "bomb.png", 14_143)
    os.symlink("loop.png", root / "loop.png")
    os.symlink("..", root / "below" / "up")
    os.symlink("/etc/passwd", root / "outside.png")
    os.mkfifo(root / "fifo.png")
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)
    server.bind("socket")
    os.chdir(here)
    (root / "caption.txt").write_text("a shirt")
    failing = [*bad, "bomb.png", "loop.png", "below/up", "outside.png", "fifo.png", "socket"]
    yield root, [*good, "moving.gif", *(f"below/{i:02d}.png" for i in range(20))], failing
    server.close()


def test_a_folder_of_hazards_is_audited_row_by_row(capsys, hazards, tmp_path):
    root, good, failing = hazards
    code, out, _ = run(capsys, "audit", root, "--out", tmp_path / "run", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["items"] == len(good) + len(failing)
    assert document["failed"] == len(failing)
    assert sum(document["verdicts"].values()) == len(good)
    from equipoise.runs import load_run

    rows = load_run(tmp_path / "run").read_items().to_pylist()
    assert {row["source"] for row in rows if row["error"]} == set(failing)
    assert {row["source"] for row in rows if row["error"] is None} == set(good)
    assert all(row["id"] for row in rows)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<script" not in page
    assert "\u202e" not in page
    for row in rows:
        if row["error"]:
            assert row["error"].split(":")[0].replace("'", "&#39;") in page


def test_the_same_command_prints_the_finished_run_again(capsys, hazards, tmp_path):
    root, _, _ = hazards
    tokens = ["audit", root, "--out", tmp_path / "run", "--json"]
    _, first, _ = run(capsys, *tokens)
    code, again, _ = run(capsys, *tokens)
    assert code == 0
    assert json.loads(again) == json.loads(first)
    code, out, err = run(capsys, "audit", root / "below", "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert "another spec" in err
    assert "images" in err


def test_an_edited_record_is_one_message(capsys, tmp_path):
    folder = tmp_path / "run"
    run(capsys, "audit", "--generate", "3", "--out", folder)
    record = json.loads((folder / "run.json").read_text())
    for part in ("results", "cost"):
        (folder / "run.json").write_text(json.dumps(record | {part: {}}))
        code, _, err = run(capsys, "audit", "--generate", "3", "--out", folder, "--json")
        assert code == 2
        assert "does not fit" in err


def test_fresh_outputs_are_audited(capsys, tmp_path):
    code, out, _ = run(capsys, "audit", "--generate", "40", "--out", tmp_path / "run", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["items"] == sum(document["verdicts"].values()) == 40
    for name in ("copy_rate", "expected_false_flags"):
        assert {"value", "low", "high", "n"} <= set(document[name])
    code, text, _ = run(capsys, "audit", "--generate", "40", "--out", tmp_path / "run")
    assert code == 0
    assert "of 40 images are flagged" in text
    assert "share of copies" in text


@pytest.mark.slow
def test_a_limit_on_the_share_of_copies_is_an_exit_code(capsys, tmp_path):
    model = load_zoo("edm-fashion")
    for item in model.training_set.planted:
        picture = model.training_set.images[item.index, 0].numpy()
        Image.fromarray(picture).save(tmp_path / f"{item.index}.png")
    tokens = ["audit", tmp_path, "--out", tmp_path / "run"]
    code, out, _ = run(capsys, *tokens, "--fail-above", "0.05", "--json")
    assert code == 3
    gate = json.loads(out)["gate"]
    assert gate["outcome"] == "exceeded"
    assert gate["low"] > 0.05
    assert "<failure" in (tmp_path / "run" / "gate.xml").read_text()
    code, text, _ = run(capsys, *tokens, "--fail-above", "0.99")
    assert code == 0
    assert "limit of 99" in text
    code, _, err = run(capsys, *tokens, "--fail-above", "1")
    assert code == 2
    assert "--fail-above" in err


@pytest.mark.slow
def test_training_and_held_out_images_are_used(capsys, tmp_path, zoo_pictures):
    model = load_zoo("edm-fashion")
    sides = {"images": zoo_pictures[:5], "train": zoo_pictures, "held": model.held_out[:60, 0]}
    for name, pictures in sides.items():
        (tmp_path / name).mkdir()
        for index, picture in enumerate(pictures):
            Image.fromarray(np.asarray(picture)).save(tmp_path / name / f"{index:03d}.png")
    code, out, _ = run(
        capsys, "audit", tmp_path / "images", "--training", tmp_path / "train",
        "--held-out", tmp_path / "held", "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    assert code == 0
    document = json.loads(out)
    assert document["training"]["images"] == 80
    assert 0 < document["permutation"]["p_value"] <= 1
    code, text, _ = run(
        capsys, "audit", tmp_path / "images", "--training", tmp_path / "train",
        "--held-out", tmp_path / "held", "--out", tmp_path / "run",
    )  # fmt: skip
    assert "exact permutation test" in text


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "either IMAGES"),
        (["somewhere", "--generate", "5"], "either IMAGES"),
        (["no/folder"], "is not a folder, a picture or a list"),
        (["--generate", "0"], ">= 1"),
        (["--generate", "5", "--calibration", "no.json"], "no.json"),
        (["--generate", "5", "--model", "zoo:edm-fashion-clean"], "ships no calibration"),
        (["--generate", "5", "--held-out", "."], "without training"),
        (["--generate", "5", "--device", "abacus"], "abacus"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_message_and_code_2(capsys, tmp_path, monkeypatch, tokens, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "audit", *tokens, "--out", "run")
    assert code == 2
    assert message in err + out


def test_an_empty_folder_is_bad_input(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "audit", tmp_path / "empty", "--out", tmp_path / "run")
    assert code == 2
    assert "holds no picture" in err


@pytest.mark.slow
def test_runs_are_listed_shown_checked_and_rendered(capsys, tmp_path):
    folder = tmp_path / "runs" / "one"
    run(capsys, "audit", "--generate", "12", "--out", folder)
    code, out, _ = run(capsys, "runs", "list", tmp_path / "runs", "--json")
    assert code == 0
    assert [(row["kind"], row["status"]) for row in json.loads(out)] == [("audit", "finished")]
    assert "audit" in run(capsys, "runs", "list", tmp_path / "runs")[1]
    code, out, _ = run(capsys, "runs", "show", folder, "--json")
    assert json.loads(out)["results"]["items"] == 12
    assert "threshold" in run(capsys, "runs", "show", folder)[1]
    code, out, _ = run(capsys, "runs", "check", folder, "--json")
    assert (code, json.loads(out)["passed"]) == (0, True)
    page = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    code, out, _ = run(capsys, "report", folder, "--json")
    assert code == 0
    assert (folder / "report.html").read_bytes() == page
    part = folder / "items" / "part-000000.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    code, out, err = run(capsys, "runs", "check", folder, "--json")
    assert code == 2
    assert json.loads(out)["files"]["items/part-000000.parquet"] == "changed"
    assert "part-000000" in err


@pytest.mark.parametrize("command", [["report"], ["runs", "show"], ["runs", "check"]])
def test_what_is_no_run_is_bad_input(capsys, tmp_path, command):
    code, _, err = run(capsys, *command, tmp_path)
    assert code == 2
    assert "not a run folder" in err
