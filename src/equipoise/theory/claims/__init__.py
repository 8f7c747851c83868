"""Every claim of the theory, as a number with a bound; `equipoise theory verify` measures them."""

from equipoise.theory.claims import (
    denoising,
    generalization,
    hybrid,
    memorization,
    minimizer,
    sampling,
    spectrum,
)
from equipoise.theory.claims.claim import Check, Claim, verify_claims

CLAIMS: tuple[Claim, ...] = (
    *denoising.CLAIMS,
    *minimizer.CLAIMS,
    *memorization.CLAIMS,
    *generalization.CLAIMS,
    *hybrid.CLAIMS,
    *sampling.CLAIMS,
    *spectrum.CLAIMS,
)
"""In the order of the paper."""

__all__ = ["CLAIMS", "Check", "Claim", "verify_claims"]
