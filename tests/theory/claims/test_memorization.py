from dataclasses import replace

import pytest


def push_together(X):
    """Move samples by a common vector, so that their angles become acute."""
    return X + 4.0 / X.shape[1] ** 0.5


PERTURBED = [
    ("memorizing weights are stationary", lambda case: case.moved(1.0001)),
    ("memorizing loss, whatever the dimension", lambda case: replace(
        case, sets=tuple(push_together(X) for X in case.sets)
    )),
    ("memorized representation is one-hot", lambda case: replace(case, W=case.W.flip(1))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "perturb"), PERTURBED)
def test_claim_holds_and_breaks(check_claim, name, perturb):
    check_claim(name, perturb)


@pytest.mark.slow
def test_trained_networks_leave_the_closed_form_where_beta_is_positive(check_claim):
    check_claim("training finds the memorizing loss", lambda case: replace(
        case, X=push_together(case.X), seeds=(0,)
    ))  # fmt: skip
