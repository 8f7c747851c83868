import io

import pytest
import torch

from equipoise.checkpoints.storage import (
    DTYPES,
    View,
    build_tensor,
    copy_storage,
    read_blob,
    read_legacy,
    read_view,
)
from equipoise.checkpoints.symbolic import Call, Global
from equipoise.errors import UnsafeFileError


def save_storage(tensor):
    file = io.BytesIO()
    torch.save(tensor.storage(), file, _use_new_zipfile_serialization=False)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_a_storage_comes_back_bit_for_bit(dtype):
    numbers = torch.arange(1, 8).to(dtype)
    storage = read_blob(memoryview(save_storage(numbers)))
    assert storage.dtype == dtype
    assert torch.equal(copy_storage(storage), numbers)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("cut", [1, 4, 20, 60, 150])
def test_a_blob_that_ends_early_or_late_is_refused(cut):
    blob = save_storage(torch.arange(5.0))
    for data in (blob[:-cut], blob + b"x" * cut):
        with pytest.raises(UnsafeFileError):
            read_blob(memoryview(data))


def test_a_count_that_lies_is_refused():
    file = io.BytesIO()
    torch.save({"w": torch.arange(3.0)}, file, _use_new_zipfile_serialization=False)
    data = file.getvalue()
    at = data.rindex((3).to_bytes(8, "little"))
    lie = data[:at] + (2**40).to_bytes(8, "little") + data[at + 8 :]
    allowed = [("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2")]
    assert read_legacy(memoryview(data), allowed=allowed).end == len(data)
    with pytest.raises(UnsafeFileError, match="announces 3 numbers, and then"):
        read_legacy(memoryview(lie), allowed=allowed)


def test_views_are_cut_out_as_torch_does():
    whole = torch.arange(24.0)
    view = View(None, 3, (2, 3), (6, 2))
    assert torch.equal(build_tensor(view, whole), whole.as_strided((2, 3), (6, 2), 3))


@pytest.mark.parametrize(
    "view",
    [
        View(None, 0, (25,), (1,)),  # more than there is
        View(None, 20, (5,), (1,)),  # beyond the end
        View(None, 0, (2, 2), (23, 2)),
        View(None, 0, (1000, 1000), (0, 0)),  # one number, a million times
        View(None, 0, (0, 5), (5, 1)),  # nothing
    ],
)
def test_views_that_do_not_fit_are_refused(view):
    with pytest.raises(UnsafeFileError, match="does not fit"):
        build_tensor(view, torch.arange(24.0))


@pytest.mark.parametrize(
    "arguments",
    [
        (None, 0, (1,)),
        (None, -1, (1,), (1,)),
        (None, 0, (2,), (1, 1)),
        (None, 0, [2], [1]),
        (None, 0, (2.0,), (1,)),
        (None, 0, (True,), (1,)),
        (None, 0, (1 << 60,), (1,)),
        (None, 0, (1,) * 9, (1,) * 9),
    ],
)
def test_shapes_that_are_none_are_refused(arguments):
    symbol = Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)
    with pytest.raises(UnsafeFileError):
        read_view(symbol)
