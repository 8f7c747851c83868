from dataclasses import replace

import pytest

from equipoise.theory.claims.example import build_mixture
from equipoise.theory.claims.hybrid import build_hybrid


def test_matrix_free_is_dense_and_no_other(check_claim):
    check_claim("Jacobian without its matrix", lambda case: replace(
        case, dense=build_mixture(3, 15, spread=1.01, directions=4)
    ))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "perturb"),
    [
        ("Jacobian at a memorized sample", lambda case: replace(case, x=build_hybrid().fresh[:4])),
        ("Jacobian at a generalized sample", lambda case: replace(
            case, memorized=case.generalized, generalized=case.memorized
        )),
    ],
)  # fmt: skip
def test_claim_holds_and_breaks(check_claim, name, perturb):
    check_claim(name, perturb)
