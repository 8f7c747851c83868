import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.denoisers import TimedDenoiser, fingerprint, wrap
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.level import NoiseGrid
from equipoise.errors import BadInputError, CaptureError
from equipoise.steering import ConceptVector, VectorRecord, build_vector, steer

SITE = "up_blocks.0.resnets.1.conv2:in"
SITES = ("up_blocks.0.resnets.0.conv2:in", SITE)
X = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
SIGMA = torch.tensor([0.2, 0.5, 2.0])


@pytest.fixture(scope="module")
def vector(tiny_edm):
    generator = torch.Generator().manual_seed(1)
    bright, dark = (torch.rand(4, 1, 16, 16, generator=generator) / 2 + low for low in (0.5, 0))
    return build_vector(tiny_edm, bright, dark, name="tiny", patterns=SITES, kind="pooled")


def count_hooks(network):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


def denoise_by_hand(denoiser, vector, changes):
    """Steer by hooks of the test's own: `changes` is the strength of every row."""
    handles = [
        denoiser.network.get_submodule(site.split(":")[0]).register_forward_pre_hook(
            lambda _, args, site=site: (
                args[0] + changes[:, None, None, None] * vector.tensors[site][0][:, None, None],
            )
        )
        for site in vector.sites
    ]
    found = denoiser.denoise(X, SIGMA)
    for handle in handles:
        handle.remove()
    return found


def test_adding_is_what_hooks_by_hand_do(tiny_edm, vector):
    with steer(tiny_edm, vector, strength=0.7) as log:
        found = tiny_edm.denoise(X, SIGMA)
    expected = denoise_by_hand(tiny_edm, vector, torch.full((3,), 0.7))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, tiny_edm.denoise(X, SIGMA), atol=1e-3)
    assert log.called == log.steered == [pytest.approx(0.2)]


def test_strength_zero_is_bit_for_bit_the_unsteered_output(tiny_edm, vector):
    plain = tiny_edm.denoise(X, SIGMA)
    with steer(tiny_edm, [vector, vector], strength=0):
        assert torch.equal(tiny_edm.denoise(X, SIGMA), plain)
    with steer(tiny_edm, vector, strength=[0.0, 0.0, 1.0]):
        found = tiny_edm.denoise(X, SIGMA)
    torch.testing.assert_close(found[:2], plain[:2])
    assert not torch.allclose(found[2], plain[2], atol=1e-3)


