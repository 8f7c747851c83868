import json

import pytest
import torch
from safetensors.torch import save_file

from equipoise.checkpoints.lora import read_lora
from equipoise.errors import BadInputError, UnsafeFileError


def draw(seed=0):
    generator = torch.Generator().manual_seed(seed)
    down, up = torch.randn(2, 6, generator=generator), torch.randn(4, 2, generator=generator)
    return down, up


DOWN, UP = draw()
FILES = {
    "diffusers": ("unet.a.to_q.lora_A.weight", "unet.a.to_q.lora_B.weight", "a.to_q"),
    "diffusers, older": ("unet.a.to_q.lora.down.weight", "unet.a.to_q.lora.up.weight", "a.to_q"),
    "diffusers, transformer": (
        "transformer.a.to_q.lora_A.weight", "transformer.a.to_q.lora_B.weight", "a.to_q",
    ),
    "peft": (
        "base_model.model.a.to_q.lora_A.weight", "base_model.model.a.to_q.lora_B.weight", "a.to_q",
    ),
    "kohya": ("lora_unet_a_to_q.lora_down.weight", "lora_unet_a_to_q.lora_up.weight", "a_to_q"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_every_way_to_write_it_is_read(kind, tmp_path):
    first, second, module = FILES[kind]
    save_file({first: DOWN, second: UP}, tmp_path / "lora.safetensors")
    lora = read_lora(tmp_path / "lora.safetensors")
    assert list(lora.parts) == [module]
    torch.testing.assert_close(lora.parts[module].build_change(), UP @ DOWN)


def write(path, *, metadata=None, **more):
    first, second, _ = FILES["diffusers"]
    save_file({first: DOWN, second: UP, **more}, path, metadata=metadata)
    return path


def test_alpha_comes_from_the_file_its_metadata_or_its_folder(tmp_path):
    own = write(tmp_path / "own.safetensors", **{"unet.a.to_q.alpha": torch.tensor(8.0)})
    assert read_lora(own).parts["a.to_q"].scale == 8 / 2
    told = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 4, "unet.r": 2})}
    assert (
        read_lora(write(tmp_path / "told.safetensors", metadata=told)).parts["a.to_q"].scale == 2
    )
    folder = tmp_path / "peft"
    folder.mkdir()
    write(folder / "adapter_model.safetensors")
    config = {"lora_alpha": 6, "r": 2, "use_rslora": True}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert read_lora(folder).parts["a.to_q"].scale == pytest.approx(6 / 2**0.5)


def test_a_kernel_is_laid_flat(tmp_path):
    down, up = torch.randn(2, 3, 3, 3), torch.randn(5, 2, 1, 1)
    names = ("unet.conv1.lora_A.weight", "unet.conv1.lora_B.weight")
    save_file(dict(zip(names, (down, up), strict=True)), tmp_path / "lora.safetensors")
    change = read_lora(tmp_path / "lora.safetensors").parts["conv1"].build_change()
    x = torch.randn(1, 3, 5, 5)
    inner = torch.nn.functional.conv2d(x, down)
    expected = torch.nn.functional.conv2d(inner, up)
    found = torch.nn.functional.conv2d(x, change.reshape(5, 3, 3, 3))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_text_encoders_are_counted_and_left_out(tmp_path):
    more = {f"text_encoder.b.lora_{side}.weight": torch.zeros(2, 2) for side in "AB"}
    lora = read_lora(write(tmp_path / "lora.safetensors", **more))
    assert (list(lora.parts), lora.left_out) == (["a.to_q"], 1)


@pytest.mark.parametrize(
    "more",
    [
        {"unet.b.lora_A.weight": torch.zeros(2, 2)},
        {"unet.a.to_q.lora_magnitude_vector": torch.zeros(4)},
        {"unet.a.to_q.hada_w1_a": torch.zeros(4)},
    ],
    ids=["half of a pair", "DoRA", "LoHa"],
)
def test_other_kinds_of_adapters_are_refused(more, tmp_path):
    with pytest.raises(BadInputError, match="no plain LoRA"):
        read_lora(write(tmp_path / "lora.safetensors", **more))


def test_damage_and_numbers_that_are_none_are_refused(tmp_path):
    path = write(tmp_path / "lora.safetensors", **{"unet.a.to_q.alpha": torch.tensor(torch.nan)})
    with pytest.raises(BadInputError, match="NaN"):
        read_lora(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UnsafeFileError, match="damaged"):
        read_lora(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="0 safetensors files"):
        read_lora(tmp_path / "empty")
