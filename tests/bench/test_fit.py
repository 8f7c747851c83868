import pytest

from equipoise.bench.fit import is_paper_recipe, load_rivals
from equipoise.bench.parts import load_parts
from equipoise.detection import Spikiness, UnitScale
from equipoise.errors import CalibrationError

PAPER = Spikiness(sites=("a:in",), sigma=0.1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"pooling": "mean"}, False),
        ({"statistic": "l2"}, False),
        ({"sites": ("a:in", "b:in")}, False),
        ({"scale": UnitScale(mean=(0.0,), std=(1.0,))}, False),
    ],
    ids=["std of max", "mean", "l2", "two sites", "scaled"],
)
def test_only_std_of_max_at_one_site_is_the_papers(changes, expected):
    assert is_paper_recipe(PAPER.model_copy(update=changes)) is expected


def test_the_shipped_calibration_was_fitted_as_the_issue_asks():
    parts = load_parts("zoo:edm-fashion")
    assert parts.calibration.n >= 4000
    assert parts.calibration.null == "generated and novel"
    assert parts.calibration.promised == 0.01
    assert parts.calibration.selection["planted_images"] >= 10
    assert is_paper_recipe(parts.rivals.paper)
    parts.calibration.check_model(parts.model.denoiser)


def test_missing_rivals_say_what_makes_them(tmp_path):
    with pytest.raises(CalibrationError, match="zoo train"):
        load_rivals(tmp_path / "rivals.json")
