import math

import pytest
import torch

from equipoise.zoo.decoder_training import (
    dump_decoder,
    measure_psnr,
    restore_decoder,
    start_decoder,
    train_decoder,
)
from equipoise.zoo.recipe import DecoderRecipe

pytestmark = pytest.mark.slow  # diffusers takes seconds to import

RECIPE = DecoderRecipe(
    num_latents=4, num_pictures=6, channels=(12, 16, 24), steps=30, batch=2, warmup=3
)
GENERATOR = torch.Generator().manual_seed(0)
COARSE = torch.rand(8, 3, 2, 2, generator=GENERATOR)
PICTURES = (255 * torch.nn.functional.interpolate(COARSE, size=16, mode="bilinear")).to(
    torch.uint8
)


def test_training_brings_pictures_back_and_leaves_the_encoder_alone():
    start = start_decoder(PICTURES, RECIPE)
    encoder = {name: w.clone() for name, w in start.vae.encoder.state_dict().items()}
    before = measure_psnr(start.vae, PICTURES)
    states = list(train_decoder(start, PICTURES, RECIPE))
    assert [state.step for state in states] == list(range(1, 31))
    assert float(measure_psnr(start.vae, PICTURES).mean()) > float(before.mean()) + 3
    after = start.vae.encoder.state_dict()
    assert all(torch.equal(after[name], weights) for name, weights in encoder.items())


def test_a_resumed_training_is_the_unbroken_one_bit_for_bit():
    short = RECIPE.model_copy(update={"steps": 6})
    *_, unbroken = train_decoder(start_decoder(PICTURES, short), PICTURES, short)
    broken = train_decoder(start_decoder(PICTURES, short), PICTURES, short)
    for _ in range(3):
        kept = {name: tensor.clone() for name, tensor in dump_decoder(next(broken)).items()}
    resumed = restore_decoder(start_decoder(PICTURES, short), kept)
    assert resumed.step == 3
    *_, resumed = train_decoder(resumed, PICTURES, short)
    expected, found = dump_decoder(unbroken), dump_decoder(resumed)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_psnr_is_that_of_the_decoded_picture():
    vae = start_decoder(PICTURES, RECIPE).vae
    with torch.no_grad():
        z = vae.encode(PICTURES[:1].double().float() / 127.5 - 1).latent_dist.mean
        decoded = vae.decode(z).sample[0].clamp(-1, 1)
    error = [
        ((a + 1) / 2 - b / 255) ** 2
        for a, b in zip(decoded.flatten().tolist(), PICTURES[0].flatten().tolist(), strict=True)
    ]
    expected = -10 * math.log10(sum(error) / len(error))
    assert float(measure_psnr(vae, PICTURES[:1])) == pytest.approx(expected, rel=1e-4)
