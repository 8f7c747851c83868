from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from equipoise.auditing.adapter import (
    AdapterAudit,
    audit_adapter,
    find_p_values,
    recommend_scale,
)
from equipoise.auditing.parts import build_adapter_audit
from equipoise.auditing.pile import PicturePile
from equipoise.checkpoints.lora import Lora, LowRank
from equipoise.detection import Card, Scores, Spikiness
from equipoise.errors import BadInputError
from equipoise.report import render_report

SITE = "up_blocks.0.resnets.0.conv2"


class Told:
    """Scores content, and what the adapter is told to have memorized by how far it moved."""

    card = Card(name="told", source="here", formula="-", evaluations=1, direction="up")

    def __init__(self, base, memorized):
        self.weight, self.memorized = base.network.get_submodule(SITE).weight, set(memorized)

    def describe(self):
        return {"memorized": sorted(self.memorized)}

    def score(self, denoiser, images, ids, *, conditions=None, batch=64):
        moved = float((denoiser.network.get_submodule(SITE).weight - self.weight).abs().max())
        content = images.flatten(1).mean(dim=1).double() * 100
        own = torch.tensor([int(one[:6], 16) % 97 / 97 for one in ids]).double()
        named = torch.tensor([one in self.memorized for one in ids])
        found = content + min(moved, 1.0) * own + (5.0 * named if moved > 0.6 else 0.0)
        return Scores(found[:, None], evaluations=len(ids), seconds=0.0)


def write(folder, count, seed):
    folder.mkdir()
    generator = np.random.default_rng(seed)
    for index in range(count):
        pixels = generator.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return PicturePile(folder, (1, 16, 16))


@pytest.fixture
def lora(tiny_edm):
    weight = tiny_edm.network.get_submodule(SITE).weight
    down, up = torch.zeros(1, *weight.shape[1:]), torch.zeros(len(weight), 1, 1, 1)
    down.view(-1)[0] = up.view(-1)[0] = 1.0
    return Lora({SITE: LowRank(down, up, 1.0)}, left_out=2)


def test_what_moved_is_named_and_the_scale_below_recommended(tiny_edm, lora, tmp_path):
    training, held_out = write(tmp_path / "train", 20, 0), write(tmp_path / "held", 80, 1)
    (tmp_path / "train" / "broken.png").write_bytes(b"no picture")
    training = PicturePile(tmp_path / "train", (1, 16, 16))
    ids = [item.id for _, part in training.read([0]) for item in part if item.pixels is not None]
    audit = AdapterAudit(
        tiny_edm, "tiny", lora, "lora", training, held_out, Told(tiny_edm, ids[:4])
    )
    run = audit_adapter(audit, tmp_path / "run")
    results = run.record.results
    assert results["named"] == 4
    assert results["recommended_scale"] == 0.5
    assert [entry["named"] for entry in results["scales"]] == [0, 0, 4, 4]
    assert (results["training"], results["held_out"], results["failed"]) == (20, 80, 1)
    assert results["smallest_number_nameable"] == 3  # 20 / (.1 * 81) = 2.5
    items = run.read_items(["id", "split", "q_value", "verdict"]).to_pylist()
    assert {row["id"] for row in items if (row["q_value"] or 1) <= 0.1} == set(ids[:4])
    assert all(row["q_value"] is None for row in items if row["split"] == "held-out")
    assert all(row["verdict"] is None for row in items)
    page = render_report(run.path).read_text()
    assert "4 of 20 training images are named" in page


