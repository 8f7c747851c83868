import pickle
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.checkpoints.symbolic import Call, Global, Reference, read_pickle
from equipoise.errors import UnsafeFileError

LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False)
LEAVES |= st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)
    | st.tuples(inner, inner, inner, inner) | st.sets(st.text(max_size=2)),
    max_leaves=12,
)  # fmt: skip


def read(data, *allowed):
    return read_pickle(memoryview(data), allowed=allowed)


@given(VALUES)
def test_plain_values_come_back_as_pickle_would_give_them(value):
    data = pickle.dumps(value, protocol=4)
    found = read(data + b"rest")
    assert found.value == value
    assert found.end == len(data)


def test_calls_and_states_are_written_down_and_not_done():
    data = b"\x80\x04cos\nsystem\n\x8c\x04true\x85R}\x8c\x01a\x8c\x01bsb."
    found = read(data, ("os", "system")).value
    assert isinstance(found, Call)
    assert found.function == Global("os", "system")
    assert found.arguments == ("true",)
    assert found.state == {"a": "b"}


def test_ordered_dicts_are_dicts_with_a_state_that_is_left_out():
    value = OrderedDict(a=1)
    value._metadata = {"version": 1}
    assert read(pickle.dumps(value, protocol=2), ("collections", "OrderedDict")).value == {"a": 1}


def test_persistent_ids_are_listed():
    found = read(b"\x80\x02X\x01\x00\x00\x00kQ.")
    assert isinstance(found.value, Reference)
    assert [reference.key for reference in found.references] == ["k"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x80\x04cos\nsystem\n.", r'asks for "system" of the module "os"'),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r'asks for "system" of the module "os"'),
        # A pair is compared, not its parts: os.getcwd and a.system are not os.system.
        (b"\x80\x04c allowed\nsystem\n.", "asks for"),
        (b"\x80\x04]\x8c\x01a\x93.", "by something that is no text"),
        (b"\x80\x04a.", "a value that is not there"),
        (b"\x80\x04(\x85.", "a value that is not there"),
        (b"\x80\x04t.", "no beginning"),
        (b"\x80\x04NNa.", "no list"),
        (b"\x80\x04NNNs.", "no dict"),
        (b"\x80\x04}(Nu.", "no dict"),
        (b"\x80\x04}]Ns.", "a list is the key"),
        (b"\x80\x04})Ns.", "a tuple is the key"),
        (b"\x80\x04\x8f(]\x90.", "no set of names"),
        (b"\x80\x04N)R.", "calls something that is no name"),
        (b"\x80\x04cok\nok\nNR.", "calls something that is no name"),
        (b"\x80\x04cok\nok\n}b.", "sets the state"),
        (b"\x80\x04}}b.", "sets the state"),
        (b"\x80\x04cok\nok\n)R}b}b.", "has one already"),
        (b"\x80\x04h\x00.", "never stored"),
        (b"\x80\x04NN.", "left over"),
        (b"\x80\x04(.", "a value that is not there"),
        (b"\x80\x09N.", "protocol 9"),
    ],
)  # fmt: skip
def test_programs_that_no_pickler_writes_are_refused(data, told):
    with pytest.raises(UnsafeFileError, match=told):
        read(data, ("ok", "ok"))


@pytest.mark.parametrize("body", [b"N" + b"\x85" * 100_000, b"]" * 100_000 + b"a" * 99_999])
def test_deep_nesting_neither_recurses_nor_crashes(body):
    assert read(b"\x80\x04" + body + b".").end == len(body) + 3


def test_a_value_may_contain_itself():
    found = read(b"\x80\x04]\x94h\x00a.").value
    assert found[0] is found
