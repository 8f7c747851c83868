import numpy as np
import torch

from equipoise.theory.figures.part import Part


def test_arrays_are_kept_in_float32_without_gradients():
    part = Part()
    part.keep("x", torch.ones(3, 2, dtype=torch.float64, requires_grad=True).T)
    assert part.tensors["x"].dtype == np.float32
    assert part.tensors["x"].shape == (2, 3)
    assert part.tensors["x"].flags["C_CONTIGUOUS"]
