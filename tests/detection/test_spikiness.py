import numpy as np
import pytest
import torch

from equipoise.denoisers import GaussianDenoiser, IdealDenoiser, build_from_pipeline
from equipoise.detection import DEFAULT_DRAWS, Spikiness, UnitScale, build_default
from equipoise.errors import BadInputError, NonFiniteError, UnknownSiteError
from equipoise.images import content_ids, quantize
from equipoise.representation import capture, measure, select_sites
from equipoise.sampling import draw_noise
from equipoise.theory import (
    ReluDaeDenoiser,
    build_relu_dae,
    generalizing_weights,
    memorizing_weights,
)

SITE = "up_blocks.0.resnets.0.conv2:in"
DETECTOR = Spikiness(sites=(SITE, "up_blocks.1.resnets.0.conv2:in"), sigma=0.1, seed=3)


@pytest.fixture(scope="module")
def text_model(pipeline):
    return build_from_pipeline(pipeline)


@pytest.fixture(scope="module")
def images():
    return torch.rand(67, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def ids(images):
    return content_ids(quantize(images))


@pytest.fixture(scope="module")
def scores(tiny_edm, images, ids):
    return DETECTOR.score(tiny_edm, images, ids).per_draw


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_scores_do_not_depend_on_the_batch_size(tiny_edm, images, ids, scores, batch):
    again = DETECTOR.score(tiny_edm, images, ids, batch=batch).per_draw
    torch.testing.assert_close(again, scores, rtol=2e-6, atol=0)


def test_scores_do_not_depend_on_order_or_company(tiny_edm, images, ids, scores):
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(1))[:20]
    some = DETECTOR.score(tiny_edm, images[order], [ids[i] for i in order]).per_draw
    torch.testing.assert_close(some, scores[order], rtol=2e-6, atol=0)


def test_score_equals_a_slow_twin_that_runs_the_whole_forward(tiny_edm, images, ids, scores):
    """Plain hooks, one image and one draw at a time, statistics by numpy."""
    kept = {}
    modules = dict(tiny_edm.network.named_modules())
    names = [site.removesuffix(":in") for site in DETECTOR.sites]
    handles = [
        modules[name].register_forward_pre_hook(
            lambda _, args, name=name: kept.__setitem__(name, args[0])
        )
        for name in names
    ]
    for row in (0, 40):
        for draw in range(DEFAULT_DRAWS):
            eps = draw_noise((1, 16, 16), seed=3, item_id=ids[row], draw=draw)
            x = (2 * images[row] - 1 + 0.1 * eps)[None]
            with torch.no_grad():
                tiny_edm.denoise(x, torch.tensor([0.1]))
            units = np.concatenate([kept[name].amax((2, 3)).numpy()[0] for name in names])
            assert float(scores[row, draw]) == pytest.approx(units.std(), rel=2e-6)
    for handle in handles:
        handle.remove()


def test_the_seed_changes_the_noise_and_nothing_else(tiny_edm, images, ids, scores):
    same = DETECTOR.score(tiny_edm, images[:4], ids[:4]).per_draw
    other = DETECTOR.model_copy(update={"seed": 4}).score(tiny_edm, images[:4], ids[:4]).per_draw
    torch.testing.assert_close(same, scores[:4], rtol=2e-6, atol=0)
    assert not torch.allclose(other, scores[:4])


def test_the_sign_turns_the_score_around(tiny_edm, images, ids, scores):
    turned = DETECTOR.model_copy(update={"sign": -1}).score(tiny_edm, images[:4], ids[:4])
    torch.testing.assert_close(turned.per_draw, -scores[:4], rtol=2e-6, atol=0)


def test_interval_over_draws_is_student_t(scores, tiny_edm, images, ids):
    from scipy import stats

    found = DETECTOR.score(tiny_edm, images[:5], ids[:5])
    expected = stats.t.interval(
        0.95,
        DEFAULT_DRAWS - 1,
        loc=found.values.numpy(),
        scale=stats.sem(found.per_draw.numpy(), axis=1),
    )
    np.testing.assert_allclose(found.interval().numpy(), np.stack(expected, axis=1), rtol=1e-10)


