import json
from math import nan
from types import SimpleNamespace

import pytest

from equipoise.cli.main import main
from equipoise.theory import claims
from equipoise.theory.claims import Claim


def make(name, value, *, at_least=False):
    return Claim(name, "Eq. 0", "A number.", 1.0, lambda: value, float, at_least=at_least)


@pytest.fixture
def verify(capsys, monkeypatch):
    """Run the command over given claims: exit code, standard output, standard error."""

    def run(*given, tokens=()):
        monkeypatch.setattr(claims, "CLAIMS", given)
        code = main(["theory", "verify", *tokens])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_what_holds_is_a_table_and_exit_code_0(verify):
    code, out, progress = verify(make("small", 0.5), make("large", 7.25, at_least=True))
    assert code == 0
    lines = out.splitlines()
    assert lines[2].split() == ["ok", "Eq.", "0", "small", "0.5", "<=", "1"]
    assert lines[3].split() == ["ok", "Eq.", "0", "large", "7.25", ">=", "1"]
    assert lines[-1].startswith("2 of 2 claims hold")
    assert progress.splitlines() == ["1/2 small", "2/2 large"]


def test_what_does_not_hold_is_named_and_exit_code_2(verify):
    code, out, error = verify(make("small", 0.5), make("large", 7.25))
    assert code == 2
    assert out.splitlines()[3].startswith("FAILS")
    assert "error: 1 of 2 do not hold: large." in error
    assert "Traceback" not in error


def test_the_document_has_one_entry_a_claim(verify):
    code, out, _ = verify(make("small", 0.5), make("no number", nan), tokens=["--json"])
    document = json.loads(out)
    assert code == 2
    assert document["passed"] is False
    small, none = document["checks"]
    assert {key: small[key] for key in ("name", "source", "value", "bound", "ok")} == {
        "name": "small", "source": "Eq. 0", "value": 0.5, "bound": 1.0, "ok": True,
    }  # fmt: skip
    assert (small["relation"], small["statement"]) == ("<=", "A number.")
    assert (none["value"], none["ok"]) == (None, False)


def test_a_wrong_word_is_one_message(capsys):
    assert main(["theory", "verify", "--sigma", "1"]) == 2
    assert "--sigma" in capsys.readouterr().err


def test_phase_prints_the_errors_and_the_page(capsys, monkeypatch, tmp_path):
    from equipoise import report
    from equipoise.theory import phase

    rate = {"value": 0.0625, "low": 0.05, "high": 0.075, "n": 9}
    error = {"allocation": rate, "constant": rate | {"value": 0.25}}
    results = {"error": {"units": error, "copies": error}}
    asked = []

    def run_phase(out, *, seed):
        asked.append((out, seed))
        return SimpleNamespace(path=out, record=SimpleNamespace(results=results))

    monkeypatch.setattr(phase, "run_phase", run_phase)
    monkeypatch.setattr(report, "render_report", lambda path: path / "report.html")
    tokens = ["theory", "phase", "--out", str(tmp_path / "run"), "--seed", "5"]
    assert main(tokens) == 0
    out = capsys.readouterr().out
    assert "units against images   0.062 (0.050 to 0.075)  0.250" in out
    assert f"report: {tmp_path}/run/report.html" in out
    assert main([*tokens, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["results"] == results
    assert asked == [(tmp_path / "run", 5)] * 2
