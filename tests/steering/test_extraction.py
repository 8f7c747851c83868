import pytest
import torch
from torch import nn

from equipoise.denoisers import build_from_pipeline, fingerprint, wrap
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.images import content_ids, quantize
from equipoise.representation import capture
from equipoise.sampling import draw_noise
from equipoise.steering import build_vector, find_sites

SITES = ("up_blocks.0.resnets.0.conv2:in", "up_blocks.0.resnets.1.conv2:in")


def draw(count, *, seed, low=0.0):
    generator = torch.Generator().manual_seed(seed)
    return low + (1 - low) * torch.rand(count, 1, 16, 16, generator=generator)


def watch(denoiser, site, images, sigma, *, draws, seed):
    """Look at a site one picture and one draw at a time, by a hook of the test's own."""
    name, _ = site.split(":")
    seen = []
    module = denoiser.network.get_submodule(name)
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].double()))
    for image, key in zip(images, content_ids(quantize(images)), strict=True):
        for k in range(draws):
            noise = draw_noise((1, 16, 16), seed=seed, item_id=key, draw=k)
            x = 2 * image - 1 + sigma * noise
            denoiser.denoise(x[None], torch.tensor([sigma]))
    handle.remove()
    return torch.stack(seen)


@pytest.mark.parametrize("kind", ["per-position", "pooled"])
def test_a_vector_is_the_difference_of_means_in_its_unit(tiny_edm, kind):
    positive, negative, sigma = draw(3, seed=0, low=0.5), draw(2, seed=1), 0.4
    vector = build_vector(
        tiny_edm, positive, negative, name="tiny", patterns=SITES, sigmas=[sigma], kind=kind,
        draws=2, seed=5,
    )  # fmt: skip
    assert vector.record.fingerprint == fingerprint(tiny_edm)
    for site in SITES:
        one = watch(tiny_edm, site, positive, sigma, draws=2, seed=5)
        two = watch(tiny_edm, site, negative, sigma, draws=2, seed=5)
        rms = torch.cat([one, two]).square().mean().sqrt()
        axes = (0, 2, 3) if kind == "pooled" else (0,)
        raw = one.mean(axes) - two.mean(axes)
        gap = raw.square().mean().sqrt() / (rms / 2**0.5)
        expected = (raw / gap).float()
        torch.testing.assert_close(vector.tensors[site][0], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            vector.origins[site][0].double(), two.mean(axes), rtol=1e-4, atol=1e-5
        )
        # the unit: root mean square of the vector = that of what is there / sqrt(sites)
        assert float(vector.tensors[site].square().mean().sqrt()) == pytest.approx(
            float(rms) / 2**0.5, rel=1e-4
        )
        assert vector.record.recipe["gap"][site][0] == pytest.approx(float(gap), rel=1e-4)
        assert vector.measure_strength()[site] == pytest.approx(1, rel=1e-5)
        assert (3 * vector).measure_strength()[site] == pytest.approx(3, rel=1e-5)


def test_several_levels_are_rows_and_no_negatives_is_the_papers_mean(tiny_edm):
    images = draw(2, seed=0)
    both = build_vector(tiny_edm, images, name="t", patterns=SITES, sigmas=[2.0, 0.1])
    assert both.record.sigmas == (0.1, 2.0)
    low = build_vector(tiny_edm, images, name="t", patterns=SITES, sigmas=[0.1])
    for site in SITES:
        torch.testing.assert_close(both.tensors[site][:1], low.tensors[site])
        assert not bool(both.origins[site].any())


def test_the_default_is_behind_all_blocks_or_a_unets_default_sites(tiny_edm):
    class Block(nn.Module):
        def forward(self, x):
            return x + 1

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(Block() for _ in range(4))

        def forward(self, x, sigma):
            h = x.flatten(2)
            for block in self.blocks:
                h = block(h)
            return h.reshape(x.shape)

    tokens = wrap(Tokens(), sample_shape=(1, 4, 4), data_std=0.5)
    assert find_sites(tokens) == tuple(f"blocks.{k}:out" for k in range(4))
    assert find_sites(tiny_edm) == SITES


def test_what_makes_no_vector_is_refused(tiny_edm):
    images = draw(2, seed=0)
    with pytest.raises(BadInputError, match="at least one picture"):
        build_vector(tiny_edm, images[:0], name="t")
    with pytest.raises(BadInputError, match="do not differ"):
        build_vector(tiny_edm, images, images, name="t")
    with pytest.raises(BadInputError, match="positive"):
        build_vector(tiny_edm, images, name="t", sigmas=[0.0])
    with pytest.raises(NonFiniteError):
        build_vector(tiny_edm, images * float("nan"), name="t")


@pytest.mark.slow
def test_a_text_to_image_unet_is_steered_on_its_way_up(pipeline):
    found = find_sites(build_from_pipeline(pipeline))
    assert found[0] == "up_blocks.0.resnets.0:out"
    assert all(site.startswith("up_blocks.") and site.endswith(":out") for site in found)


@pytest.mark.slow
def test_a_picture_is_looked_at_with_its_own_prompt(pipeline):
    """The mean over one picture with one prompt is what a capture of that forward shows."""
    model, site = build_from_pipeline(pipeline), "up_blocks.0.resnets.0:out"
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    vector = build_vector(
        model, image, name="sd", patterns=site, sigmas=[1.0], prompts=(["a"], None), draws=1
    )
    sigma = torch.tensor([vector.record.sigmas[0]])
    [key] = content_ids(quantize(image))
    noise = draw_noise((4, 8, 8), seed=0, item_id=key, draw=0)
    x = model.encode(image) + sigma * noise
    with capture(model, site, pooling="none") as tape, torch.no_grad():
        model.denoise(x, sigma, model.encode_prompts(["a"]))
    # a mean without its opposite has the size of what is there already
    torch.testing.assert_close(vector.tensors[site][0], tape[site][0], rtol=1e-3, atol=1e-4)
    with pytest.raises(BadInputError, match="one a picture"):
        build_vector(model, image, name="sd", prompts=(["a", "b"], None))
