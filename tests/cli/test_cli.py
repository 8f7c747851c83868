import json
import subprocess
import sys

import pytest

from equipoise.cli.main import main

HEAVY = ("torch", "diffusers", "scipy", "sklearn", "gradio", "matplotlib", "pyarrow")


def run(capsys, *tokens):
    code = main(list(tokens))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "statement",
    ["import equipoise", "from equipoise.cli.main import main; main(['--help'])"],
    ids=["import", "help"],
)
def test_nothing_heavy_is_imported(statement):
    check = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "",
        "demo",
        "inspect",
        "audit",
        "calibrate",
        "duplicates",
        "report",
        "runs",
        "runs list",
        "runs show",
        "runs check",
        "sites",
        "sweep",
        "theory",
        "theory verify",
        "theory figures",
        "zoo",
        "zoo list",
        "zoo show",
        "zoo train",
        "zoo check",
    ],
)
def test_every_command_has_help(capsys, command):
    code, out, _ = run(capsys, *command.split(), "--help")
    assert code == 0
    assert out.startswith("Usage")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["nonsense"], "Unknown command"),
        (["demo", "--seed", "x"], "--seed"),
        (["demo", "--model", "zoo:nope"], "edm-fashion"),
        (["demo", "--device", "abacus"], "abacus"),
        (["sites", "some/folder"], "hf download some/folder"),
        (["sites", "no-such-file.pkl"], "zoo:NAME"),
        (["sites", "zoo:edm-fashion", "--heads", "4"], "cannot be loaded with heads"),
        (["sites", "zoo:edm-fashion", "nowhere"], "Closest"),
        (["zoo", "check", "nope"], "unknown-model"),
        (["zoo", "train", "edm-fashion-clean"], "clean twin"),
        (["zoo", "train", "edm-fashion", "--data", "no/folder"], "dataset-fashion-mnist"),
        (["calibrate", "--out", "x.json"], "either --generate"),
        (["calibrate", "--out", "x.json", "--reference", "no/folder"], "not a folder, a"),
        (["calibrate", "--out", "x.json", "--generate", "0"], ">= 1"),
        (["sweep", "--num-samples", "0"], ">= 1"),
        (["demo", "--out", "/proc/nowhere"], "/proc/nowhere"),
        (["calibrate", "--out", "x.json", "--generate", "9"], "99 items"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_message_and_exit_code_2(capsys, tmp_path, monkeypatch, tokens, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *tokens)
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "x.json").exists()


def test_zoo_list_prints_one_json_document(capsys):
    code, out, _ = run(capsys, "zoo", "list", "--json")
    assert code == 0
    names = [
        "edm-fashion", "edm-fashion-clean", "edm-fashion-b", "dit-fashion", "dit-fashion-clean",
        "sd-emoji", "sd-emoji-clean",
    ]  # fmt: skip
    assert [row["name"] for row in json.loads(out)] == names


def test_sites_of_the_zoo_model_mark_the_defaults(capsys):
    code, out, _ = run(
        capsys, "sites", "zoo:edm-fashion", "up_blocks.*.resnets.*.conv2:in", "--json"
    )
    rows = json.loads(out)
    assert code == 0
    assert {row["name"] for row in rows if row["default"]} == {
        "up_blocks.0.resnets.0.conv2:in",
        "up_blocks.0.resnets.1.conv2:in",
        "up_blocks.1.resnets.0.conv2:in",
    }
    assert rows[0]["shape"] == [96, 4, 4]
    shares = [row["share"] for row in rows]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1


def test_calibrating_writes_a_file_that_another_command_can_read(capsys, tmp_path):
    from equipoise.detection import load_calibration

    out = tmp_path / "c.json"
    code, printed, _ = run(
        capsys, "calibrate", "--out", str(out), "--generate", "32", "--fpr", "0.1", "--json"
    )
    assert code == 0
    assert json.loads(printed)["threshold"] == load_calibration(out).threshold
    assert load_calibration(out).null == "own outputs"


@pytest.mark.slow
def test_zoo_check_without_a_name_asks_every_model(capsys, monkeypatch):
    from equipoise.bench import check

    asked = []

    def answer(name):
        asked.append(name)
        return [check.Check("weights", "a" * 64, "b" * 64, name != "edm-fashion@3500")]

    monkeypatch.setattr(check, "check_zoo_model", answer)
    code, out, err = run(capsys, "zoo", "check")
    assert code == 2
    assert asked == check.list_shipped()
    assert "a" * 16 in out
    assert "a" * 17 not in out
    assert "edm-fashion@3500 in weights" in err


@pytest.mark.slow
def test_an_error_of_the_system_without_a_file_says_what_it_knows(capsys, monkeypatch):
    from equipoise.bench import check

    def fail(name):
        raise OSError("the device went away")

    monkeypatch.setattr(check, "check_zoo_model", fail)
    code, _, err = run(capsys, "zoo", "check", "edm-fashion")
    assert code == 2
    assert err.strip() == "error: cannot read or write a file: the device went away"


@pytest.mark.slow
def test_demo_prints_one_document_and_writes_a_report(capsys, tmp_path, monkeypatch):
    from pathlib import Path

    from equipoise.zoo.recipe import Recipe

    monkeypatch.setattr(Recipe, "demo_samples", property(lambda _: 200))
    code, out, err = run(capsys, "demo", "--seed", "3", "--json", "--out", str(tmp_path / "run"))
    document = json.loads(out)
    assert code == 0
    assert "Traceback" not in err
    wanted = {
        "auroc", "tpr_at_1pct_fpr", "fpr", "clean_twin_auroc", "planted_minus_twin", "baselines",
        "with_grey_as_negative", "report", "seconds",
    }  # fmt: skip
    assert wanted <= set(document)
    assert Path(document["report"]).is_file()


def test_control_characters_of_a_file_name_are_escaped(capsys, tmp_path):
    path = tmp_path / "a\x1b[31mb.ckpt"
    path.write_text("<html></html>")
    code, _, err = run(capsys, "inspect", str(path))
    assert code == 2
    assert "\x1b" not in err
    assert r"a\x1b[31mb.ckpt" in err
