import pickle

import pytest
import torch
from edm_snapshot import write_snapshot

from equipoise.checkpoints.snapshot import read_snapshot
from equipoise.errors import BadInputError, UnsafeFileError

from .conftest import SCALARS, SPEC


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_names_and_numbers_come_back_bit_for_bit(tiny_tensors, protocol):
    data = write_snapshot("EDMPrecond", SCALARS, "SongUNet", SPEC, tiny_tensors, protocol=protocol)
    snapshot = read_snapshot(memoryview(data))
    found = snapshot.tensors()
    assert list(found) == list(tiny_tensors)
    assert all(torch.equal(found[name], tiny_tensors[name]) for name in found)


def test_what_the_modules_were_made_with_is_read(tiny_snapshot):
    snapshot = read_snapshot(memoryview(tiny_snapshot))
    assert snapshot.ema.class_name == "EDMPrecond"
    assert snapshot.ema.attributes["sigma_data"] == 0.5
    assert snapshot.ema.attributes["skip_scale"] == 0.5**0.5  # a number of numpy
    model = snapshot.ema.children["model"]
    assert (model.class_name, model.keywords) == ("SongUNet", SPEC)
    assert set(snapshot.other) == {"loss_fn", "augment_pipe", "dataset_kwargs"}


def test_another_pickle_is_refused():
    with pytest.raises(BadInputError, match="no averaged network of EDM"):
        read_snapshot(memoryview(pickle.dumps({"ema": [1, 2]})))


def test_something_after_the_end_is_refused(tiny_snapshot):
    with pytest.raises(UnsafeFileError, match="3 bytes follow"):
        read_snapshot(memoryview(tiny_snapshot + b"abc"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x8c\x07version\x94K\x06", b"\x8c\x07version\x94K\x07"),
        (b"\x8c\x05class\x94", b"\x8c\x05klass\x94"),
    ],
)
def test_objects_of_another_version_are_refused(tiny_snapshot, old, new):
    assert old in tiny_snapshot
    with pytest.raises(BadInputError, match="another version"):
        read_snapshot(memoryview(tiny_snapshot.replace(old, new)))


def test_a_module_that_contains_itself_is_refused():
    source = (
        b"\x80\x04}\x8c\x03ema"
        b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}(\x8c\x04type\x8c\x05class"
        b"\x8c\x07versionK\x06\x8c\x0aclass_name\x8c\x01x\x8c\x05state}q\x01u\x85Rq\x02s"
        # Number 1 is its state, number 2 the object: it becomes a child of its own.
        b"\x8c\x05otherh\x01\x8c\x08_modules}\x8c\x01mh\x02sss."
    )
    with pytest.raises(UnsafeFileError, match="nested deeper"):
        read_snapshot(memoryview(source))
