import json

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.cli import main
from equipoise.cli.steer import parse_strengths
from equipoise.errors import BadInputError
from equipoise.zoo.package import load_zoo


def test_strengths_are_a_range_or_one_number():
    assert parse_strengths("0:1.5:4") == [0.0, 0.5, 1.0, 1.5]
    assert parse_strengths("0.7") == [0.7]
    for text in ("a", "0:1", "0:1:1", "0:1:2:3", ""):
        with pytest.raises(BadInputError, match="no strength"):
            parse_strengths(text)


@pytest.mark.slow
def test_a_vector_is_made_shown_applied_and_edits_a_picture(tmp_path, capsys):
    model = load_zoo("edm-fashion")
    for name, label in (("bags", 8), ("boots", 9)):
        (tmp_path / name).mkdir()
        rows = torch.nonzero(model.training_set.classes == label)[:4, 0]
        for row in rows.tolist():
            pixels = model.training_set.images[row, 0].numpy()
            Image.fromarray(pixels).save(tmp_path / name / f"{row}.png")

    def run(*words):
        assert main(["steer", *map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    file, sheet = tmp_path / "bag.safetensors", tmp_path / "strip.png"
    made = run("make", file, "--positive", tmp_path / "bags", "--negative", tmp_path / "boots")
    shown = run("show", file)
    assert {key: made[key] for key in shown} == shown
    assert made["model"] == "zoo:edm-fashion"
    run("apply", file, "--out", sheet, "--strength", "0:1:2", "--num-seeds", 1)
    with Image.open(sheet) as picture:
        assert picture.size == (2 * 68, 16 + 68)
    photo = next((tmp_path / "boots").iterdir())
    edited = run("edit", photo, file, "--out", sheet, "--strength", "0:1:2", "--start", 2)
    assert edited["verdict"] in ("memorized", "not_memorized", "inconclusive")
    assert 0 < edited["reconstruction_error"] < 0.2
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture.convert("L"), dtype=float)
    before, after = pixels[20:76, 68:128], pixels[20:76, 136:196]
    assert abs(before - after).mean() > 1
    assert (
        main(["steer", "apply", str(file), "--out", str(sheet), "--model", "zoo:edm-fashion-b"])
        == 2
    )
    assert "zoo:edm-fashion" in capsys.readouterr().err
