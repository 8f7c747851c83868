import pytest
import torch

from equipoise.denoisers.codec import PixelCodec, VaeCodec

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


def test_pixels_make_the_round_trip():
    images = torch.rand(2, 1, 4, 4)
    codec = PixelCodec()
    assert codec.encode(torch.tensor([[[[0.0, 1.0]]]])).flatten().tolist() == [-1, 1]
    torch.testing.assert_close(codec.decode(codec.encode(images)), images)
    assert float(codec.decode(torch.full((1, 1, 1, 1), 3.0))) == 1


def test_latents_are_the_scaled_mean_and_no_draw(vae):
    images = torch.rand(2, 3, 16, 16)
    codec = VaeCodec(vae)
    latents = codec.encode(images)
    moments = vae.quant_conv(vae.encoder(2 * images - 1))
    torch.testing.assert_close(latents, moments[:, :4] * 0.5)
    assert torch.equal(codec.encode(images), latents)
    pixels = vae.decoder(vae.post_quant_conv(latents / 0.5))
    torch.testing.assert_close(codec.decode(latents), ((pixels + 1) / 2).clamp(0, 1))


def test_moving_leaves_the_original_as_it_was(vae):
    moved = VaeCodec(vae).to("cpu", torch.bfloat16)
    assert next(vae.parameters()).dtype == torch.float32
    assert moved.encode(torch.rand(1, 3, 16, 16)).dtype == torch.float32
