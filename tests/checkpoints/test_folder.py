import json

import pytest
import torch
from safetensors.torch import save_file

from equipoise.checkpoints.folder import check_numbers, count_numbers, read_index, read_json
from equipoise.errors import BadInputError, UnsafeFileError


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_plain_index_names_its_pipeline(tmp_path):
    index = {
        "_class_name": "DDPMPipeline", "_diffusers_version": "0.35.0", "id2label": {"0": "cat"},
        "unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"],
        "feature_extractor": [None, None],
    }  # fmt: skip
    write(tmp_path / "model_index.json", index)
    write(tmp_path / "unet" / "config.json", {"layers_per_block": 2, "sample_size": 32})
    assert read_index(tmp_path) == "DDPMPipeline"


@pytest.mark.parametrize(
    "index",
    [
        {"_class_name": ["pipeline.py", "Evil"]},
        {"_class_name": "DDPMPipeline", "unet": ["evil", "Evil"]},
        {"_class_name": "DDPMPipeline", "unet": ["diffusers", "os"]},
        {"_class_name": "DDPMPipeline", "unet": ["transformers", "AutoModel"]},
        {"_class_name": "DDPMPipeline", "unet": ["diffusers"]},
        {"_class_name": "DDPMPipeline", "unet": [1, {}]},
        {"_class_name": "DDPMPipeline", "../unet": ["diffusers", "UNet2DModel"]},
        {},
    ],
)
def test_code_of_its_own_and_unknown_classes_are_refused(tmp_path, index):
    write(tmp_path / "model_index.json", index)
    with pytest.raises(UnsafeFileError, match="asks for"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"sample_size": 10**9}, "sample_size. beyond"),
        ({"num_train_timesteps": 1e18}, "num_train_timesteps. beyond"),
        ({"attention_head_dim": [[8, 10**8]]}, "attention_head_dim. beyond"),
        ({"layers_per_block": 200, "transformer_layers_per_block": [1, 100]}, "10000 layers"),
        ({"block_out_channels": [8] * 200, "layers_per_block": 100}, "10000 layers"),
    ],
)
def test_numbers_that_no_model_has_are_refused(tmp_path, config, told):
    with pytest.raises(UnsafeFileError, match=told):
        check_numbers(write(tmp_path / "config.json", config))


@pytest.mark.parametrize("text", ["[", "[1]", "[" * 100_000, '"\ud800"', " " * (1 << 21)])
def test_damaged_json_is_one_message(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text, errors="surrogatepass")
    with pytest.raises(BadInputError, match=r"config\.json"):
        read_json(path)


def test_numbers_are_counted_from_headers(tmp_path):
    save_file({"a": torch.ones(2, 3), "b": torch.ones(4)}, tmp_path / "one.safetensors")
    save_file({"c": torch.ones(5)}, tmp_path / "two.safetensors")
    assert count_numbers(tmp_path) == 15
    (tmp_path / "two.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(UnsafeFileError, match="damaged"):
        count_numbers(tmp_path)
