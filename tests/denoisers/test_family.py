"""Every family of text-to-image pipelines through every door: tiny, random, offline.

What the stock pipeline tells its network in a call of its own is the truth; the adapter must tell
the same.
"""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.auditing.job import run_audit
from equipoise.auditing.parts import AuditRequest, build_audit
from equipoise.auditing.reference import calibrate_model
from equipoise.denoisers import Family, register_family
from equipoise.denoisers.flux import build_flux
from equipoise.denoisers.flux import unpack as unpack_flux
from equipoise.denoisers.network_call import find_empty, read_call
from equipoise.detection import Spikiness
from equipoise.errors import BadInputError, CalibrationError
from equipoise.representation import select_sites, sites

from . import tiny

pytestmark = [
    pytest.mark.slow,  # diffusers takes seconds to import
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Euler's
]

SIZE = (16, 24)
NAMES = [name for name in tiny.BUILDERS if name != "flux-schnell"]
EVERY = pytest.mark.parametrize("name", NAMES)
FOLDERS = pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("flux-2")])
STEPS = 3


def call(name, **words):
    """Words of a call of the stock pipeline."""
    own = {"use_resolution_binning": False} if name.startswith("pixart") else {}
    size = dict(zip(("height", "width"), SIZE, strict=True))
    return {"prompt": ["a b", "c"], "num_inference_steps": STEPS, **size, **own, **words}


def seeded(number):
    return torch.Generator().manual_seed(number)


class Recorder:
    """Keeps what a network is told, by the names of its arguments."""

    def __init__(self, denoiser):
        self.denoiser, self.told = denoiser, []

    def __enter__(self):
        self.handle = self.denoiser.network.register_forward_pre_hook(self.keep, with_kwargs=True)
        return self.told

    def __exit__(self, *_):
        self.handle.remove()

    def keep(self, _, args, kwargs):
        self.told.append((args, kwargs, read_call(self.denoiser, args, kwargs)))


def flatten(args, kwargs):
    """List the tensors of a call, with those of mappings inside, by their size."""
    values = [*args, *kwargs.values()]
    inner = [v for value in values if isinstance(value, dict) for v in value.values()]
    return [v for v in (*values, *inner) if isinstance(v, torch.Tensor) and v.numel() > 1]


def test_a_known_class_keeps_its_family():
    with pytest.raises(BadInputError, match="known already"):
        register_family("FluxPipeline", Family("mine", build_flux))


@EVERY
def test_the_network_is_told_what_the_stock_call_tells_it(name):
    pipeline = tiny.build_pipeline(name)
    model = eq.load(pipeline, size=SIZE)
    with Recorder(model) as stock:
        pipeline(**call(name, guidance_scale=1.0, generator=seeded(1), output_type="np"))
    args, kwargs, read = stock[-1]
    assert len(stock) == STEPS
    z = read.sample if read.sample.ndim == 4 else unpack(name, read.sample)
    sigma = read.sigma.float()
    scale = 1 + sigma if model.prediction == "flow" else (1 + sigma**2).sqrt()
    if model.prediction != "flow":
        sigma = torch.full_like(sigma, model.snap(float(sigma[0])))
    if name in ("flux-dev", "flux-2"):
        model = eq.load(pipeline, size=SIZE, guidance=1.0)
    with Recorder(model) as own:
        model.denoise(z * scale.reshape(-1, 1, 1, 1), sigma, model.encode_prompts(["a b", "c"]))
    expected, found = flatten(args, kwargs), flatten(*own[0][:2])
    assert len(found) >= len(expected)  # a time may be one number there and a row here
    for one in expected:
        assert any(
            two.shape == one.shape and torch.allclose(two.float(), one.float(), atol=1e-3)
            for two in found
        ), one.shape


