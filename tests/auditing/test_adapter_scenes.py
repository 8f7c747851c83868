"""Two adapters of the text-to-image model, trained by peft on 40 scenes: what they memorized."""

import json
from pathlib import Path

import lora_emoji
import pytest
from PIL import Image

from equipoise.cli.main import main

ADAPTERS = Path(lora_emoji.__file__).parent / "lora"
CONTROLS = 60


def write(folder, scenes):
    folder.mkdir()
    for index, (picture, caption) in enumerate(zip(scenes.render(), scenes.captions, strict=True)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text(caption)
    return str(folder)


@pytest.mark.slow
def test_an_over_trained_adapter_names_its_images_and_a_well_stopped_one_none(tmp_path, capsys):
    count = lora_emoji.IMAGES  # the second set
    training = write(tmp_path / "train", lora_emoji.draw_unseen(count, count))
    held_out = write(tmp_path / "held", lora_emoji.draw_unseen(lora_emoji.FIRST_CONTROL, CONTROLS))
    found = {}
    for name in ("well-stopped", "over-trained"):
        asked = [
            "audit",
            "--model",
            "zoo:sd-emoji",
            "--training",
            training,
            "--held-out",
            held_out,
        ]
        asked += ["--adapter", str(ADAPTERS / f"{name}.safetensors"), "--json"]
        assert main([*asked, "--out", str(tmp_path / name)]) == 0
        found[name] = json.loads(capsys.readouterr().out)
    assert found["well-stopped"]["named"] == 0
    assert found["well-stopped"]["learned"] > 0
    assert found["well-stopped"]["recommended_scale"] == 1
    assert found["over-trained"]["named"] >= 0.8 * count
    assert found["over-trained"]["recommended_scale"] < 1
    assert len(found["over-trained"]["named_sources"]) == found["over-trained"]["named"]
