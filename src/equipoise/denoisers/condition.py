"""Conditions of several parts as one row of numbers a sample.

A text-to-image model of today is told more than one tensor: the tokens of two or three encoders,
a pooled text, the size of the picture. Inside there is one condition, a tensor with a batch axis,
which samplers, guidance and detectors cut and join like any other; only the adapter takes it
apart again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class ConditionLayout:
    """Names and shapes of the parts, without the batch axis; the text comes first."""

    parts: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, parts: Mapping[str, Tensor]) -> "ConditionLayout":
        """Read names and shapes off the parts of one batch."""
        return cls(tuple((name, tuple(part.shape[1:])) for name, part in parts.items()))

    def pack(self, parts: Mapping[str, Tensor]) -> Float[Tensor, "batch number"]:
        """Join the parts, one row a sample, in the type of the text."""
        text = parts[self.parts[0][0]]
        return torch.cat([parts[name].to(text).flatten(1) for name, _ in self.parts], dim=1)

    def unpack(self, condition: Float[Tensor, "batch number"]) -> dict[str, Tensor]:
        """Take the parts out again, by name."""
        sizes = [math.prod(shape) for _, shape in self.parts]
        columns = condition.split(sizes, dim=1)
        return {
            name: column.reshape(len(condition), *shape)
            for (name, shape), column in zip(self.parts, columns, strict=True)
        }
