import torch

from equipoise.denoisers.data_units import DataUnits


class Plain(DataUnits):
    sample_shape = (1, 2, 2)


def test_nothing_is_changed():
    plain, images = Plain(), torch.rand(3, 1, 2, 2)
    assert plain.encode(images) is images
    assert plain.decode(images) is images
    assert plain.snap(0.123) == 0.123
    assert plain.null_condition(3) is None
    assert plain.image_shape == (1, 2, 2)
