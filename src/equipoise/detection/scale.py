r"""What the units of novel items are like: the scale in which the units of any item are read.

A unit alone is centred and divided by its spread. Units together are whitened by their covariance,

    W (h - m),   W = sum_k u_k u_k^T / sqrt(l_k) + (1 - sum_k u_k u_k^T) / s

with `m`, `u_k`, `l_k` the mean, the leading principal axes, their variances, and `s^2` the mean
variance of what the axes leave (probabilistic principal components). The norm of a whitened item
is its Mahalanobis distance: units that do not go together over ordinary pictures stand out, though
each of them has an ordinary value.

References:
    Probabilistic Principal Component Analysis (Tipping and Bishop, 1999)
"""

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from equipoise.errors import BadInputError


class UnitScale(BaseModel):
    """Mean and standard deviation of every unit over items that are not memorized."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...]
    """Mean of each unit."""
    std: tuple[float, ...]
    """Standard deviation of each unit; 1 where a unit never changes."""

    @classmethod
    def fit(cls, units: Float[Tensor, "case unit"]) -> "UnitScale":
        """Measure the scale on the units of novel items."""
        std = units.double().std(dim=0, correction=0)
        safe = torch.where(std > 0, std, torch.ones_like(std))
        return cls(mean=tuple(units.double().mean(dim=0).tolist()), std=tuple(safe.tolist()))

    def refit(self, units: Float[Tensor, "case unit"]) -> "UnitScale":
        """Measure a scale of the same kind on other units."""
        return type(self).fit(units)

    def apply(self, units: Float[Tensor, "case unit"]) -> Float[Tensor, "case unit"]:
        """Centre and divide every unit.

        Raises:
            BadInputError: when the number of units is another one.
        """
        return _centre(units, self.mean) / units.new_tensor(self.std)


class Whitening(BaseModel):
    """Mean and covariance of the units over novel items: leading axes, and one variance more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...]
    """Mean of each unit."""
    axes: tuple[tuple[float, ...], ...]
    """Leading principal axes, of length 1."""
    variances: tuple[float, ...]
    """Variance along each axis."""
    rest: float = Field(gt=0)
    """Variance of a unit that the axes leave."""

    @classmethod
    def fit(cls, units: Float[Tensor, "case unit"], *, num_axes: int) -> "Whitening":
        """Measure the covariance on the units of novel items.

        Raises:
            BadInputError: when there are not more items, and more units, than axes.
        """
        count, dim = units.shape
        if not 0 < num_axes < min(count - 1, dim):
            raise BadInputError(
                f"Cannot fit {num_axes} axes to {count} items of {dim} units: both must be more. "
                "Give more novel items, or fewer axes."
            )
        mean = units.double().mean(dim=0)
        _, lengths, axes = torch.linalg.svd(units.double() - mean, full_matrices=False)
        variances = lengths.square() / (count - 1)
        if not float(variances[0]) > 0:
            raise BadInputError(
                f"Cannot whiten {dim} units that are the same for all {count} items. Choose "
                "another site or noise level."
            )
        rest = variances[num_axes:].sum() / (dim - num_axes)
        least = 1e-12 * float(variances[0])  # axes of no variance are no evidence of anything
        return cls(
            mean=tuple(mean.tolist()),
            axes=tuple(tuple(axis) for axis in axes[:num_axes].tolist()),
            variances=tuple(variances[:num_axes].clamp_min(least).tolist()),
            rest=float(rest.clamp_min(least)),
        )

    @model_validator(mode="after")
    def _check(self) -> "Whitening":
        """Refuse axes that do not fit the units, and variances that cannot be."""
        if len(self.variances) != len(self.axes) or not all(one > 0 for one in self.variances):
            raise ValueError(f"{len(self.axes)} axes need as many variances above 0")
        if any(len(axis) != len(self.mean) for axis in self.axes):
            raise ValueError(f"an axis of {len(self.mean)} units needs as many entries")
        return self

    def refit(self, units: Float[Tensor, "case unit"]) -> "Whitening":
        """Measure a covariance of as many axes on other units."""
        return type(self).fit(units, num_axes=len(self.axes))

    def apply(self, units: Float[Tensor, "case unit"]) -> Float[Tensor, "case unit"]:
        """Whiten the units; the norm of an item is then its Mahalanobis distance.

        Raises:
            BadInputError: when the number of units is another one.
        """
        centred, axes = _centre(units, self.mean), units.new_tensor(self.axes)
        rest = self.rest**-0.5
        gains = units.new_tensor(self.variances).rsqrt() - rest
        return rest * centred + ((centred @ axes.T) * gains) @ axes


Scale = UnitScale | Whitening
"""How units are read: each by its own spread, or all together by their covariance."""


def _centre(units: Float[Tensor, "case unit"], mean: tuple[float, ...]) -> Tensor:
    if units.shape[1] != len(mean):
        raise BadInputError(
            f"The scale was measured on {len(mean)} units, the sites given have "
            f"{units.shape[1]}. Use the sites and the pooling it was measured with."
        )
    return units - units.new_tensor(mean)
