import pytest

from equipoise.errors import RunError
from equipoise.report import render_report
from equipoise.runs import load_run
from equipoise.theory import empirical_denoiser, regime
from equipoise.theory.figures import Subject, boundary, job, run_figures, sampling
from equipoise.theory.figures.network import Networks

PARTS = ["columns", "boundary", "optimizers", "spread", "sampling", "spectrum"]


@pytest.mark.slow
def test_the_run_folder_holds_every_figure_and_has_a_page(images, nets, tmp_path, monkeypatch):
    monkeypatch.setattr(regime, "DRAWS", 500)
    monkeypatch.setattr(boundary, "DRAWS", 500)
    monkeypatch.setattr(boundary, "BETAS", (0.0, 0.8))
    monkeypatch.setattr(boundary, "OPTIMIZERS", (("adam", 0.01),))
    for module, name in (
        (boundary, "SET_STEPS"), (boundary, "OPTIMIZER_STEPS"), (sampling, "STEPS")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 20)
    monkeypatch.setattr(job, "Networks", lambda *_: nets)
    X = images.training[:5]
    subject = Subject("the five", empirical_denoiser(X), X, images.held_out[:5], 0.5)
    run_figures(images, subject, tmp_path / "run", seed=0)
    run = load_run(tmp_path / "run")
    assert (run.record.kind, run.record.status) == ("theory", "finished")
    assert list(run.record.results) == list(run.record.cost["parts"]) == PARTS
    page = render_report(run.path).read_text()
    assert "the five" in page
    with pytest.raises(RunError):
        run_figures(images, subject, tmp_path / "run", seed=0)


def test_networks_are_trained_when_they_are_asked_for(images, monkeypatch):
    monkeypatch.setattr(regime, "DRAWS", 5)
    assert not Networks(images, 0)._trained
