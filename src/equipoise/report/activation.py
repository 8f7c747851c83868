"""A spiky and a balanced activation profile, after Fig. 5 of the paper.

A memorized output excites few units strongly, a generalized one many units alike. Both profiles
are drawn on one scale; what the picture shows is also said as the share of the squared activation
that the strongest twentieth of the units carries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from equipoise.report.boundary import tell_damage
from equipoise.report.gallery import Album, Pair, build_pairs
from equipoise.report.item import Item
from equipoise.report.plot import render_profile
from equipoise.report.rate import get_count, get_mapping, get_number
from equipoise.runs import Run

TONES = {"spiky": "warm", "balanced": "cool"}


@dataclass(frozen=True)
class Profile:
    """One output and what it excites."""

    name: str
    tone: str
    pair: Pair
    statistic: float | None
    num_units: int
    num_strongest: int
    """A twentieth of the units."""
    share: float
    """Of the squared activation, what the strongest units carry."""
    plot: Markup


def build_profiles(
    run: Run, results: Mapping[str, Any], items: Sequence[Item], album: Album
) -> list[Profile]:
    """Build the two profiles; none where the record names no rows for them."""
    entries = get_mapping(results.get("profiles"))
    rows = {name: get_count(get_mapping(entries.get(name)).get("row")) for name in TONES}
    if not all(row is not None and 0 <= row < len(items) for row in rows.values()):
        return []
    tensors = _load_profiles(run)
    values = np.concatenate([tensors[name] for name in TONES])
    room = 0.05 * float(np.ptp(values)) or 1.0
    limits = (min(0.0, float(values.min()) - room), float(values.max()) + room)
    profiles = []
    for name, tone in TONES.items():
        pair = build_pairs([items[rows[name] or 0]], album)[0]
        statistic = get_number(entries[name].get("statistic"))
        count = max(1, len(tensors[name]) // 20)
        profiles.append(
            Profile(
                name, tone, pair, statistic, len(tensors[name]), count,
                measure_share(tensors[name], count),
                render_profile(tensors[name], tone=tone, limits=limits),
            )
        )  # fmt: skip
    return profiles


def measure_share(values: Float[np.ndarray, " unit"], count: int) -> float:
    """Measure which share of the squared activation the strongest units carry.

    Returns:
        A share; higher = spikier. `count / unit` when all units are alike.
    """
    energy = np.sort(values.astype(np.float64) ** 2)[::-1]
    total = float(energy.sum())
    return float(energy[:count].sum()) / total if total else 0.0


def _load_profiles(run: Run) -> dict[str, Float[np.ndarray, " unit"]]:
    with tell_damage(run, "profiles", 'profiles.safetensors must hold "spiky" and "balanced"'):
        tensors = run.read_tensors("profiles")
        return {name: tensors[name] for name in TONES}