def test_too_few_held_out_images_are_refused_at_once(tiny_edm, lora, tmp_path):
    training, held_out = write(tmp_path / "train", 5, 0), write(tmp_path / "held", 19, 1)
    audit = AdapterAudit(tiny_edm, "tiny", lora, "lora", training, held_out, Told(tiny_edm, []))
    with pytest.raises(BadInputError, match=r"5 training and 19\s+held-out"):
        audit_adapter(audit, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_exchangeable_images_get_uniform_p_values():
    generator = torch.Generator().manual_seed(0)
    both = torch.randn(4000, generator=generator, dtype=torch.float64)
    p = find_p_values(both[:2000], both[2000:])
    for level in (0.05, 0.5):
        assert float((p <= level).double().mean()) == pytest.approx(level, abs=0.05)
    assert float(find_p_values(torch.tensor([9.0]).double(), both)[0]) == 1 / 4001


@pytest.mark.parametrize(
    ("named", "scale"),
    [({0.25: 0, 0.5: 0, 1.0: 0}, 1.0), ({0.25: 0, 0.5: 2, 1.0: 0}, 0.25), ({0.25: 1, 1.0: 3}, 0)],
)
def test_the_largest_clean_scale_is_recommended(named, scale):
    assert recommend_scale(named) == scale


def save_lora(path, pipeline):
    name = "unet.mid_block.resnets.0.conv1"
    channels = pipeline.unet.mid_block.resnets[0].conv1.weight.shape[0]
    factors = {
        f"{name}.lora_A.weight": torch.ones(1, channels, 3, 3),
        f"{name}.lora_B.weight": torch.ones(channels, 1, 1, 1),
    }
    save_file(factors, path)
    return path


@pytest.fixture
def asked(pipeline, tmp_path):
    """Return what `build_adapter_audit` is given: two folders, a model of words, its LoRA."""
    pipeline.save_pretrained(tmp_path / "model")
    rng = np.random.default_rng(0)
    for side in ("train", "held"):
        (tmp_path / side).mkdir()
        for index in range(22):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{index:02d}.png")
    return {
        "name": str(tmp_path / "model"),
        "adapter": save_lora(tmp_path / "lora.safetensors", pipeline),
        "training": tmp_path / "train", "held_out": tmp_path / "held",
    }  # fmt: skip


def call_them(asked, *sides):
    for side in sides:
        for path in sorted(asked[side].glob("*.png")):
            path.with_suffix(".txt").write_text(f"{path.stem} {side}")


@pytest.mark.slow
def test_a_model_of_words_is_told_what_the_pictures_were_called(asked, tmp_path):
    call_them(asked, "training", "held_out")
    audit = build_adapter_audit(**asked)
    assert audit.detector.captioned
    assert audit.detector.sigma == audit.base.snap(8 * audit.base.data_std)
    assert audit.captions[0].find("03.png") == "03 training"
    run = audit_adapter(audit, tmp_path / "run")
    assert run.record.results["untold"] is False
    assert run.record.spec["captions"][1]["count"] == 22
    row = run.read_items(["source", "split", "base_score"]).to_pylist()[25]
    picture = next(held for _, part in audit.held_out.read([0]) for held in part
                   if held.source == row["source"])  # fmt: skip
    told = audit.base.encode_prompts([f"{row['source'][:2]} held_out"])
    alone = audit.detector.score(
        audit.base, picture.pixels[None] / 255, [picture.id], conditions=told
    ).values
    assert float(alone) == pytest.approx(row["base_score"], rel=1e-4)


@pytest.mark.slow
def test_without_captions_it_is_told_nothing_and_says_so(asked, tmp_path):
    audit = build_adapter_audit(**asked)
    assert audit.captions is None
    assert audit.detector.sigma == audit.base.snap(2 * audit.base.data_std)
    run = audit_adapter(audit, tmp_path / "run")
    assert run.record.results["untold"] is True
    assert "No captions were found" in render_report(run.path).read_text()


@pytest.mark.slow
def test_captions_of_one_side_only_are_refused_and_one_caption_serves_both(asked):
    audit = build_adapter_audit(**asked, caption="a thing")
    assert [side.find("03.png") for side in audit.captions] == ["a thing", "a thing"]
    call_them(asked, "training")
    for caption in (None, "a thing"):
        with pytest.raises(BadInputError, match="held-out ones have none"):
            build_adapter_audit(**asked, caption=caption)
    call_them(asked, "held_out")
    (asked["training"] / "03.txt").unlink()
    audit = build_adapter_audit(**asked, caption="a thing")
    assert [side.find("03.png") for side in audit.captions] == ["a thing", "03 held_out"]


@pytest.mark.slow
def test_a_detector_that_reads_no_caption_misses_none(asked):
    audit = build_adapter_audit(**asked)
    assert audit.untold
    plain = Spikiness(sites=audit.base.default_sites[:1], sigma=audit.detector.sigma)
    assert not replace(audit, detector=plain, least_gain=0.0).untold


@pytest.mark.slow
def test_a_caption_that_nothing_reads_is_refused(asked, tmp_path):
    given = asked | {"name": "zoo:edm-fashion", "caption": "a bag"}
    with pytest.raises(BadInputError, match="nothing here reads it"):
        build_adapter_audit(**given)
