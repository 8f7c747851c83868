import json

import pytest
import torch
from edm_snapshot import write_snapshot
from safetensors.torch import save_file

from equipoise.checkpoints.summary import summarize
from equipoise.errors import BadInputError

from .conftest import SCALARS, SPEC


def test_a_snapshot_says_how_it_was_made_and_that_its_code_is_not_run(
    tmp_path, tiny_snapshot, tiny_tensors
):
    path = tmp_path / "network.pkl"
    path.write_bytes(tiny_snapshot)
    found = summarize(path)
    assert found.family == "EDM snapshot, EDMPrecond around SongUNet (ddpm++)"
    assert found.tensors == len(tiny_tensors)
    assert found.numbers == sum(t.numel() for t in tiny_tensors.values())
    assert found.precision == {"float32": found.numbers}
    assert found.non_finite == ()
    assert "never run" in found.notes[0]
    assert found.made_with["model_channels"] == 8


def test_weights_that_are_not_finite_are_named(tmp_path, tiny_tensors):
    name = next(iter(tiny_tensors))
    broken = tiny_tensors | {name: torch.full_like(tiny_tensors[name], torch.nan)}
    path = tmp_path / "network.pkl"
    path.write_bytes(write_snapshot("EDMPrecond", SCALARS, "SongUNet", SPEC, broken))
    [told] = summarize(path).non_finite
    assert name.endswith(told) or told.endswith(name)


def test_files_of_torch_are_told_by_a_tensor_and_averages_come_first(tmp_path):
    plain = {"x_embedder.proj.weight": torch.zeros(2, 3), "half": torch.zeros(4).half()}
    path = tmp_path / "x.pt"
    torch.save(plain, path)
    found = summarize(path)
    assert found.family == "DiT, official weights"
    assert found.precision == {"float32": 6, "float16": 4}
    assert found.averaged == "not said"
    torch.save({"model": plain, "ema": plain, "opt": {}}, path)
    found = summarize(path)
    assert found.averaged == 'yes: those under "ema"'
    assert "model" in found.notes[0]


def test_a_folder_names_code_and_pickles_that_are_never_opened(tmp_path):
    (tmp_path / "unet").mkdir()
    index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    save_file({"a": torch.zeros(5)}, tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    (tmp_path / "unet" / "old.bin").write_bytes(b"x")
    (tmp_path / "unet" / "mine.py").write_text("raise SystemExit")
    found = summarize(tmp_path)
    assert found.family == "diffusers folder, DDPMPipeline"
    assert found.numbers == 5
    assert any("mine.py" in note for note in found.notes)
    assert any("old.bin" in note for note in found.notes)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="no folder of a pipeline"):
        summarize(tmp_path)
    (tmp_path / "x.pt").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(BadInputError, match="no averaged network"):
        summarize(tmp_path / "x.pt")
