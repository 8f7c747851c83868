"""A claim of the theory: an input, a number measured on it, and the bound it must keep.

Input and measurement are apart, so that a test can perturb the input and see the claim fail. A
measurement never uses the formula it checks: it goes by automatic differentiation, by simulation,
by an optimizer that knows no closed form, or by a dense decomposition.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any


@dataclass(frozen=True)
class Claim:
    """One statement of the paper, as a number with a bound."""

    name: str
    source: str
    """Equation, theorem or appendix."""
    statement: str
    """What the number is, and why the bound is what it is."""
    bound: float
    build: Callable[[], Any]
    """Makes the input of `measure`: a frozen dataclass."""
    measure: Callable[[Any], float]
    at_least: bool = False
    """Whether the value must reach the bound; otherwise it must not exceed it."""

    def holds(self, value: float) -> bool:
        """Say whether a value keeps the bound; NaN keeps none."""
        return isfinite(value) and (value >= self.bound if self.at_least else value <= self.bound)


@dataclass(frozen=True)
class Check:
    """A claim as it was measured."""

    name: str
    source: str
    value: float
    bound: float
    ok: bool
    relation: str
    """">=" or "<=": how the value must stand to the bound."""
    statement: str
    seconds: float


def verify_claims(claims: Iterable[Claim]) -> Iterator[Check]:
    """Measure one claim after the other."""
    for claim in claims:
        started = time.perf_counter()
        value = claim.measure(claim.build())
        yield Check(
            name=claim.name,
            source=claim.source,
            value=value,
            bound=claim.bound,
            ok=claim.holds(value),
            relation=">=" if claim.at_least else "<=",
            statement=claim.statement,
            seconds=time.perf_counter() - started,
        )
