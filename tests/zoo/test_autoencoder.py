import pytest
import torch

from equipoise.zoo.autoencoder import build_autoencoder, encode_pictures
from equipoise.zoo.patch_basis import fit_patch_basis

PICTURES = torch.randint(
    0, 256, (5, 3, 16, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)
CHANNELS = (12, 16, 24)


@pytest.fixture(scope="module")
def basis():
    return fit_patch_basis(PICTURES, 4)


@pytest.fixture(scope="module")
def vae(basis):
    torch.manual_seed(0)
    return build_autoencoder(basis, channels=CHANNELS)


@pytest.mark.slow
def test_the_stock_encoder_computes_the_basis(vae, basis):
    expected = basis.project(PICTURES)
    torch.testing.assert_close(
        encode_pictures(vae, PICTURES, batch=2).double(), expected, rtol=5e-3, atol=2e-3
    )


@pytest.mark.slow
def test_the_largest_latents_that_pictures_have_stay_linear(vae, basis):
    """Black and white halves: as far from the mean as a picture goes."""
    extreme = torch.zeros(1, 3, 16, 24, dtype=torch.uint8)
    extreme[..., ::3] = 255
    found = encode_pictures(vae, extreme).double()
    torch.testing.assert_close(found, basis.project(extreme), rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_a_draw_from_the_posterior_is_its_mean(vae):
    posterior = vae.encode(PICTURES.float() / 127.5 - 1).latent_dist
    assert float(posterior.std.detach().max()) < 1e-3


@pytest.mark.slow
def test_the_decoder_starts_by_handing_latents_through(vae):
    """Constant latents come out of the last residual block as they went in."""
    seen = {}
    block = vae.decoder.up_blocks[-1].resnets[-1]
    handle = block.register_forward_hook(lambda *found: seen.update(out=found[-1]))
    latents = torch.tensor([0.3, -1.0, 2.0, 0.5]).reshape(1, 4, 1, 1).expand(1, 4, 6, 6)
    try:
        vae.decode(latents)
    finally:
        handle.remove()
    inner = seen["out"][:, :4, 4:-4, 4:-4]
    torch.testing.assert_close(inner, latents[..., :1, :1].expand_as(inner))


@pytest.mark.parametrize("channels", [(8, 16, 24), (12, 8, 24), (12, 16, 12)])
def test_levels_that_are_too_narrow_are_refused(basis, channels):
    with pytest.raises(ValueError, match="too narrow"):
        build_autoencoder(basis, channels=channels)


def test_latents_that_cannot_be_dealt_evenly_are_refused():
    with pytest.raises(ValueError, match="evenly"):
        build_autoencoder(fit_patch_basis(PICTURES, 6), channels=(16, 48, 64))


def test_without_diffusers_the_extra_is_named(monkeypatch, basis):
    name = "diffusers.models.autoencoders.autoencoder_kl"
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ValueError, match=r"equipoise\[diffusers\]"):
        build_autoencoder(basis, channels=CHANNELS)
