import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equipoise.errors import BadInputError
from equipoise.theory.contrast import measure_contrast


def draw_scores(seed, *, rounded):
    rng = np.random.default_rng(seed)
    memorized, others = rng.normal(0.8, 1, 40), rng.normal(0, 1, 60)
    return (memorized.round(), others.round()) if rounded else (memorized, others)


@pytest.mark.parametrize("rounded", [False, True], ids=["distinct", "with ties"])
def test_area_is_that_of_scikit_learn(rounded):
    memorized, others = draw_scores(0, rounded=rounded)
    found = measure_contrast(memorized, others, groups=range(40))
    truth = [1] * 40 + [0] * 60
    assert found["value"] == pytest.approx(roc_auc_score(truth, np.r_[memorized, others]))
    assert found["low"] < found["value"] < found["high"]
    assert (found["n"], found["groups"]) == (100, 40)


def test_copies_of_one_image_do_not_make_it_surer():
    memorized, others = draw_scores(1, rounded=False)
    alone = measure_contrast(memorized, others, groups=range(40))
    copied = measure_contrast(memorized.repeat(5), others, groups=np.arange(40).repeat(5).tolist())
    pretended = measure_contrast(memorized.repeat(5), others, groups=range(200))
    assert copied["value"] == pytest.approx(alone["value"])
    assert copied["high"] - copied["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.1)
    assert pretended["high"] - pretended["low"] < 0.9 * (copied["high"] - copied["low"])


@pytest.mark.parametrize(
    ("memorized", "others", "groups"),
    [([], [1.0], []), ([1.0], [], ["a"]), ([1.0], [0.0], ["a", "b"]), ([np.nan], [0.0], ["a"])],
    ids=["no memorized", "no others", "groups do not fit", "not a number"],
)
def test_what_has_no_area_is_refused(memorized, others, groups):
    with pytest.raises(BadInputError):
        measure_contrast(np.array(memorized), np.array(others), groups=groups)
