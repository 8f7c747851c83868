import pickle
import pickletools

import pytest

from equipoise.checkpoints import opcode
from equipoise.checkpoints.opcode import scan
from equipoise.errors import UnsafeFileError

VALUE = {"a": [1, 300, -70000, 1 << 70, 2.5, None, True, False], "b": (b"xy", "z", {"s"})}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arguments_and_places_are_those_of_pickletools(protocol):
    data = pickle.dumps(VALUE, protocol=protocol) if protocol > 3 else pickle.dumps(
        {"a": VALUE["a"], "b": ("z", (1, 2, 3, 4))}, protocol=protocol
    )  # fmt: skip
    expected = list(pickletools.genops(data))
    found = list(scan(memoryview(data)))
    ends = [position for _, _, position in expected[1:]] + [len(data)]
    assert [end for _, _, end in found] == ends
    for (_, wanted, _), (name, argument, _) in zip(expected, found, strict=True):
        if isinstance(wanted, (str, int, float)) and name == "CONSTANT":
            assert argument == wanted
        if isinstance(wanted, bytes):
            assert bytes(argument) == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04I1\n.",  # a number as text
        b"\x80\x04i__main__\nx\n.",  # INST: makes an object
        b"\x80\x04\x82\x01.",  # EXT1: a registry of codes
        b"\x80\x05\x97.",  # NEXT_BUFFER: a buffer outside
        b"\x80\x04P1\n.",  # PERSID: a text as persistent id
        b"\x80\x04\x92.",  # NEWOBJ_EX
    ],
)
def test_opcodes_that_weights_do_not_need_are_refused(data):
    with pytest.raises(UnsafeFileError, match="the opcode 0x"):
        list(scan(memoryview(data)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\x80\x04", b"\x80\x04B\xff\xff\xff\x7fab", b"\x80\x04\x8e" + b"\xff" * 8],
)
def test_what_lies_beyond_the_end_is_refused_without_being_allocated(data):
    with pytest.raises(UnsafeFileError, match="ends early or lies about a size"):
        list(scan(memoryview(data)))


@pytest.mark.parametrize("data", [b"\x80\x04X\x02\x00\x00\x00\xff\xfe.", b"\x80\x04cno end"])
def test_damaged_texts_are_refused(data):
    with pytest.raises(UnsafeFileError, match="damaged"):
        list(scan(memoryview(data)))


def test_a_program_has_a_longest_length(monkeypatch):
    monkeypatch.setattr(opcode, "MAX_OPCODES", 10)
    with pytest.raises(UnsafeFileError, match="more than 10 instructions"):
        list(scan(memoryview(b"\x80\x04" + b"N" * 20 + b".")))
