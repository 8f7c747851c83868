"""Every claim must be able to fail: what its test perturbs is the input, never the bound."""

import pytest


@pytest.fixture(scope="session")
def check_claim():
    """Measure a claim on its own input and on a perturbed one; only the first may hold."""
    from equipoise.theory.claims import CLAIMS

    claims = {claim.name: claim for claim in CLAIMS}

    def check(name, perturb):
        claim = claims[name]
        case = claim.build()
        value = claim.measure(case)
        assert claim.holds(value), value
        perturbed = claim.measure(perturb(case))
        assert not claim.holds(perturbed), perturbed

    return check
