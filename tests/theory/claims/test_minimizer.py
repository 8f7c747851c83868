from dataclasses import replace

import pytest

pytestmark = pytest.mark.slow

PERTURBED = [
    ("closed form is stationary", lambda case: case.moved(1.0001)),
    ("closed form is a local minimum", lambda case: case.moved(0.3)),
    ("blocks are the best of their rank", lambda case: case.moved(0.99)),
    ("true ReLU: residual falls with the margin", lambda case: replace(case, factor=1.01)),
    ("beta < 0 decides who fires", lambda case: replace(
        case, weights=case.weights[1:] + case.weights[:1]
    )),
]  # fmt: skip


@pytest.mark.parametrize(("name", "perturb"), PERTURBED)
def test_claim_holds_and_breaks(check_claim, name, perturb):
    check_claim(name, perturb)


def test_sets_of_both_kinds_are_looked_at():
    from equipoise.theory import separability
    from equipoise.theory.claims.minimizer import build_separation

    apart = [separability(X).beta < 0 for X in build_separation().sets]
    assert 10 < sum(apart) < 180
