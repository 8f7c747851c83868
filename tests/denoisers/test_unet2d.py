import pytest
import torch

import equipoise as eq
from equipoise.denoisers import Denoiser
from equipoise.denoisers.unet2d import build_unet2d
from equipoise.errors import BadInputError
from equipoise.representation import select_sites

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


@pytest.fixture(scope="module")
def build_unet(shake):
    def build(**words):
        from diffusers import UNet2DModel

        with torch.random.fork_rng():
            torch.manual_seed(0)
            unet = UNet2DModel(
                sample_size=8, in_channels=3, out_channels=3, block_out_channels=(8, 16),
                down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D"), layers_per_block=1,
                attention_head_dim=8, norm_num_groups=4, **words,
            )  # fmt: skip
        return shake(unet, seed=1)

    return build


@pytest.fixture(scope="module")
def ddpm(build_unet):
    from diffusers import DDPMPipeline, DDPMScheduler

    return DDPMPipeline(build_unet(), DDPMScheduler())


def test_the_estimate_is_the_schedulers_own(ddpm):
    model = eq.load(ddpm)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for time in (0, 400, 999):
        sigma = model.grid.sigmas[time].float()
        z = x / (1 + sigma**2).sqrt()
        output = ddpm.unet(z, time).sample
        scheduler = type(ddpm.scheduler).from_config(ddpm.scheduler.config, clip_sample=False)
        expected = scheduler.step(output, time, z).pred_original_sample
        found = model.denoise(x, sigma.expand(2))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_it_is_a_denoiser_without_a_condition(ddpm):
    model = eq.load(ddpm)
    assert isinstance(model, Denoiser)
    assert model.null_condition(3) is None
    assert model.sample_shape == model.image_shape == (3, 8, 8)
    assert select_sites(model, model.default_sites) == (
        "up_blocks.0.resnets.0.conv2:in", "up_blocks.0.resnets.1.conv2:in",
        "up_blocks.1.resnets.0.conv2:in",
    )  # fmt: skip
    images = torch.rand(3, 3, 8, 8)
    assert eq.spikiness(model, images).values.shape == (3,)
    assert eq.spikiness(model.to("cpu", torch.float32), images).values.shape == (3,)


def test_a_saved_pipeline_opens_again_with_the_same_answers(ddpm, tmp_path):
    ddpm.save_pretrained(tmp_path)
    live, opened = eq.load(ddpm), eq.load(tmp_path, family="unet2d")
    x, sigma = torch.randn(2, 3, 8, 8), torch.full((2,), live.snap(0.5))
    torch.testing.assert_close(opened.denoise(x, sigma), live.denoise(x, sigma))
    assert torch.equal(
        eq.load(ddpm.unet, scheduler=ddpm.scheduler).denoise(x, sigma), live.denoise(x, sigma)
    )


def test_a_score_model_denoises_by_tweedies_formula(build_unet):
    from diffusers import ScoreSdeVeScheduler

    unet = build_unet(time_embedding_type="fourier")
    model = build_unet2d(unet, ScoreSdeVeScheduler())
    sigma = torch.tensor([0.02, 0.5, 30.0])
    x = torch.randn(3, 3, 8, 8) * (1 + sigma[:, None, None, None])
    for row in range(3):
        score = unet(x[row : row + 1], sigma[row : row + 1]).sample
        torch.testing.assert_close(
            model.denoise(x, sigma)[row : row + 1], x[row : row + 1] + sigma[row] ** 2 * score,
            rtol=1e-5, atol=1e-4,
        )  # fmt: skip
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(model.encode(images), images)
    assert eq.spikiness(model, images).values.shape == (2,)


def test_what_has_no_empty_condition_or_no_schedule_is_refused(build_unet):
    from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler

    with pytest.raises(BadInputError, match="needs the class of every picture"):
        build_unet2d(build_unet(num_class_embeds=4), DDPMScheduler())
    with pytest.raises(BadInputError, match="FlowMatchEulerDiscreteScheduler"):
        build_unet2d(build_unet(), FlowMatchEulerDiscreteScheduler())
