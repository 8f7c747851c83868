import pytest
import torch

from equipoise.auditing.batch import Batch
from equipoise.errors import BadInputError


@pytest.mark.parametrize(("side", "size"), [(16, 64), (128, 64), (256, 16), (512, 4), (4096, 1)])
def test_large_pictures_go_in_small_batches(side, size):
    assert Batch((3, side, side)).size == size


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_without_memory_half_is_tried_and_kept(error):
    batch, tried = Batch((1, 16, 16)), []

    def work(size):
        tried.append(size)
        if size > 10:
            raise error
        return size

    assert batch.run(work) == 8
    assert batch.run(work) == 8
    assert tried == [64, 32, 16, 8, 8]


def test_one_picture_that_does_not_fit_is_told_and_other_errors_are_not_hidden():
    def fail(size):
        raise MemoryError("none left")

    with pytest.raises(BadInputError, match="single picture needs more memory"):
        Batch((1, 16, 16)).run(fail)

    def break_(size):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Batch((1, 16, 16)).run(break_)