def test_strengths_of_samples_are_those_of_runs_one_by_one(tiny_edm, vector):
    strengths = [0.0, 0.5, -1.0]
    with steer(tiny_edm, vector, strength=strengths):
        strip = tiny_edm.denoise(X, SIGMA)
    for row, strength in enumerate(strengths):
        with steer(tiny_edm, vector, strength=strength):
            alone = tiny_edm.denoise(X[row : row + 1], SIGMA[row : row + 1])
        torch.testing.assert_close(strip[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_only_levels_in_the_window_are_steered(tiny_edm, vector):
    with steer(tiny_edm, vector, window=(0.4, 0.5)):
        found = tiny_edm.denoise(X, SIGMA)
    expected = denoise_by_hand(tiny_edm, vector, torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(found, expected)


def test_several_vectors_add_up_with_a_strength_each(tiny_edm, vector):
    with steer(tiny_edm, [vector, 2 * vector], strength=torch.tensor([[1.0], [-0.25]])):
        found = tiny_edm.denoise(X, SIGMA)
    with steer(tiny_edm, vector - 0.5 * vector):
        torch.testing.assert_close(found, tiny_edm.denoise(X, SIGMA))
    with steer(tiny_edm, vector, strength=1), steer(tiny_edm, vector, strength=-0.5):
        torch.testing.assert_close(found, tiny_edm.denoise(X, SIGMA), rtol=1e-4, atol=1e-5)


def test_the_row_of_the_nearest_level_is_used(tiny_edm):
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    both = build_vector(tiny_edm, images, name="t", patterns=SITES, sigmas=[0.2, 2.0])
    for level in (0, 1):
        single = build_vector(
            tiny_edm, images, name="t", patterns=SITES, sigmas=[both.record.sigmas[level]]
        )
        row = slice(0, 1) if level == 0 else slice(2, 3)
        outputs = []
        for vector in (both, single):
            with steer(tiny_edm, vector):
                outputs.append(tiny_edm.denoise(X[row], SIGMA[row]))
        torch.testing.assert_close(*outputs)


def test_a_mask_keeps_the_change_where_it_is(tiny_edm, vector):
    mask = torch.zeros(16, 16)
    mask[:, :8] = 1
    with steer(tiny_edm, vector, mask=mask), eq.capture(tiny_edm, SITE, pooling="none") as tape:
        tiny_edm.denoise(X, SIGMA)
    with eq.capture(tiny_edm, SITE, pooling="none") as plain:
        tiny_edm.denoise(X, SIGMA)
    # the first site's change spreads to the second; there the mask's own step is still seen
    with steer(tiny_edm, vector), eq.capture(tiny_edm, SITES[0], pooling="none") as whole:
        tiny_edm.denoise(X, SIGMA)
    with steer(tiny_edm, vector, mask=mask), eq.capture(tiny_edm, SITES[0], pooling="none") as cut:
        tiny_edm.denoise(X, SIGMA)
    with eq.capture(tiny_edm, SITES[0], pooling="none") as first:
        tiny_edm.denoise(X, SIGMA)
    half = cut[SITES[0]].shape[-1] // 2
    torch.testing.assert_close(cut[SITES[0]][..., :half], whole[SITES[0]][..., :half])
    assert torch.equal(cut[SITES[0]][..., half:], first[SITES[0]][..., half:])
    assert not torch.equal(tape[SITE], plain[SITE])


def test_hooks_are_gone_after_every_exit(tiny_edm, vector):
    before, plain = count_hooks(tiny_edm.network), tiny_edm.denoise(X, SIGMA)
    with pytest.raises(ZeroDivisionError), steer(tiny_edm, vector):
        _ = 1 / (count_hooks(tiny_edm.network) <= before)
    assert count_hooks(tiny_edm.network) == before
    with eq.capture(tiny_edm, SITE), steer(tiny_edm, vector):  # ends by the capture's own stop
        tiny_edm.denoise(X, SIGMA)
    assert count_hooks(tiny_edm.network) == before
    assert torch.equal(tiny_edm.denoise(X, SIGMA), plain)


def test_a_capture_inside_sees_what_is_steered_and_one_outside_what_is_not(tiny_edm, vector):
    site = SITES[0]
    with eq.capture(tiny_edm, site, pooling="none", stop=False) as plain:
        tiny_edm.denoise(X, SIGMA)
    with steer(tiny_edm, vector), eq.capture(tiny_edm, site, pooling="none") as inside:
        tiny_edm.denoise(X, SIGMA)
    with eq.capture(tiny_edm, site, pooling="none") as outside, steer(tiny_edm, vector):
        tiny_edm.denoise(X, SIGMA)
    assert torch.equal(outside[site], plain[site])
    torch.testing.assert_close(inside[site], plain[site] + vector.tensors[site][0][:, None, None])


def test_a_compiled_network_is_steered_too(tiny_edm, vector):
    class Compiled(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self._orig_mod = inner

        def forward(self, x, c_noise):
            return self._orig_mod(x, c_noise)

    wrapped = type(tiny_edm)(
        Compiled(tiny_edm.network), sample_shape=(1, 16, 16), data_std=0.5,
        default_sites=tiny_edm.default_sites,
    )  # fmt: skip
    with steer(wrapped, vector, strength=0.7):
        found = wrapped.denoise(X, SIGMA)
    torch.testing.assert_close(found, denoise_by_hand(tiny_edm, vector, torch.full((3,), 0.7)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"window": (2.0, 1.0)}, "window"),
        ({"affine": True}, "affine"),
        ({"guidance": "cond"}, "no condition"),
        ({"strength": float("nan")}, "finite"),
        ({"strength": torch.ones(3, 1, 1)}, "finite"),
        ({"mask": 2 * torch.ones(16, 16)}, "mask"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_words_out_of_range_are_refused_before_anything_runs(tiny_edm, vector, words, told):
    with pytest.raises(BadInputError, match=told), steer(tiny_edm, vector, **words):
        pytest.fail("entered")


def test_steering_that_never_acts_is_an_error(tiny_edm, vector):
    with pytest.raises(BadInputError, match="not called"), steer(tiny_edm, vector):
        pass
    with (
        pytest.raises(BadInputError, match=r"from 0\.2 to 0\.2"),
        steer(tiny_edm, vector, window=(5, 9)),
    ):
        tiny_edm.denoise(X[:1], SIGMA[:1])
    with (
        pytest.raises(BadInputError, match="for 2 samples"),
        steer(tiny_edm, vector, strength=[1.0, 2.0]),
    ):
        tiny_edm.denoise(X, SIGMA)


class Told(nn.Module):
    """Tokens of a conditional network; every row passes the site with its own condition."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.place = nn.Identity()

    def forward(self, z, time, classes):
        h = z.flatten(1).reshape(len(z), 4, 4) + classes[:, None, None]
        return self.place(h).reshape(z.shape)


@pytest.fixture
def told():
    alphas = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    return TimedDenoiser(
        network=Told(),
        call=lambda network, z, time, cond: network(z, time, cond),
        prediction="x0",
        grid=NoiseGrid.from_alphas(alphas),
        codec=PixelCodec(),
        empty=torch.tensor([9]),
        sample_shape=(1, 4, 4),
        image_shape=(1, 4, 4),
        data_std=0.5,
        default_sites=("place:out",),
    )


@pytest.mark.parametrize(
    ("guidance", "changed"),
    [("both", [1, 2, 1, 2]), ("cond", [1, 2, 0, 0]), ("uncond", [0, 0, 1, 2])],
)
@pytest.mark.parametrize("flipped", [False, True], ids=["cond first", "empty first"])
def test_halves_are_told_by_their_condition_wherever_they_stand(told, guidance, changed, flipped):
    vector = build_vector(told, torch.rand(3, 1, 4, 4), name="told", sigmas=[1.0])
    x, sigma = torch.randn(2, 1, 4, 4), torch.full((4,), told.snap(1.0))
    both, cond = torch.cat([x, x]), torch.tensor([1, 2, 9, 9])
    order = torch.tensor([2, 3, 0, 1]) if flipped else torch.arange(4)
    plain = told.denoise(both, sigma, cond[order])
    with steer(told, vector, strength=[1.0, 2.0], guidance=guidance):
        found = told.denoise(both, sigma, cond[order])
    expected = (
        torch.tensor(changed).float()[order][:, None] * vector.tensors["place:out"][0].flatten()
    )
    torch.testing.assert_close((found - plain).flatten(1), expected, rtol=1e-4, atol=1e-5)


def test_a_site_that_fires_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Identity()

        def forward(self, x, sigma):
            return self.place(self.place(x))

    twice = wrap(Twice(), sample_shape=(1, 4, 4), data_std=0.5)
    record = VectorRecord(
        model="t", fingerprint=fingerprint(twice), kind="pooled", sigmas=(1.0,),
        rms={"place:out": (1.0,)},
    )  # fmt: skip
    tensors = {"place:out": torch.ones(1, 1)}
    vector = ConceptVector(record, tensors, tensors)
    with pytest.raises(CaptureError, match="more than once"), steer(twice, vector):
        pytest.fail("entered")


# Stock pipelines of diffusers


def draw_pictures(count):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def written(pipeline):
    """A vector of the tiny Stable Diffusion."""
    denoiser = eq.load(pipeline)
    return build_vector(
        denoiser, draw_pictures(3), name="sd", patterns="up_blocks.0.resnets.0:out"
    )


def call_pipeline(pipeline, count=2, *, scale=3.0, steps=4, negative="b"):
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    return pipeline(
        ["a"] * count, negative_prompt=[negative] * count, guidance_scale=scale,
        num_inference_steps=steps, latents=latents.expand(count, -1, -1, -1).clone(),
        output_type="np",
    ).images  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("guidance", "changed"), [("cond", [0, 1]), ("uncond", [1, 0])])
def test_the_halves_of_stable_diffusion_are_told_apart_by_their_prompts(
    pipeline, written, guidance, changed
):
    """Rows are recognised by the prompt they carry, which the steering does not look at."""
    seen, passed = [], {}
    prompt = pipeline.encode_prompt(["a"], "cpu", 1, False)[0]
    module = pipeline.unet.up_blocks[0].resnets[0]
    handles = [
        module.register_forward_hook(lambda _, __, out: passed.update(before=out.clone())),
        pipeline.unet.register_forward_pre_hook(
            lambda _, args, kwargs: passed.update(told=kwargs["encoder_hidden_states"]),
            with_kwargs=True,
        ),
    ]
    with steer(pipeline, written, guidance=guidance):
        handles.append(module.register_forward_hook(lambda _, __, out: seen.append(
            ((out - passed["before"]).flatten(1).abs().amax(1), passed["told"])
        )))  # fmt: skip
        call_pipeline(pipeline)
    for handle in handles:
        handle.remove()
    assert len(seen) == 4
    for change, told in seen:
        carries = [bool(torch.allclose(row, prompt[0], atol=1e-5)) for row in told]
        assert carries == [False, False, True, True]
        expected = [changed[1] if carried else changed[0] for carried in carries]
        assert (change > 1e-3).tolist() == [bool(e) for e in expected]


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 3.0], ids=["without guidance", "guided"])
def test_a_strip_in_one_call_is_the_calls_one_by_one(pipeline, written, scale):
    strengths = [0.0, 0.5, 1.5]
    plain = call_pipeline(pipeline, 1, scale=scale)
    with steer(pipeline, written, strength=strengths):
        strip = call_pipeline(pipeline, 3, scale=scale)
    for picture, strength in zip(strip, strengths, strict=True):
        with steer(pipeline, written, strength=strength):
            alone = call_pipeline(pipeline, 1, scale=scale)[0]
        assert abs(picture - alone).max() < 2e-4
        if strength == 0:
            assert (alone == plain[0]).all()
    assert abs(strip[2] - strip[0]).max() > 0.01


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
def test_every_scheduler_has_the_same_window(pipeline, written):
    """The levels at which it acted, against those of the schedulers' own tables."""
    from diffusers import (
        DDIMScheduler,
        DPMSolverMultistepScheduler,
        EulerDiscreteScheduler,
        HeunDiscreteScheduler,
    )

    own, low, high = pipeline.scheduler, 0.3, 2.0
    try:
        for kind in (
            DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler,
            HeunDiscreteScheduler,
        ):  # fmt: skip
            pipeline.scheduler = kind.from_config(own.config)
            with steer(pipeline, written, window=(low, high)) as log:
                call_pipeline(pipeline, 1, steps=12)
            scheduler = pipeline.scheduler
            if hasattr(scheduler, "sigmas") and kind is not DPMSolverMultistepScheduler:
                table = scheduler.sigmas[:-1].tolist()
            else:
                abar = scheduler.alphas_cumprod[scheduler.timesteps.long()]
                table = ((1 - abar) / abar).sqrt().tolist()
            assert log.called == pytest.approx(table, rel=5e-3)
            inside = [s for s in log.called if low <= s <= high]
            assert log.steered == inside
            assert 1 < len(inside) < len(log.called)
    finally:
        pipeline.scheduler = own


@pytest.mark.slow
def test_a_stock_dit_pipeline_is_steered_by_halves(scheduler, vae):
    """Its halves stand the other way round: first the classes, then the null class."""
    from diffusers import DiTPipeline, DiTTransformer2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8,
            num_layers=3, sample_size=8, patch_size=2, num_embeds_ada_norm=1000,
        ).eval()  # fmt: skip
        for parameter in transformer.parameters():
            parameter.data.add_(0.1 * torch.randn(parameter.shape))
    pipeline = DiTPipeline(transformer=transformer, vae=vae, scheduler=scheduler)
    pipeline.set_progress_bar_config(disable=True)
    site = "transformer_blocks.1:out"
    assert len(eq.concept(pipeline, positive=draw_pictures(1)).sites) == 3
    vector = eq.concept(pipeline, positive=draw_pictures(3), sites=site)
    passed, seen = {}, []
    module = transformer.transformer_blocks[1]
    first = module.register_forward_hook(lambda _, __, out: passed.update(before=out.clone()))
    with steer(pipeline, vector, strength=[0.5, 1.0], guidance="cond"):
        last = module.register_forward_hook(
            lambda _, __, out: seen.append((out - passed["before"]).flatten(1).norm(dim=1))
        )
        pipeline([3, 4], num_inference_steps=2, output_type="np")
    first.remove()
    last.remove()
    size = float(vector.tensors[site].norm())
    expected = torch.tensor([0.5 * size, size, 0, 0])
    for change in seen:
        torch.testing.assert_close(change, expected, rtol=1e-3, atol=1e-3)
