"""A number with its uncertainty, as a record holds it: `{value, low, high, n, groups}`.

Anything in it may be null (a part of the job was left out, or could not be measured).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rate:
    """A value between the ends of its 95 % interval; None where the record has none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    groups: int | None = None


def get_rate(entry: object) -> Rate:
    """Read a rate of a record; what is missing or no finite number becomes None."""
    found = get_mapping(entry)
    value, low, high = (get_number(found.get(key)) for key in ("value", "low", "high"))
    return Rate(value, low, high, get_count(found.get("n")), get_count(found.get("groups")))


def get_number(entry: object) -> float | None:
    """Read a finite number, or None."""
    if isinstance(entry, bool) or not isinstance(entry, int | float):
        return None
    return float(entry) if math.isfinite(entry) else None


def get_count(entry: object) -> int | None:
    """Read a whole number, or None."""
    number = get_number(entry)
    return None if number is None else round(number)


def get_mapping(entry: object) -> Mapping[str, Any]:
    """Read a JSON object; anything else becomes an empty one."""
    return entry if isinstance(entry, Mapping) else {}


def get_list(entry: object) -> list[Any]:
    """Read a JSON array; anything else becomes an empty one."""
    return entry if isinstance(entry, list) else []
