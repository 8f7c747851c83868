from dataclasses import replace

import pytest

from equipoise.theory import build_relu_dae
from equipoise.theory.claims.hybrid import DUPLICATES


def shrink(case):
    """Replace trained networks by the closed form at nine tenths of its size."""
    return replace(case, daes=(build_relu_dae(0.9 * case.closed),))


def call_fresh_samples_memorized(case):
    """Ask the networks for samples that they never saw as if they were the duplicates."""
    unseen = tuple(x[None] for x in case.fresh[:DUPLICATES])
    return replace(case, clusters=unseen + case.clusters[DUPLICATES:])


def test_closed_form_is_stationary_and_no_other(check_claim):
    check_claim("hybrid weights are stationary", lambda case: case.moved(1.0001))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "perturb"),
    [
        ("training finds the hybrid loss", shrink),
        ("std tells memorized from generalized", call_fresh_samples_memorized),
    ],
)
def test_claim_holds_and_breaks(check_claim, name, perturb):
    check_claim(name, perturb)
