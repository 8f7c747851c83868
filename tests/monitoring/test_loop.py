import pyarrow.parquet as pq
import pytest
import torch

import equipoise as eq
from equipoise.errors import RunError
from equipoise.runs import check_run, load_run

# Thirty training images that the toy knows after its onset, and ninety it never does.


def watch(loop, model, images, **words):
    words = {"every": 2, "checks": 5} | words
    return eq.monitor(loop, model, training=images[:30], held_out=images[30:], **words)


@pytest.mark.slow
def test_the_alarm_comes_at_the_onset_and_names_the_images(
    images, build_toy, build_steps, tmp_path
):
    denoiser, kept = build_toy(), []
    watched = watch(
        build_steps(denoiser), denoiser, images, out=tmp_path / "run",
        keep=lambda step, state: kept.append((step, state["step"])),
        count_copies=lambda model: float(model.network.dial),
    )  # fmt: skip
    assert [step for step, _ in watched] == list(range(1, 13))
    assert [check.step for check in watched.checks] == [2, 4, 6, 8, 10]
    assert watched.stop is watched.checks[2]
    assert kept == [(2, 2), (4, 4)]
    assert [check.copies for check in watched.checks] == [0, 0, 1, 1, 1]
    assert len(watched.checks[-1].onsets) >= 28
    assert set(watched.checks[-1].onsets.values()) == {6}
    assert watched.checks[-1].residual["value"] > 0.95 > watched.checks[0].residual["value"]
    run = load_run(tmp_path / "run")
    assert (run.record.kind, run.record.status) == ("monitor", "finished")
    assert run.record.results["stop"] == 6
    assert run.record.results["checks"][2]["onsets"][0] == {"index": 0, "onset": 6}
    assert set(check_run(tmp_path / "run").values()) == {"ok"}
    rows = pq.read_table(tmp_path / "run" / "monitor" / "check-000000010.parquet").to_pydict()
    assert rows["side"] == ["training"] * 30 + ["held_out"] * 90
    assert rows["index"][:30] == list(range(30))
    assert sum(map(bool, rows["named"][:30])) == len(watched.checks[-1].onsets)


@pytest.mark.slow
def test_a_training_that_memorizes_nothing_goes_on(images, build_toy, build_steps):
    denoiser = build_toy()
    watched = watch(build_steps(denoiser, onset=None), denoiser, images)
    assert len(list(watched)) == 12
    assert watched.stop is None
    assert not watched.checks[-1].onsets


@pytest.mark.slow
def test_random_state_and_mode_are_those_of_the_loop_without_it(images, build_toy, build_steps):
    denoiser = build_toy()
    denoiser.network.train()
    drawn = []
    for watching in (False, True):
        torch.manual_seed(3)
        loop = build_steps(denoiser)
        for _ in watch(loop, lambda state: denoiser, images) if watching else loop:
            assert denoiser.network.drop.training
        drawn.append(loop.drawn)
    assert drawn[0] == drawn[1]


@pytest.mark.slow
def test_leaving_the_loop_finishes_the_run_and_a_failure_does_not(
    images, build_toy, build_steps, tmp_path
):
    denoiser = build_toy()
    watched = watch(build_steps(denoiser), denoiser, images, out=tmp_path / "left")
    for _ in watched:
        if watched.stop:
            break
    assert load_run(tmp_path / "left").record.results["stop"] == 6

    def fail():
        yield from build_steps(denoiser, count=3)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        list(watch(fail(), denoiser, images, out=tmp_path / "failed"))
    run = load_run(tmp_path / "failed")
    assert run.record.status == "running"
    assert [check["step"] for check in run.record.results["checks"]] == [2]
    with pytest.raises(RunError, match="exists already"):
        list(watch(fail(), denoiser, images, out=tmp_path / "failed"))


@pytest.mark.slow
def test_a_budget_leaves_checks_out_and_a_resumed_loop_counts_on(images, build_toy, build_steps):
    denoiser = build_toy()
    watched = watch(build_steps(denoiser), denoiser, images, budget=1e-9, start=100)
    assert list(dict(watched)) == list(range(101, 113))
    assert [check.step for check in watched.checks] == [102]


@pytest.mark.slow
def test_a_zoo_training_with_a_monitor_is_that_without_bit_for_bit():
    from equipoise.zoo.network import build_denoiser
    from equipoise.zoo.package import load_zoo
    from equipoise.zoo.recipe import RECIPES
    from equipoise.zoo.training import start_training, train

    model = load_zoo("edm-fashion")
    recipe = RECIPES["edm-fashion"].model_copy(update={"batch": 8, "steps": 6})
    ends = []
    for watching in (False, True):
        state = start_training(build_denoiser(recipe, model.denoiser.data_std), recipe)
        loop = train(state, model.build_lesson(), recipe)
        if watching:
            loop = (
                state
                for _, state in eq.monitor(
                    loop, state.average, training=model.training_set.images,
                    held_out=model.held_out[:40], every=2, probe=40,
                )
            )  # fmt: skip
        *_, last = loop
        ends.append(last)
    for network in ("network", "average"):
        pair = [getattr(end, network) for end in ends]
        states = [getattr(one, "network", one).state_dict() for one in pair]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert ends[0].loss == ends[1].loss