def test_a_scale_of_other_sites_is_refused(tiny_edm, images, ids):
    scale = UnitScale.fit(torch.randn(10, 3))
    with pytest.raises(BadInputError, match="3 units"):
        DETECTOR.model_copy(update={"scale": scale}).score(tiny_edm, images[:1], ids[:1])


def test_units_are_those_the_score_is_made_of(tiny_edm, images, ids, scores):
    units = DETECTOR.observe_units(tiny_edm, images[:5], ids[:5])
    assert units.shape[:2] == (5, DEFAULT_DRAWS)
    found = DETECTOR.measure_units(units.flatten(0, 1)).reshape(5, DEFAULT_DRAWS)
    torch.testing.assert_close(found, scores[:5], rtol=2e-6, atol=0)


@pytest.mark.slow
def test_told_the_prompt_every_draw_is_looked_at_with_that_of_its_item(text_model):
    told = text_model.encode_prompts(["a", "b c", "d"])
    sites = select_sites(text_model, text_model.default_sites)
    sigma, pictures = text_model.snap(1.0), torch.rand(3, 3, 16, 16)
    detector = Spikiness(
        sites=sites, sigma=sigma, draws=2, seed=4, statistic="l2", sign=-1, condition="own"
    )
    found = detector.score(text_model, pictures, ["a", "b", "c"], conditions=told)
    x0 = text_model.encode(pictures)
    for row, item in enumerate(["a", "b", "c"]):
        for draw in range(2):
            eps = draw_noise(text_model.sample_shape, seed=4, item_id=item, draw=draw)
            with torch.no_grad(), capture(text_model, sites, stop=False) as tape:
                text_model.denoise(
                    (x0[row] + sigma * eps)[None], torch.tensor([sigma]), told[row : row + 1]
                )
                units = torch.cat([tape[site].flatten().double() for site in sites])
            expected = -float(measure(units[None], "l2")[0])
            assert float(found.per_draw[row, draw]) == pytest.approx(expected, rel=1e-4)
    assert found.evaluations == 3 * 2


@pytest.mark.slow
def test_told_the_empty_prompt_it_is_told_nothing(text_model):
    sites = select_sites(text_model, text_model.default_sites)
    detector = Spikiness(sites=sites, sigma=text_model.snap(0.5), draws=2)
    told = detector.model_copy(update={"condition": "own"})
    pictures, empty = torch.rand(3, 3, 16, 16), text_model.encode_prompts(["", "", ""])
    torch.testing.assert_close(
        told.score(text_model, pictures, ["a", "b", "c"], conditions=empty).values,
        detector.score(text_model, pictures, ["a", "b", "c"]).values,
    )
    assert (told.card.name, told.card.needs) == ("told_spikiness", ("condition",))


def test_told_nothing_a_condition_is_not_read(tiny_edm, images, ids, scores):
    again = DETECTOR.score(tiny_edm, images[:2], ids[:2], conditions=torch.zeros(2, 1)).per_draw
    torch.testing.assert_close(again, scores[:2], rtol=2e-6, atol=0)


def test_what_cannot_be_told_is_refused(tiny_edm, images, ids):
    detector = DETECTOR.model_copy(update={"condition": "own"})
    with pytest.raises(BadInputError, match="the model takes none"):
        detector.score(tiny_edm, images[:1], ids[:1])
    with pytest.raises(BadInputError, match="the model takes none"):
        detector.score_samples(tiny_edm, images[:1], ids[:1])


def test_the_specification_survives_json():
    scale = UnitScale.fit(torch.randn(10, 3))
    detector = DETECTOR.model_copy(update={"scale": scale, "statistic": "hoyer"})
    assert Spikiness.model_validate_json(detector.model_dump_json()) == detector


