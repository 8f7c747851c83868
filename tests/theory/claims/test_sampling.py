from dataclasses import replace

import pytest

from equipoise.theory import empirical_denoiser

pytestmark = pytest.mark.slow

PERTURBED = [
    ("sampling with the empirical denoiser", lambda case: replace(
        case, training=case.training.roll(1, dims=1)
    )),
    ("memorizing stack returns training samples", lambda case: replace(
        case, training=case.training.roll(1, dims=1)
    )),
    # The best denoiser of the training samples themselves returns them.
    ("generalizing stack returns new samples", lambda case: replace(
        case, denoiser=empirical_denoiser(case.training)
    )),
]  # fmt: skip


@pytest.mark.parametrize(("name", "perturb"), PERTURBED)
def test_claim_holds_and_breaks(check_claim, name, perturb):
    check_claim(name, perturb)
