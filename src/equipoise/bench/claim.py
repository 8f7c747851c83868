"""The paper's claim on memorized outputs, in two sentences that follow the intervals."""

from typing import Any


def describe_verdict(groups: dict[str, Any]) -> str:
    """Say in two sentences whether memorized outputs were found to resist, and to break."""
    slope, abruptness = groups["slope_difference"], groups["abruptness_difference"]
    if slope["low"] is None:
        return "Too few copies were found to compare memorized with generalized outputs."
    told = _write_difference(slope)
    if slope["high"] < 0:
        first = f"Memorized outputs resist: their slope is lower by {told} a unit."
    elif slope["low"] > 0:
        first = f"Memorized outputs do not resist: their slope is higher by {told} a unit."
    else:
        first = f"No difference in slope between memorized and generalized outputs: {told} a unit."
    if abruptness["low"] is not None and abruptness["low"] > 0:
        return f"{first} But memorized ones move more abruptly: {_write_difference(abruptness)}."
    return first


def _write_difference(rate: dict[str, Any]) -> str:
    return f"{rate['value']:+.2f} ({rate['low']:+.2f} to {rate['high']:+.2f})"
