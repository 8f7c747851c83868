"""The stock pipelines of diffusers, tiny and with random weights, called through a guard."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.denoisers import build_from_pipeline
from equipoise.detection import Spikiness
from equipoise.errors import BadInputError, CalibrationError
from equipoise.guarding.guard import Guard
from equipoise.guarding.pipeline import PipelineSource
from equipoise.guarding.watch import Watch
from equipoise.representation import observe, select_sites

pytestmark = pytest.mark.slow  # diffusers takes seconds to import

STEPS = 4


def seed(number):
    return torch.Generator().manual_seed(number)


@pytest.fixture(scope="module")
def stable(pipeline):
    return pipeline


@pytest.fixture(scope="module")
def dit(vae, scheduler, shake):
    from diffusers import DiTPipeline, DiTTransformer2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4,
            num_layers=2, sample_size=8, patch_size=2, num_embeds_ada_norm=1000,
        )  # fmt: skip
    return DiTPipeline(shake(transformer, seed=5), vae, scheduler)


@pytest.fixture(scope="module")
def ddpm(shake):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DModel(
            sample_size=8, in_channels=3, out_channels=3, block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"), layers_per_block=1, norm_num_groups=4,
        )  # fmt: skip
    return DDPMPipeline(shake(unet, seed=6), DDPMScheduler())


CALLS = {
    "stable": {"prompt": ["a b", "c"], "num_inference_steps": STEPS},
    "dit": {"class_labels": [1, 3], "num_inference_steps": STEPS},
    "ddpm": {"batch_size": 2, "num_inference_steps": STEPS},
}
FAMILIES = sorted(CALLS)


def find_site(denoiser):
    return select_sites(denoiser, denoiser.default_sites)[-1]


def fit(pipeline, family, *, mode="free", fpr=0.2, **words):
    denoiser = build_from_pipeline(pipeline)
    detector = Spikiness(sites=(find_site(denoiser),), sigma=denoiser.snap(0.5))
    calls = [CALLS[family] | words | {"generator": seed(i), "output_type": "np"} for i in range(4)]
    return eq.calibrate_guard(pipeline, detector, calls, mode=mode, fpr=fpr)


@pytest.fixture
def guarded(request):
    return request.getfixturevalue(request.param)


each_family = pytest.mark.parametrize(
    ("guarded", "family"), [(name, name) for name in FAMILIES], indirect=["guarded"], ids=FAMILIES
)


def leftovers(pipeline):
    network = build_from_pipeline(pipeline).network
    hooks = [m for m in network.modules() if m._forward_hooks or m._forward_pre_hooks]
    vae = getattr(pipeline, "vae", None)
    return [*hooks, *(["decode"] if vae is not None and "decode" in vars(vae) else [])]


@each_family
@pytest.mark.parametrize("mode", ["free", "check"])
def test_the_guarded_call_gives_the_pictures_of_the_stock_call(guarded, family, mode):
    pipeline = guarded
    call = CALLS[family] | {"output_type": "np"}
    stock = pipeline(**call, generator=seed(9)).images
    before = torch.get_rng_state()
    with eq.guard(pipeline, fit(pipeline, family, mode=mode)) as checked:
        result = checked(**call, generator=seed(9))
    assert np.array_equal(np.stack(result.images), stock)
    assert torch.equal(torch.get_rng_state(), before)
    assert [item.seed for item in result.items] == ["9#0", "9#1"]
    assert not leftovers(pipeline)


@pytest.mark.parametrize(
    ("family", "words", "half"),
    [
        ("stable", {}, 0), ("dit", {}, 1), ("ddpm", {}, None),
        ("stable", {"guidance_scale": 1.0}, None), ("dit", {"guidance_scale": 1.0}, None),
    ],
)  # fmt: skip
def test_the_half_that_is_read_is_that_of_the_empty_condition(family, words, half, request):
    pipeline = request.getfixturevalue(family)
    source = PipelineSource(pipeline)
    site = find_site(source.denoiser)
    given = []
    handle = source.denoiser.network.register_forward_pre_hook(
        lambda _, args, kwargs: given.append((args, kwargs)), with_kwargs=True
    )
    (request_,) = source.ask(**CALLS[family], **words, generator=seed(2))
    watch = Watch((site,), pooling="max", sigmas=None)
    request_.run(watch)
    handle.remove()
    assert request_.guided == (half is not None)
    assert request_.is_conditioned(told=False) == (half is None and family != "ddpm")
    # The same again from what the network was given at its last step.
    args, kwargs = given[-1]
    z = args[0]
    time = kwargs["timestep"] if "timestep" in kwargs else args[1]
    sigma = source.timed.grid.sigmas[int(torch.as_tensor(time).flatten()[0])]
    rows = slice(None) if half is None else slice(2 * half, 2 * half + 2)
    x = z[rows] * (1 + sigma**2) ** 0.5
    level = torch.full((2,), float(sigma))
    if half is not None or family == "ddpm":
        if family == "dit":  # its null class is written into the pipeline
            cond = kwargs["class_labels"][rows]
            assert cond.tolist() == [1000, 1000]
            seen = look(source.denoiser, x.float(), level, site, cond)
        else:
            seen = observe(source.denoiser, x.float(), level, (site,))[site].tensor
        torch.testing.assert_close(watch.seen[float(sigma)][0].float(), seen.float())
    assert watch.seen[float(sigma)][0].shape[0] == 2


@pytest.mark.parametrize(("family", "half"), [("stable", 1), ("dit", 0)])
def test_told_it_is_the_half_with_the_condition(family, half, request):
    source = PipelineSource(request.getfixturevalue(family))
    site, halves = find_site(source.denoiser), []
    (request_,) = source.ask(**CALLS[family], generator=seed(2))
    watch = Watch((site,), pooling="max", sigmas=None, told=True)
    with eq.capture(source.denoiser, site, pooling="max", stop=False) as tape:
        handle = source.denoiser.network.register_forward_hook(
            lambda *_: halves.append(tape[site].double())
        )
        request_.run(watch)
        handle.remove()
    assert request_.is_conditioned(told=True)
    read = [visit for visits in watch.seen.values() for visit in visits]
    wanted = [both.split(2)[half] for both in halves]
    assert all(any(torch.equal(one, other) for other in wanted) for one in read)
    assert not torch.equal(wanted[-1], halves[-1].split(2)[1 - half])


def test_a_told_detector_guards_guided_calls_by_that_half(stable):
    denoiser = build_from_pipeline(stable)
    detector = Spikiness(sites=(find_site(denoiser),), sigma=denoiser.snap(0.5), condition="own")
    calls = [CALLS["stable"] | {"generator": seed(i), "output_type": "np"} for i in range(4)]
    calibration = eq.calibrate_guard(stable, detector, calls, fpr=0.2)
    assert calibration.conditioned
    call = CALLS["stable"] | {"output_type": "np"}
    with eq.guard(stable, calibration) as checked:
        told = checked(**call, generator=seed(9))
    with eq.guard(stable, fit(stable, "stable")) as checked:
        untold = checked(**call, generator=seed(9))
    assert np.array_equal(np.stack(told.images), np.stack(untold.images))
    assert [item.score for item in told.items] != [item.score for item in untold.items]


def look(denoiser, x, sigma, site, cond):
    with torch.no_grad(), eq.capture(denoiser, site) as tape:
        denoiser.denoise(x, sigma, cond)
    return tape[site]


@each_family
def test_the_final_samples_are_what_was_decoded(guarded, family):
    pipeline = guarded
    source = PipelineSource(pipeline)
    (request,) = source.ask(**CALLS[family], generator=seed(4), output_type="np")
    generation = request.run(Watch((), pooling="max", sigmas=()))
    decoded = source.denoiser.decode(generation.x0).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(np.stack(generation.images), decoded, atol=1e-5)


@each_family
def test_resample_draws_with_seeds_that_make_the_picture_again(guarded, family):
    pipeline = guarded
    calibration = fit(pipeline, family).model_copy(update={"promised": 0.6})
    call = CALLS[family] | {"output_type": "np"}
    with eq.guard(pipeline, calibration, "resample", attempts=8) as checked:
        result = next(r for r in map(lambda i: checked(**call, generator=seed(i)), range(20))
                      if any(item.attempt for item in r.items))  # fmt: skip
    row = next(row for row, item in enumerate(result.items) if item.attempt)
    item = result.items[row]
    source = PipelineSource(pipeline)
    (first,) = source.ask(**call, generator=seed(0))
    again = first.again([row], 1)
    again.words["generator"] = [seed(int(item.seed))]
    image = again.run(Watch((), pooling="max", sigmas=())).images[0]
    if item.image is not None:
        np.testing.assert_allclose(image, item.image, atol=1e-5)


@each_family
def test_early_ends_the_call_and_leaves_the_pipeline_usable(guarded, family):
    pipeline = guarded
    call = CALLS[family] | {"output_type": "np"}
    calibration = fit(pipeline, family, mode="early").model_copy(update={"scores": (-1e9,) * 6})
    forwards = []
    network = build_from_pipeline(pipeline).network
    handle = network.register_forward_hook(lambda *_: forwards.append(1))
    with eq.guard(pipeline, calibration, "block") as checked:
        result = checked(**call, generator=seed(1))
    handle.remove()
    assert result.images == [None, None]
    assert len(forwards) < STEPS
    assert not leftovers(pipeline)
    stock = pipeline(**call, generator=seed(1)).images
    assert np.array_equal(stock, pipeline(**call, generator=seed(1)).images)
    assert np.isfinite(stock).all()


def test_another_guidance_or_number_of_steps_is_refused(stable):
    calibration = fit(stable, "stable")
    assert not calibration.conditioned
    with eq.guard(stable, calibration) as checked:
        with pytest.raises(CalibrationError, match="guidance"):
            checked("a", num_inference_steps=STEPS, guidance_scale=1.0)
        with pytest.raises(CalibrationError, match="number of steps"):
            checked("a", num_inference_steps=STEPS + 3)


def test_an_exception_in_a_callback_leaves_the_pipeline_as_it_was(stable):
    def fail(pipeline, step, time, words):
        raise KeyboardInterrupt

    with eq.guard(stable, fit(stable, "stable")) as checked, pytest.raises(KeyboardInterrupt):
        checked(**CALLS["stable"], callback_on_step_end=fail)
    assert not leftovers(stable)


def test_prompts_and_seeds_are_told_output_by_output(stable):
    (request,) = PipelineSource(stable).ask(
        ["a", "b"], num_images_per_prompt=2, negative_prompt=["x", "y"],
        generator=[seed(i) for i in range(4)],
    )  # fmt: skip
    assert request.prompts == ["a", "a", "b", "b"]
    assert request.seeds == ["0", "1", "2", "3"]
    again = request.again([3, 0], 1)
    assert again.prompts == ["b", "a"]
    assert again.words["negative_prompt"] == ["y", "x"]
    assert len(set(again.seeds)) == 2


def test_fixed_latents_cannot_be_drawn_again(stable):
    (request,) = PipelineSource(stable).ask("a", latents=torch.zeros(1, 4, 8, 8))
    with pytest.raises(BadInputError, match="latents was given"):
        request.again([0], 1)


def test_another_pipeline_is_refused_by_name():
    with pytest.raises(BadInputError, match=r"Cannot look into a .dict.: known are Stable"):
        PipelineSource({})


def test_nested_guards_both_judge(stable):
    free, check = fit(stable, "stable"), fit(stable, "stable", mode="check")
    call = CALLS["stable"] | {"output_type": "np"}
    with eq.guard(stable, check) as inner:
        alone = inner(**call, generator=seed(3))

    def callback(pipeline, step, time, words):
        if step == 0:
            assert leftovers(stable)
        return {}

    with Guard(PipelineSource(stable), free) as outer, eq.guard(stable, check) as inner:
        outer(**call, generator=seed(3), callback_on_step_end=callback)
        assert inner(**call, generator=seed(3)).p_values == alone.p_values
    assert not leftovers(stable)