@pytest.mark.parametrize(
    "wrong",
    [{"sigma": 0}, {"draws": 0}, {"statistic": "mad"}, {"sites": ()}, {"sign": 2}],
    ids=str,
)
def test_a_wrong_specification_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Spikiness(**({"sites": (SITE,), "sigma": 0.1} | wrong))


def test_bad_items_are_named(tiny_edm, images, ids):
    broken = images[:3].clone()
    broken[1, 0, 2, 2] = float("nan")
    with pytest.raises(NonFiniteError, match=ids[1]):
        DETECTOR.score(tiny_edm, broken, ids[:3])
    with pytest.raises(BadInputError, match="3 image"):
        DETECTOR.score(tiny_edm, images[:3], ids[:2])
    with pytest.raises(UnknownSiteError, match="mid_block"):
        DETECTOR.model_copy(update={"sites": ("mid_blok:in",)}).score(
            tiny_edm, images[:1], ids[:1]
        )


def test_the_default_is_the_papers_statistic(tiny_edm):
    detector = build_default(tiny_edm)
    assert (detector.statistic, detector.pooling, detector.scale) == ("std", "max", None)
    told = build_default(tiny_edm, told=True)
    assert told.sites == select_sites(tiny_edm, tiny_edm.default_sites)
    assert len(told.sites) > len(detector.sites)
    assert (told.condition, told.statistic) == ("own", "std")
    assert told.sigma > detector.sigma
    assert detector.sites == (SITE,)
    assert detector.sigma == pytest.approx(0.2 * tiny_edm.data_std)


def test_bfloat16_says_nearly_the_same(tiny_edm, images, ids, scores):
    rounded = DETECTOR.model_copy(update={"precision": "bfloat16"})
    found = rounded.score(tiny_edm, images[:8], ids[:8]).per_draw
    torch.testing.assert_close(found, scores[:8], rtol=0.05, atol=0)


@pytest.mark.parametrize("statistic", ["l4_l2", "kurtosis", "hoyer"])
def test_pole_of_truth_memorizing_weights_are_spikier(statistic):
    """ReLU-DAEs with the closed-form weights of Eqs. 9 and 8, at their own training samples."""
    generator = torch.Generator().manual_seed(0)
    dim, sigma = 48, 0.2
    means = 6 * torch.linalg.qr(torch.randn(dim, 3, generator=generator).double()).Q.T
    means = means - means.mean(0)
    clusters = [m + 0.6 * torch.randn(200, dim, generator=generator).double() for m in means]
    few = torch.stack([cluster[0] for cluster in clusters])
    memorizing = memorizing_weights(few, sigma=sigma, weight_decay=1e-6, num_units=24)
    generalizing = generalizing_weights(clusters, sigma=sigma, weight_decay=1e-6, rank=8)
    detector = Spikiness(sites=("decoder:in",), sigma=sigma, statistic=statistic)
    found = [
        detector.score(
            ReluDaeDenoiser(build_relu_dae(weights.W), (dim,), 1.0),
            few,
            [f"sample {i}" for i in range(len(few))],
        ).values
        for weights in (memorizing, generalizing)
    ]
    assert found[0].min() > found[1].max()


def test_pole_of_truth_residual_tells_ideal_from_gaussian():
    from equipoise.bench.baselines import DenoisingResidual

    points = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
    covariance = torch.cov(points.T)
    residual = DenoisingResidual(sigma=0.3)
    ids = [str(i) for i in range(20)]
    ideal = residual.score(IdealDenoiser(points), points, ids).values
    gaussian = residual.score(GaussianDenoiser(points.mean(0), covariance), points, ids).values
    assert ideal.min() > gaussian.max()


def test_a_record_says_what_the_model_is_told_where_it_is_told_anything():
    assert "condition" not in DETECTOR.describe()
    told = DETECTOR.model_copy(update={"condition": "own"})
    assert told.describe() == DETECTOR.describe() | {"condition": "own"}
