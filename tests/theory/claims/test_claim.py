from math import inf, nan
from pathlib import Path

import pytest

from equipoise.theory.claims import CLAIMS, Claim, verify_claims


def make(value, *, bound=1.0, at_least=False):
    return Claim(
        "a number", "Eq. 0", "It is what it is.", bound, lambda: value, float, at_least=at_least
    )


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [(0.5, True, False), (1.0, True, True), (1.5, False, True), (nan, False, False),
     (inf, False, False), (-inf, False, False)],
)  # fmt: skip
def test_a_bound_is_kept_on_its_own_side_and_never_by_nan(value, below, above):
    assert make(value).holds(value) is below
    assert make(value, at_least=True).holds(value) is above


def test_checks_say_what_was_measured_and_in_which_order():
    checks = list(verify_claims([make(0.5), make(0.5, at_least=True)]))
    assert [check.ok for check in checks] == [True, False]
    assert [check.relation for check in checks] == ["<=", ">="]
    assert checks[0].value == 0.5
    assert checks[0].seconds >= 0


def test_every_claim_has_a_name_and_a_source_of_its_own():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    assert len({claim.source for claim in CLAIMS}) == len(CLAIMS)
    told = " ".join(claim.source for claim in CLAIMS)
    for source in ("Eq. 3", "Eq. 5", "Eq. 6", "Eq. 8", "Eq. 9", "Theorem 3.1", "Def. 3.1",
                   "Cor. 3.2", "Cor. 3.3", "Cor. 3.4", "Fig. 2", "App. B.3"):  # fmt: skip
        assert source in told


def test_every_claim_has_a_test_that_breaks_it():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for claim in CLAIMS:
        assert f'"{claim.name}"' in tests, claim.name
