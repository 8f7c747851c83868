import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.auditing.adapter import (
    AdapterAudit,
    audit_adapter,
    find_p_values,
    recommend_scale,
)
from equipoise.auditing.pile import PicturePile
from equipoise.checkpoints.lora import Lora, LowRank
from equipoise.detection import Card, Scores
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
