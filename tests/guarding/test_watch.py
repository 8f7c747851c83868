import pytest
import torch

from equipoise.detection import Calibration, Look, Spikiness, UnitScale
from equipoise.errors import CalibrationError
from equipoise.guarding.watch import JudgingWatch, Watch, combine_looks, score_look

SITES = ("a:in", "b:in")


def build_look(sigma, *, visits=1, mean=0.0, std=1.0):
    scale = UnitScale(mean=(1.0,) * 5, std=(2.0,) * 5)
    detector = Spikiness(sites=SITES, sigma=sigma, draws=visits, scale=scale, statistic="l2")
    return Look(detector=detector, mean=mean, std=std)


def show(seed, cases=3):
    generator = torch.Generator().manual_seed(seed)
    return {
        "a:in": torch.randn(cases, 2, generator=generator),
        "b:in": torch.randn(cases, 3, generator=generator),
    }


def test_only_the_wanted_levels_are_kept_and_each_visit_apart():
    watch = Watch(SITES, pooling="max", sigmas=[0.5, 0.1])
    for sigma in (2.0, 0.50001, 0.5, 0.1):
        watch.note(sigma, show(0))
    assert {sigma: len(visits) for sigma, visits in watch.seen.items()} == {0.5: 2, 0.1: 1}
    assert watch.seen[0.1][0].shape == (3, 5)
    assert Watch(SITES, pooling="max", sigmas=None).find(7.0) == 7.0
    assert not Watch(SITES, pooling="max", sigmas=()).reads


def test_a_look_scores_the_mean_over_its_visits_in_units_of_novel_outputs():
    look = build_look(0.5, visits=2, mean=3.0, std=4.0)
    visits = [torch.randn(3, 5, dtype=torch.float64) for _ in range(2)]
    by_hand = sum(((v - 1) / 2).square().sum(dim=1).sqrt() for v in visits) / 2
    torch.testing.assert_close(score_look(look, visits), (by_hand - 3) / 4)


def test_free_takes_the_mean_of_the_looks_and_early_their_maximum():
    looks = [build_look(0.5), build_look(0.1)]
    seen = {sigma: [torch.randn(3, 5, dtype=torch.float64)] for sigma in (0.5, 0.1)}
    columns = torch.stack([score_look(look, seen[look.detector.sigma]) for look in looks])
    torch.testing.assert_close(combine_looks(looks, seen, mode="free"), columns.mean(dim=0))
    torch.testing.assert_close(combine_looks(looks, seen, mode="early"), columns.amax(dim=0))


def build_calibration(mode):
    looks = (build_look(0.5, visits=2), build_look(0.1))
    return Calibration(
        detector=looks[-1].detector, fingerprint="0" * 16, null="own outputs", promised=0.1,
        scores=tuple(range(19)), domain={}, mode=mode, looks=looks,
    )  # fmt: skip


def show_rows(*levels):
    """Give outputs whose units all lie so many scaled steps from the mean of novel ones."""
    rows = torch.tensor(levels)[:, None]
    return {"a:in": 1 + 2 * rows.expand(-1, 2), "b:in": 1 + 2 * rows.expand(-1, 3)}


def test_early_is_done_as_soon_as_all_are_flagged_and_not_before():
    watch = JudgingWatch(build_calibration("early"))
    for _ in range(2):
        assert not watch.done
        watch.note(0.5, show_rows(100.0, 0.0))
    assert not watch.done
    with pytest.raises(CalibrationError, match="the sampler and the number of steps"):
        watch.score()
    other = JudgingWatch(build_calibration("early"))
    for _ in range(2):
        assert not other.done
        other.note(0.5, show_rows(100.0, 200.0))
    assert other.done
    expected = torch.tensor([100.0, 200.0]).double() * 5**0.5
    torch.testing.assert_close(other.score(), expected)


def test_free_is_never_done_early():
    watch = JudgingWatch(build_calibration("free"))
    for _ in range(2):
        watch.note(0.5, show_rows(100.0))
    assert not watch.done
