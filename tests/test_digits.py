"""A model nobody tuned for: a small DDPM of diffusers on scikit-learn's digits, opened by path."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from sklearn.datasets import load_digits
from torch import Tensor

import equipoise as eq
from equipoise.auditing.subject import build_sampler
from equipoise.bench.interval import estimate_auroc, exact_rate
from equipoise.denoisers import Denoiser
from equipoise.images import as_unit, quantize
from equipoise.labels import label_by_nearest
from equipoise.sampling import sample_items

NUM_IMAGES, NUM_PLANTED, REPEATS = 500, 24, 40
STEPS, BATCH, RATE = 1600, 32, 2e-3
NUM_OUTPUTS = 700

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outputs:
    """Fresh outputs, the training image nearest to each, and their scores by default settings."""

    pictures: Tensor
    labels: np.ndarray
    nearest: np.ndarray
    planted: list[int]
    model: Denoiser


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    pixels = torch.from_numpy(load_digits().images[:NUM_IMAGES, None] * 255 / 16)
    pixels = pixels.round().to(torch.uint8)
    generator = torch.Generator().manual_seed(0)
    planted = torch.randperm(NUM_IMAGES, generator=generator)[:NUM_PLANTED]
    rows = torch.cat([torch.arange(NUM_IMAGES), planted.repeat(REPEATS - 1)])
    path = tmp_path_factory.mktemp("digits")
    train_digits(pixels.float()[rows] / 127.5 - 1, generator).save_pretrained(path)

    model = eq.load(str(path))
    sampler = build_sampler(model)
    names = [f"digit/{k}" for k in range(NUM_OUTPUTS)]
    drawn = sample_items(model, names, sampler.list_sigmas(model), seed=1, batch=128)
    pictures = quantize(model.decode(torch.cat(list(drawn))))
    found = label_by_nearest(pictures, pixels, torch.arange(NUM_IMAGES))
    labels, nearest = np.array(found.names()), found.nearest.numpy()
    return Outputs(pictures, labels, nearest, planted.tolist(), model)


def train_digits(x0, generator):
    """Train as a tutorial would: uniform times, predicted noise, Adam."""
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(32, 64), down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2, add_attention=False,
    )  # fmt: skip
    scheduler = DDPMScheduler()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        x = x0[torch.randint(len(x0), (BATCH,), generator=generator)]
        time = torch.randint(0, 1000, (BATCH,), generator=generator)
        eps = torch.randn(x.shape, generator=generator)
        guess = network(scheduler.add_noise(x, eps, time), time).sample
        optimizer.zero_grad()
        (guess - eps).square().mean().backward()
        optimizer.step()
        rates.step()
    return DDPMPipeline(network, scheduler)


def test_it_copies_what_was_planted_and_invents(outputs):
    copied = outputs.nearest[outputs.labels == "copy"]
    assert len(copied) >= 50
    assert len(set(copied) & set(outputs.planted)) >= 12
    assert (outputs.labels == "novel").sum() >= 150
    assert np.isin(copied, outputs.planted).mean() >= 0.9


def test_spikiness_by_default_tells_the_copies(outputs):
    scores = eq.spikiness(outputs.model, as_unit(outputs.pictures)).values.numpy()
    copy, novel = outputs.labels == "copy", outputs.labels == "novel"
    area = estimate_auroc(scores[copy], outputs.nearest[copy], scores[novel])
    assert area["value"] >= 0.9
    assert area["low"] >= 0.8


def test_a_calibration_of_its_own_keeps_its_promise(outputs):
    novel = outputs.pictures[outputs.labels == "novel"]
    cut = len(novel) // 2
    detector = eq.calibrate(outputs.model, as_unit(novel[:cut]), fpr=0.05)
    flagged = [verdict == "memorized" for verdict in detector(as_unit(novel[cut:])).verdicts]
    rate = exact_rate(sum(flagged), len(flagged))
    assert rate["low"] <= 0.05
