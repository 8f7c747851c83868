"""Products with the Jacobian against the matrix that autograd writes down, in float64."""

import torch

from equipoise.detection.derivative import pull, push


def test_products_equal_those_with_the_whole_jacobian(smooth, evidence):
    images, _, classes = evidence
    v = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double()
    level = torch.full((len(images),), 0.7, dtype=torch.float64)

    def function(x):
        return smooth.denoise(x, level, classes)

    value, pulled = pull(function, images, v)
    pushed = push(function, images, v)
    torch.testing.assert_close(value, function(images))
    whole = torch.func.jacrev(function)(images).reshape(4, 6, 4, 6)
    for row in range(4):
        J, flat = whole[row, :, row], v[row].flatten()
        torch.testing.assert_close(pulled[row].flatten(), J.T @ flat)
        torch.testing.assert_close(pushed[row].flatten(), J @ flat)
