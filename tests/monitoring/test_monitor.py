import pytest

from equipoise.errors import BadInputError, RunError
from equipoise.monitoring.monitor import Monitor, MonitorSpec
from equipoise.runs import load_run, read_part


@pytest.mark.parametrize("words", [{"every": 0}, {"false_stops": 1.0}, {"budget": 2.0}])
def test_numbers_out_of_their_range_are_refused(images, words):
    with pytest.raises(BadInputError, match=f"Cannot monitor with {next(iter(words))}="):
        Monitor(images[:30], images[30:], MonitorSpec(**({"every": 2} | words)))


@pytest.mark.slow
def test_a_resumed_training_has_the_checks_of_an_unbroken_one(images, build_toy, tmp_path):
    denoiser = build_toy()

    def watch(folder, steps, start=0):
        monitor = Monitor(images[:30], images[30:], MonitorSpec(2, checks=5), out=folder)
        monitor.begin(start)
        for step in steps:
            denoiser.network.dial.data.fill_(float(step >= 5))
            monitor.observe(step, lambda: denoiser)
        return monitor

    whole = watch(tmp_path / "whole", range(1, 11))
    whole.finish()
    watch(tmp_path / "parts", range(1, 8))  # broken after 7, gone on with from 4
    parts = watch(tmp_path / "parts", range(5, 11), start=4)
    parts.finish()
    for one, other in zip(whole.checks, parts.checks, strict=True):
        assert one.describe() | {"seconds": 0} == other.describe() | {"seconds": 0}
    assert parts.stop.step == 6
    record = load_run(tmp_path / "parts").record
    assert record.status == "finished"
    assert [int(name[-17:-8]) for name in sorted(record.files)] == [2, 4, 6, 8, 10]
    other = Monitor(images[:40], images[50:], MonitorSpec(2, checks=5), out=tmp_path / "parts")
    with pytest.raises(RunError, match="another spec: held_out, images, training differ"):
        other.begin(4)
    with pytest.raises(RunError, match="exists already"):
        watch(tmp_path / "parts", ())


@pytest.mark.slow
def test_a_training_that_was_killed_while_it_wrote_goes_on(images, build_toy, tmp_path):
    denoiser, folder = build_toy(), tmp_path / "run"

    def watch(steps, start=0):
        monitor = Monitor(images[:30], images[30:], MonitorSpec(2, checks=5), out=folder)
        monitor.begin(start)
        for step in steps:
            monitor.observe(step, lambda: denoiser)
        return monitor

    files = folder / "monitor"
    watch(range(1, 5))
    (files / "check-000000006.parquet").write_bytes(
        (files / "check-000000004.parquet").read_bytes()
    )
    assert [check.step for check in watch((), start=6).checks] == [2, 4]  # not in the record
    assert not (files / "check-000000006.parquet").exists()
    assert [check.step for check in watch((), start=2).checks] == [2]
    assert [check.step for check in watch(range(3, 7), start=2).checks] == [2, 4, 6]
    (files / "check-000000002.parquet").unlink()
    with pytest.raises(RunError, match="has 3 checks in its record and 2 of their files"):
        watch((), start=6)


def test_a_monitor_that_was_not_begun_sees_nothing(images, build_toy):
    monitor = Monitor(images[:30], images[30:], MonitorSpec(2, checks=5))
    with pytest.raises(BadInputError, match="has not begun"):
        monitor.observe(2, build_toy)


@pytest.mark.slow
def test_without_training_images_outputs_draw_the_curves_and_nothing_is_stopped(
    images, build_toy, tmp_path
):
    denoiser = build_toy()
    monitor = Monitor(
        None, images[30:], MonitorSpec(2, checks=5, probe=25), out=tmp_path / "run",
        generate=lambda model: images[:30] if float(model.network.dial) else images[30:60],
    )  # fmt: skip
    monitor.begin()
    for step in (2, 4):
        denoiser.network.dial.data.fill_(float(step >= 4))
        monitor.observe(step, lambda: denoiser)
    monitor.finish()
    calm, memorized = monitor.checks
    assert 0.4 < calm.residual["value"] < 0.6
    assert memorized.residual["value"] > 0.95
    assert (memorized.p_value, memorized.stops, memorized.onsets) == (None, False, {})
    rows = read_part(tmp_path / "run" / "monitor" / "check-000000004.parquet").to_pydict()
    assert rows["side"] == ["generated"] * 25 + ["held_out"] * 90
    assert set(rows["p_value"]) == set(rows["named"]) == {None}
    assert "no stop rule without training images" in (tmp_path / "run/report.html").read_text()


def test_training_images_or_outputs_are_needed_and_not_both(images):
    for training, generate in ((None, None), (images[:30], lambda _: images[:30])):
        with pytest.raises(BadInputError, match="either training=, images the model is trained"):
            Monitor(training, images[30:], MonitorSpec(2), generate=generate)
