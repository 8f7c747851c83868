"""What one figure leaves behind: numbers for `results`, arrays for `tensors/`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

SHOWN = 15
"""Columns, samples and vectors kept for the page, of each kind."""
SIGMAS = (0.2, 1.0, 5.0)
"""Noise levels of the paper's figures, in data units (pixels from -1 to 1)."""


@dataclass
class Part:
    """What one part of the job found."""

    results: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)

    def keep(self, name: str, tensor: Tensor) -> None:
        """Store an array for the page, in float32."""
        self.tensors[name] = tensor.detach().float().contiguous().numpy()