def unpack(name, tokens):
    if name.startswith("flux-2"):
        return tokens.transpose(1, 2).unflatten(2, (SIZE[0] // 4, SIZE[1] // 4))
    return unpack_flux(tokens, SIZE[0] // 2, SIZE[1] // 2)


@EVERY
def test_the_levels_are_those_of_its_own_scheduler(name):
    pipeline = tiny.build_pipeline(name)
    model = eq.load(pipeline, size=SIZE)
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(5, **({"mu": 0.7} if name.startswith("flux") else {}))
    unit = 1000 / getattr(model.grid, "unit", 1000)
    found = model.grid.find_sigma(scheduler.timesteps.double() / unit)
    if hasattr(scheduler, "sigmas"):
        told = scheduler.sigmas[:5].double()
        expected = told / (1 - told) if model.prediction == "flow" else told
    else:
        abar = scheduler.alphas_cumprod[scheduler.timesteps.long()].double()
        expected = ((1 - abar) / abar).sqrt()
    # The first time of a flow is noise alone, and has no level.
    rows = slice(1 if model.prediction == "flow" else 0, None)
    torch.testing.assert_close(found[rows], expected[rows], rtol=2e-3, atol=0)


@EVERY
def test_a_forward_that_stops_sees_what_the_whole_one_sees(name):
    model = eq.load(tiny.build_pipeline(name), size=SIZE)
    found = select_sites(model, model.default_sites)
    assert all(site.calls == 1 for site in sites(model) if site.name in found)
    x, sigma = torch.randn(2, *model.sample_shape), torch.full((2,), model.snap(0.3))
    seen = []
    for stop in (True, False):
        with torch.no_grad(), eq.capture(model, found, pooling="none", stop=stop) as tape:
            model.denoise(x, sigma)
        seen.append(dict(tape))
    for site in found:
        assert torch.equal(seen[0][site], seen[1][site])


@FOLDERS
def test_a_saved_folder_opens_and_calibrates_for_pictures_of_any_shape(name, tmp_path):
    pipeline = tiny.build_pipeline(name)
    pipeline.save_pretrained(tmp_path / "model")
    live = eq.load(pipeline, size=SIZE)
    opened = eq.load(tmp_path / "model", size=SIZE)
    images = torch.rand(9, *opened.image_shape, generator=seeded(0))
    scores = eq.spikiness(live, images).values
    torch.testing.assert_close(eq.spikiness(opened, images).values, scores)
    judged = eq.calibrate(opened, images, fpr=0.1)(images)
    assert len(judged.verdicts) == 9
    assert opened.decode(opened.encode(images)).shape == images.shape


@FOLDERS
def test_fresh_outputs_of_a_folder_are_calibrated_and_audited(name, tmp_path):
    source = tmp_path / "model"
    tiny.build_pipeline(name).save_pretrained(source)
    (tmp_path / "prompts.txt").write_text("a b\nc\n")
    asked = {"prompts": tmp_path / "prompts.txt", "size": SIZE}
    found = calibrate_model(str(source), generate=9, fpr=0.1, seed=0, **asked)
    found.calibration.save(tmp_path / "calibration.json")
    assert found.calibration.picture_shape == (3, *SIZE)
    audit = build_audit(
        AuditRequest(
            model=str(source), generate=4, calibration=tmp_path / "calibration.json", **asked
        )
    )
    results = run_audit(audit, tmp_path / "run").record.results
    assert (results["items"], results["failed"]) == (4, 0)
    with pytest.raises(CalibrationError, match="two sizes"):
        found.calibration.check_model(eq.load(source))


@EVERY
def test_steering_at_strength_zero_is_the_stock_picture(name):
    pipeline = tiny.build_pipeline(name)
    model = eq.load(pipeline, size=SIZE)
    pictures = torch.rand(4, *model.image_shape, generator=seeded(3))
    vector = eq.concept(
        model, positive=pictures[:2], negative=pictures[2:], sites=model.default_sites[-1],
        kind="pooled",
    )  # fmt: skip
    words = call(name, output_type="np")
    stock = pipeline(**words, generator=seeded(5)).images
    guidance = "cond" if find_empty(model) is not None else "both"
    with eq.steer(pipeline, vector, strength=[2.0, 0.0], guidance=guidance):
        steered = pipeline(**words, generator=seeded(5)).images
    assert np.array_equal(steered[1], stock[1])
    assert not np.array_equal(steered[0], stock[0])
    assert np.array_equal(pipeline(**words, generator=seeded(5)).images, stock)


def fit(name, *, mode, **words):
    pipeline = tiny.build_pipeline(name)
    model = eq.load(pipeline)
    detector = Spikiness(sites=model.default_sites[-1:], sigma=model.snap(0.5))
    calls = [call(name, **words, generator=seeded(i)) for i in range(5)]
    return eq.calibrate_guard(pipeline, detector, calls, mode=mode, fpr=0.2)


@pytest.mark.parametrize(
    ("name", "mode"), [*((name, "free") for name in NAMES), ("flux-dev", "check")]
)
def test_the_guard_judges_stock_pictures(name, mode):
    pipeline = tiny.build_pipeline(name)
    calibration = fit(name, mode=mode, output_type="np")
    words = call(name, output_type="np")
    stock = pipeline(**words, generator=seeded(9)).images
    with eq.guard(pipeline, calibration) as checked:
        result = checked(**words, generator=seeded(9))
    assert np.array_equal(np.stack(result.images), stock)
    assert calibration.conditioned == (name.startswith("flux") and mode == "free")
    assert all(0 < p <= 1 for p in result.p_values)


@pytest.mark.parametrize("name", ["stable-diffusion-xl", "pixart-sigma", "flux-dev"])
def test_a_guard_ends_a_call_early_with_the_flag_or_without(name):
    pipeline = tiny.build_pipeline(name)
    assert hasattr(type(pipeline), "interrupt") == (name != "pixart-sigma")
    words = {"num_inference_steps": 6}
    calibration = fit(name, mode="early", **words).model_copy(update={"scores": (-1e9,) * 6})
    with Recorder(eq.load(pipeline)) as told, eq.guard(pipeline, calibration, "block") as checked:
        result = checked(**call(name, **words, generator=seeded(1)))
    assert result.images == [None, None]
    assert len(told) < 6
