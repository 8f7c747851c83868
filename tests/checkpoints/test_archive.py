import argparse
import io
import zipfile

import pytest
import torch

from equipoise.checkpoints.archive import read_archive
from equipoise.errors import BadInputError, UnsafeFileError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.half)}


def save(value, *, new=True):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


def read(data):
    return read_archive(memoryview(data), io.BytesIO(data))


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_weights_come_back_bit_for_bit(new):
    found = read(save(STATE, new=new))
    assert list(found.tensors) == list(STATE)
    for name, tensor in STATE.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_averaged_weights_of_a_training_checkpoint_are_preferred(new):
    averaged = {name: tensor + 1 for name, tensor in STATE.items()}
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4}]}
    checkpoint = {
        "model": STATE, "ema": averaged, "opt": optimizer,
        "args": argparse.Namespace(model="DiT-S/2"), "epoch": 3,
    }  # fmt: skip
    found = read(save(checkpoint, new=new))
    assert found.entry == "ema"
    assert found.entries == ("model", "ema", "opt", "args", "epoch")
    assert torch.equal(found.tensors["a.weight"], averaged["a.weight"])


def test_views_of_one_storage_are_views_again():
    whole = torch.arange(10.0)
    found = read(save({"x": whole[2:5], "y": whole.reshape(2, 5).t()})).tensors
    assert torch.equal(found["x"], whole[2:5])
    assert torch.equal(found["y"], whole.reshape(2, 5).t())


def test_parameters_and_modules_states_are_read():
    linear = torch.nn.Linear(3, 2)
    found = read(save(linear.state_dict())).tensors
    assert torch.equal(found["weight"], linear.weight)


def test_a_whole_module_is_refused_and_what_to_do_said():
    with pytest.raises(UnsafeFileError, match=r'"Linear" of the module "torch\.nn\.mod'):
        read(save(torch.nn.Linear(3, 2)))


@pytest.mark.parametrize("value", [[1, 2], {}, {"a": 1}, {1: torch.ones(2)}, torch.ones(3)])
def test_something_without_names_is_refused(value):
    with pytest.raises(BadInputError, match="no weights by name"):
        read(save(value))


def rewrite(data, change):
    """Write a zip again, entry by entry."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            for name, content in change(info.filename, old.read(info)):
                new.writestr(name, content)
    return file.getvalue()


def test_a_zip_written_by_others_is_read_too():
    data = rewrite(save(STATE), lambda name, content: [(name, content)])
    assert torch.equal(read(data).tensors["a.weight"], STATE["a.weight"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda n, c: [(n, c)] if not n.endswith("data/0") else [], "is missing"),
        (lambda n, c: [(n, c[:-4] if n.endswith("data/0") else c)], "are announced"),
        (lambda n, c: [(n, c), (f"other/{n}", c)] if n.endswith("data.pkl") else [(n, c)], "2 en"),
        (lambda n, c: [(n, b"big" if n.endswith("byteorder") else c)], "byte order"),
        (lambda n, c: [] if n.endswith("data.pkl") else [(n, c)], "0 entries"),
    ],
)  # fmt: skip
def test_a_zip_that_contradicts_itself_is_refused(change, told):
    with pytest.raises(BadInputError, match=told):
        read(rewrite(save(STATE), change))


def test_a_compressed_zip_is_refused_unread():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x00" * 10_000_000)
    with pytest.raises(UnsafeFileError, match="compressed"):
        read(file.getvalue())


def test_a_zip_without_its_end_is_refused():
    with pytest.raises(UnsafeFileError, match="ends early"):
        read(save(STATE)[:-60])
