"""The paper's recipe against its published extraction, written again with plain hooks."""

from dataclasses import replace

import pytest
import torch

from equipoise.detection import build_preset
from equipoise.detection.preset import PAPER_SITES, PRESETS
from equipoise.errors import BadInputError, UnknownSiteError
from equipoise.representation import observe, sites
from equipoise.sampling.noise import draw_noise_batch

PUBLISHED = [(site.removesuffix(".conv2:in"), site) for site in PAPER_SITES]


def test_an_unknown_preset_and_a_model_without_its_sites_are_refused(tiny_edm):
    with pytest.raises(BadInputError, match="zhang-2026-figure-5"):
        build_preset(tiny_edm, "zhang")
    with pytest.raises(UnknownSiteError, match="resnets"):
        build_preset(tiny_edm, "zhang-2026-notebook")


@pytest.fixture(scope="module")
def model():
    """Stable Diffusion 1.4 with a sixteenth of its channels, its levels and its schedule."""
    from diffusers import DDIMScheduler, UNet2DConditionModel

    from equipoise.denoisers.codec import NoCodec
    from equipoise.denoisers.level import NoiseGrid
    from equipoise.denoisers.stable_diffusion import _call
    from equipoise.denoisers.timed import TimedDenoiser

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=16, block_out_channels=(20, 40, 80, 80), cross_attention_dim=12,
            attention_head_dim=4, norm_num_groups=4,
        )  # fmt: skip
        empty = torch.randn(1, 5, 12)
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    denoiser = TimedDenoiser(
        network=unet.eval().requires_grad_(False),
        call=_call,
        prediction="eps",
        grid=NoiseGrid.from_alphas(scheduler.alphas_cumprod),
        codec=NoCodec(),
        empty=empty,
        sample_shape=(4, 16, 16),
        image_shape=(3, 128, 128),
        data_std=1.0,
        default_sites=PAPER_SITES,
    )
    return denoiser, scheduler


@torch.no_grad()
def extract_as_published(model, scheduler, latents, noise, time):
    """Add noise, one whole forward, the last output of each `nonlinearity`, max, std."""
    last, handles = {}, []
    for block, site in PUBLISHED:
        module = model.network.get_submodule(f"{block}.nonlinearity")
        handles.append(
            module.register_forward_hook(lambda _, __, out, site=site: last.__setitem__(site, out))
        )
    times = torch.full((len(latents),), time)
    noisy = scheduler.add_noise(latents, noise, times)
    model.network(noisy, times, encoder_hidden_states=model.null_condition(len(latents)))
    for handle in handles:
        handle.remove()
    return {s: h.amax(dim=(2, 3)).std(dim=1, unbiased=False) for s, h in last.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "time"), [("zhang-2026-notebook", 10), ("zhang-2026-figure-5", 50)]
)
def test_scores_are_those_of_the_published_extraction(model, name, time):
    model, scheduler = model
    detectors = build_preset(model, name)
    assert tuple(d.sites[0] for d in detectors) == PAPER_SITES
    assert {d.draws for d in detectors} == {1}
    sigma = detectors[0].sigma
    assert sigma == float(model.grid.sigmas[time])
    assert sigma == pytest.approx(PRESETS[name].sigma, abs=5e-4)
    latents = torch.randn(6, 4, 16, 16)
    noise = draw_noise_batch((4, 16, 16), seed=0, item_ids=list("abcdef"), draws=[0] * 6)
    expected = extract_as_published(model, scheduler, latents, noise, time)
    x = latents + sigma * noise
    found = observe(model, x, torch.full((6,), sigma), PAPER_SITES, pooling="max")
    for detector in detectors:
        [site] = detector.sites
        score = found[site].tensor.double().std(dim=1, correction=0)
        torch.testing.assert_close(score, expected[site].double(), rtol=1e-5, atol=0)


@pytest.mark.slow
def test_in_stable_diffusion_1_4_the_recipe_costs_a_third_of_a_forward(model):
    """The shares that docs/commands.md states, in the real shapes, without memory for weights."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    full = replace(
        model[0],
        network=unet,
        sample_shape=(4, 64, 64),
        empty=torch.zeros(1, 77, 768, device="meta"),
    )
    shares = {site.name: site.share for site in sites(full)}
    found = [round(shares[site], 3) for site in PAPER_SITES]
    assert (found[0], found[3]) == (0.330, 0.376)
    assert found == sorted(found)
