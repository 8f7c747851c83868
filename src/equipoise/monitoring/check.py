"""What a check of a training saw, and how a record holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from equipoise.bench.interval import Estimate


@dataclass(frozen=True)
class Check:
    """What was seen at one step.

    Args:
        step: The step after which it was made.
        spikiness: AUROC of the spikiness, training against held-out images; .5 is no split.
        residual: The same of the denoising residual.
        icr: Its minimum is where 2606.09718 stops; None where there are too few images for it.
        copies: Share of copies among fresh outputs; None when none were asked for.
        p_value: Of the stop rule; None where outputs stand in for training images.
        level: The p-value down to which the rule stops at this check; None likewise.
        stops: Whether the rule stops here.
        onsets: Named images by their place in the training set, each with the step from which on
            it has been named without a break.
        seconds: What looking took; the budget counts the writing of the page as well.
    """

    step: int
    spikiness: Estimate
    residual: Estimate
    icr: float | None
    copies: float | None
    p_value: float | None
    level: float | None
    stops: bool
    onsets: dict[int, int]
    seconds: float

    def describe(self) -> dict[str, Any]:
        """Return the check as a record holds it."""
        onsets = [{"index": index, "onset": step} for index, step in self.onsets.items()]
        return vars(self) | {"onsets": onsets}

    def list_values(self) -> dict[str, float]:
        """List what a tracker draws, by name; what is unknown is left out."""
        values = {
            "spikiness": self.spikiness["value"],
            "residual": self.residual["value"],
            "icr": self.icr,
            "copies": self.copies,
            "p_value": self.p_value,
            "level": self.level,
            "named": len(self.onsets),
            "stops": self.stops,
        }
        return {f"monitor/{k}": float(v) for k, v in values.items() if v is not None}


def read_check(entry: Mapping[str, Any]) -> Check:
    """Return the check that a record holds."""
    onsets = {row["index"]: row["onset"] for row in entry["onsets"]}
    return Check(**{**entry, "onsets": onsets})
