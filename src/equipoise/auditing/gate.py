"""A limit on the share of copies: is it exceeded, kept, or does the audit not say?

The interval of the copy rate decides, never its point: `exceeded` when the whole interval lies
above the limit, `kept` when none of it does, `undecided` between. Few images, or a calibration
that knows no copies, never keep a limit for certain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["exceeded", "kept", "undecided"]


@dataclass(frozen=True)
class Gate:
    """What an audit says about a limit."""

    limit: float
    outcome: Outcome
    low: float
    high: float | None
    """None: unknown, because the calibration knows no copies."""


def judge_limit(copy_rate: Mapping[str, Any], limit: float) -> Gate:
    """Compare the estimated share of copies with a limit.

    Args:
        copy_rate: The `copy_rate` of an audit: low and high end of its 95 % interval.
        limit: Largest share that is allowed, 0 to 1.
    """
    low, high = copy_rate["low"], copy_rate["high"]
    if low > limit:
        return Gate(limit, "exceeded", low, high)
    kept = high is not None and high <= limit
    return Gate(limit, "kept" if kept else "undecided", low, high)
