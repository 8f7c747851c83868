import torch

from equipoise.detection.pair import compare_all_pairs


def test_every_two_draws_are_compared_once():
    draws = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0]])
    found = compare_all_pairs(draws, lambda a, b: (a - b).abs())
    assert found.tolist() == [[1.0, 3.0, 2.0], [0.0, 3.0, 3.0]]
