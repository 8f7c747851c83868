"""A look: one noise level of a sampler at which a guard reads the network's own forwards.

A generation is read where it passes anyway. Scores at different noise levels have different
scales, so each look carries the mean and the spread of its scores over novel outputs, and what is
put together is `(score - mean) / std`.
"""

from pydantic import BaseModel, ConfigDict, Field

from equipoise.detection.spikiness import Spikiness


class Look(BaseModel):
    """What is read at one noise level of a sampler."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: Spikiness
    """What is measured; its sigma is the noise level, its draws how often a sampler passes it."""
    mean: float
    """Mean of the score over novel outputs."""
    std: float = Field(gt=0)
    """Standard deviation of the score over novel outputs."""
