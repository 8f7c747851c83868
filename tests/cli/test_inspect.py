import json

import torch

from equipoise.cli.main import main


def run(capsys, *tokens):
    code = main(list(tokens))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_file_is_described_for_people_and_for_programs(capsys, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({f"layer{i}": torch.tensor([torch.nan]) for i in range(7)}, path)
    code, out, _ = run(capsys, "inspect", str(path))
    assert code == 0
    assert "family      unknown" in out
    assert "7 in 7 tensors" in out
    assert "layer4 and 2 more" in out
    code, out, _ = run(capsys, "inspect", str(path), "--json")
    document = json.loads(out)
    assert (document["tensors"], len(document["non_finite"])) == (7, 7)


def test_a_wrong_file_is_one_sentence(capsys, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    code, out, error = run(capsys, "inspect", str(path))
    assert (code, out) == (2, "")
    assert "git lfs pull" in error
    assert "Traceback" not in error
