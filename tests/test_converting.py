"""Everything that `load` reads becomes a folder without a pickle."""

import json

import pytest
import torch

import equipoise as eq
from equipoise.cli.main import main
from equipoise.converting import convert
from equipoise.denoisers import fingerprint
from equipoise.errors import BadInputError


@pytest.fixture
def dit(tmp_path):
    from equipoise.denoisers.peebles import PeeblesDiT, PeeblesSpec

    spec = PeeblesSpec(
        channels=4, out_channels=8, grid=2, patch=2, width=24, depth=1, heads=2, hidden=8,
        classes=3,
    )  # fmt: skip
    network = PeeblesDiT(spec)
    state = network.state_dict()
    torch.save({"model": state, "ema": state, "opt": {}}, tmp_path / "dit.pt")
    return tmp_path / "dit.pt"


def test_a_training_checkpoint_becomes_a_safe_folder(dit, tmp_path, capsys):
    assert main(["convert", str(dit), str(tmp_path / "out"), "--heads", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    opened = eq.load(tmp_path / "out", family="dit")
    assert document["fingerprint"] == fingerprint(opened) == fingerprint(eq.load(dit, heads=2))


def test_a_folder_that_is_not_empty_is_left_alone(dit, tmp_path):
    with pytest.raises(BadInputError, match="not empty"):
        convert(dit, tmp_path, heads=2)


@pytest.mark.slow
def test_a_pipeline_becomes_a_folder_of_diffusers(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "sd")
    convert(tmp_path / "sd", tmp_path / "out")
    assert (tmp_path / "out" / "model_index.json").is_file()
    assert not [p for p in (tmp_path / "out").rglob("*") if p.suffix in (".bin", ".pt", ".ckpt")]
