import pytest
import torch

from equipoise.errors import BadInputError, CalibrationError
from equipoise.guarding.guard import Guard
from equipoise.guarding.sampler import SamplerSource
from equipoise.runs import read_part
from equipoise.sampling import sample_items

pytestmark = pytest.mark.slow
IDS = [f"new/{row}" for row in range(24)]


@pytest.fixture
def source(subject):
    yield SamplerSource(subject)
    subject.denoiser.network.fails_at = None


def make_images(subject):
    sigmas = subject.sampler.list_sigmas(subject.denoiser)
    parts = sample_items(subject.denoiser, IDS, sigmas, seed=5, batch=16)
    return subject.denoiser.decode(torch.cat(list(parts)))


def list_hooks(network):
    return [
        (name, len(m._forward_hooks), len(m._forward_pre_hooks))
        for name, m in network.named_modules()
        if m._forward_hooks or m._forward_pre_hooks
    ]


def lower(calibration, share):
    """Move the threshold so that about `share` of outputs is flagged."""
    return calibration.model_copy(update={"promised": share})


@pytest.mark.parametrize("mode", ["free", "check", "early"])
def test_the_guard_changes_no_picture_and_no_random_state(subject, source, fitted, mode):
    plain = make_images(subject)
    before = torch.get_rng_state()
    with Guard(source, fitted(mode)) as checked:
        result = checked(IDS, seed=5)
    finished = [row for row, image in enumerate(result.images) if image is not None]
    assert len(finished) >= 16
    assert torch.equal(torch.stack([result.images[row] for row in finished]), plain[finished])
    assert torch.equal(torch.get_rng_state(), before)
    assert not list_hooks(subject.denoiser.network)
    assert result.evaluations == (24 if mode == "check" else 0)


@pytest.mark.parametrize("mode", ["free", "check"])
def test_free_makes_no_forward_and_check_one_that_is_truncated(subject, source, fitted, mode):
    network = subject.denoiser.network
    network.forwards = 0
    with Guard(source, fitted(mode)) as checked:
        checked(IDS, seed=5)
    assert network.forwards == 24 * 7  # a check stops before it is counted


def test_verdicts_are_those_of_the_calibration_and_outputs_of_its_own_are_ranked_in_it(
    source, fitted
):
    calibration = lower(fitted("free"), 0.3)
    with Guard(source, calibration) as checked:
        result = checked(IDS, seed=5)
    assert {"memorized", "not_memorized"} == set(result.verdicts)
    for item in result.items:
        assert (item.verdict == "memorized") == (item.p_value <= 0.3)
        assert item.p_value == (1 + sum(s >= item.score for s in calibration.scores)) / 31


def test_block_withholds_what_is_flagged_and_nothing_else(source, fitted, tmp_path):
    log = tmp_path / "log.parquet"
    with Guard(source, lower(fitted("free"), 0.3), action="block", log=log) as checked:
        result = checked(IDS, seed=5)
    withheld = [image is None for image in result.images]
    assert withheld == [verdict == "memorized" for verdict in result.verdicts]
    rows = read_part(log).to_pylist()
    assert [row["seed"] for row in rows] == [
        item.seed for item in result.items if item.verdict == "memorized"
    ]
    assert {(row["mode"], row["action"], row["attempt"]) for row in rows} == {("free", "block", 0)}


def test_resample_draws_only_the_flagged_anew_and_withholds_what_never_passes(source, fitted):
    calibration = lower(fitted("free"), 0.3)
    with Guard(source, calibration) as checked:
        first = checked(IDS, seed=5)
    with Guard(source, calibration, action="resample", attempts=1) as checked:
        result = checked(IDS, seed=5)
    for old, new in zip(first.items, result.items, strict=True):
        if old.verdict == "not_memorized":
            assert torch.equal(old.image, new.image)
            assert new.attempt == 0
        else:
            assert new.attempt == 1
            assert new.seed == f"{old.seed}/again-1"
            assert (new.image is None) == (new.verdict == "memorized")
    assert result.verdicts.count("memorized") < first.verdicts.count("memorized")


def test_a_function_gives_the_image_instead(source, fitted):
    with Guard(source, lower(fitted("free"), 0.3), action=lambda item: item.seed) as checked:
        result = checked(IDS, seed=5)
    for item in result.items:
        assert (item.image == item.seed) if item.verdict == "memorized" else item.image is not None


def test_early_ends_a_batch_whose_outputs_are_all_flagged(subject, source, fitted):
    network = subject.denoiser.network
    with Guard(source, lower(fitted("early"), 0.5)) as checked:
        verdicts = checked(IDS, seed=5).verdicts
        worst = IDS[verdicts.index("memorized")]
        network.forwards = 0
        result = checked([worst], seed=5)
    assert result.verdicts == ["memorized"]
    assert result.images == [None]
    assert 0 < network.forwards < 7


def test_a_failure_inside_leaves_the_network_as_it_was(subject, source, fitted):
    network = subject.denoiser.network
    network.forwards, network.fails_at = 0, 24 * 5
    with Guard(source, fitted("free")) as checked:
        with pytest.raises(RuntimeError, match="on fire"):
            checked(IDS, seed=5)
        assert not list_hooks(network)
        network.fails_at = None
        assert len(checked(IDS, seed=5).items) == 24


def test_guards_nest(subject, source, fitted):
    with Guard(source, fitted("free")) as outer, Guard(source, fitted("check")) as inner:
        assert inner(IDS[:3], seed=5).evaluations == 3
        assert outer(IDS[:3], seed=5).p_values
    assert not list_hooks(subject.denoiser.network)


def test_what_does_not_fit_is_refused(subject, source, fitted, tiny_edm):
    calibration = fitted("free")
    with pytest.raises(CalibrationError, match="fitted on finished pictures"):
        Guard(source, calibration.model_copy(update={"mode": "image", "looks": ()}))
    with pytest.raises(CalibrationError, match="belongs to the model"):
        Guard(source, calibration.model_copy(update={"fingerprint": "0" * 16}))
    with pytest.raises(CalibrationError, match='in mode "free" and is asked to judge in'):
        calibration.check_model(subject.denoiser)
    with pytest.raises(BadInputError, match="attempts=1 or more"):
        Guard(source, calibration, attempts=0)
    with pytest.raises(BadInputError, match="inside its `with`"):
        Guard(source, calibration)(IDS, seed=5)
    other = calibration.model_copy(update={"conditioned": True})
    with Guard(source, other) as checked, pytest.raises(CalibrationError, match="guidance"):
        checked(IDS, seed=5)


def test_another_number_of_steps_is_refused(subject, fitted):
    from dataclasses import replace

    sampler = subject.sampler.model_copy(update={"steps": 6})
    with Guard(SamplerSource(replace(subject, sampler=sampler)), fitted("free")) as checked:
        with pytest.raises(CalibrationError, match="the sampler and the number of steps"):
            checked(IDS, seed=5)
