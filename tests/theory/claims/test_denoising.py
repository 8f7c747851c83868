from dataclasses import replace

import pytest
from torch import nn

pytestmark = pytest.mark.slow

PERTURBED = [
    ("empirical denoiser", lambda case: replace(case, sigma=1.01 * case.sigma)),
    ("denoiser of a mixture", lambda case: replace(case, sigma=1.01 * case.sigma)),
    ("ReLU-DAE has no bias", lambda case: replace(
        case, module=nn.Sequential(case.module, nn.Linear(9, 9).double())
    )),
    ("objective over the noise", lambda case: replace(case, drawn_sigma=0.72)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "perturb"), PERTURBED)
def test_claim_holds_and_breaks(check_claim, name, perturb):
    check_claim(name, perturb)
