"""The whole comparison, with a detector that the library does not know."""

from dataclasses import dataclass

import pytest
from safetensors.numpy import load_file

from equipoise.bench.comparison import run_bench
from equipoise.bench.parts import load_parts
from equipoise.detection import Card, Scores, Stopwatch, score_draws
from equipoise.detection.conformance import check_detector
from equipoise.report import render_report


@dataclass(frozen=True)
class FixedPoint:
    """Thirty lines that nobody registered: a memorized image stays where it is."""

    sigma: float

    @property
    def card(self):
        return Card(
            name="fixed_point", source="this test", formula="-||D(x0) - x0||",
            evaluations=1, direction="a memorized image stays where it is",
        )  # fmt: skip

    def score(self, denoiser, images, ids, *, conditions=None, batch=64):
        watch = Stopwatch()

        def measure_noisy(noisy):
            empty = denoiser.null_condition(len(noisy.x0))
            moved = denoiser.denoise(noisy.x0, noisy.sigma, empty) - noisy.x0
            return -moved.flatten(1).norm(dim=1)

        per_draw = score_draws(
            denoiser, images, ids, measure_noisy, sigma=self.sigma, draws=1, seed=0, batch=batch
        )
        return Scores(per_draw, evaluations=len(ids), seconds=watch.seconds)


def test_a_detector_from_outside_keeps_the_contract():
    check_detector(FixedPoint(sigma=0.1))


@pytest.mark.slow
def test_a_detector_from_outside_appears_in_the_table(tmp_path):
    parts = load_parts("zoo:edm-fashion")
    detector = FixedPoint(sigma=0.5 * parts.model.denoiser.data_std)
    run = run_bench(
        [parts], tmp_path / "run", seed=2, detectors=["intrinsic_dimension", "noise_gap"],
        outside=[detector], num_samples=420,
    )  # fmt: skip
    rows = {row["detector"]: row for row in run.record.results["rows"]}
    wanted = ["intrinsic_dimension", "noise_gap", "denoising_residual", "fixed_point"]
    assert list(rows) == wanted
    assert rows["fixed_point"]["auroc"]["value"] > 0.8
    assert rows["denoising_residual"]["auroc"]["value"] > 0.9
    assert rows["denoising_residual"]["baseline"]
    assert "takes none" in rows["noise_gap"]["reason"]
    assert rows["noise_gap"]["auroc"] is None
    assert set(rows["fixed_point"]) == set(rows["noise_gap"])
    low, high = (rows["fixed_point"]["minus_residual"][end] for end in ("low", "high"))
    assert low <= rows["fixed_point"]["minus_residual"]["value"] <= high
    columns = load_file(run.path / "tensors" / "scores-0.safetensors")
    items = run.read_items()
    assert {len(column) for column in columns.values()} == {len(items)}
    page = render_report(run.path).read_text()
    assert "fixed point" in page
    assert "takes none" in page


@pytest.mark.slow
def test_a_full_bench_adds_earlier_saves_and_trials(tmp_path):
    parts = load_parts("zoo:edm-fashion")
    run = run_bench(
        [parts], tmp_path / "run", seed=3, detectors=["spikiness"], num_samples=420, full=True
    )
    rows = {(row["model"], row["detector"]): row for row in run.record.results["rows"]}
    models = ["zoo:edm-fashion", "zoo:edm-fashion@2000", "zoo:edm-fashion@3500"]
    assert list(dict.fromkeys(model for model, _ in rows)) == models
    save = rows["zoo:edm-fashion@3500", "denoising_residual"]
    assert save["n"]["planted_images"] == save["n"]["copies"] == 24
    assert save["auroc"]["value"] > 0.5
    trials = {(row["detector"], row["trial"]): row for row in run.record.results["trials"]}
    same = trials["spikiness", "as drawn"]["tpr_at_1pct_fpr"]
    assert same == rows["zoo:edm-fashion", "spikiness"]["tpr_at_1pct_fpr"]
    one, two = trials["spikiness", "one draw"], trials["denoising_residual", "JPEG"]
    assert one["auroc"]["value"] > 0.8
    assert two["fpr"]["n"] == 200
    page = render_report(run.path).read_text()
    assert "planted training images as they are" in page
    assert "bfloat16" in page
