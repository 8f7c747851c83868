r"""The opcodes of a pickle, one at a time, each argument inside the file.

A pickle is a program for a stack machine. This file only cuts it into instructions: what an
opcode is called, and its argument. It knows the opcodes that saving weights needs and no others;
the ones that fetch from registries, from text or from outside buffers are refused, and so is an
argument that claims more bytes than the file has.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, no_type_check

from equipoise.errors import UnsafeFileError

MAX_OPCODES = 5_000_000
"""A checkpoint of a billion weights needs some thousands."""
MAX_NAME = 1 << 10
"""Longest module or class name, in bytes."""


Instruction = tuple[str, Any, int]
"""One opcode: its name, its argument, and where the next one starts."""


@no_type_check  # checked by its tests; a check of every call would take the tests minutes
class _Cursor:
    """A place in a file; every step is checked against its end."""

    __slots__ = ("at", "buffer")

    def __init__(self, buffer: memoryview, at: int) -> None:
        self.buffer = buffer
        self.at = at

    def take(self, count: int) -> memoryview:
        """Return the next `count` bytes without copying them."""
        end = self.at + count
        if end > len(self.buffer):
            raise _early(count, self.at, len(self.buffer))
        piece = self.buffer[self.at : end]
        self.at = end
        return piece

    def number(self, form: str) -> Any:  # noqa: ANN401 - whole or floating, told by `form`
        """Read a number in a format of `struct`."""
        at = self.at
        self.at += _SIZES[form]
        if self.at > len(self.buffer):
            raise _early(_SIZES[form], at, len(self.buffer))
        return struct.unpack_from(form, self.buffer, at)[0]

    def text(self, count: int) -> str:
        """Read text of `count` bytes."""
        try:
            return str(self.take(count), "utf-8", "strict")
        except UnicodeDecodeError as error:
            raise UnsafeFileError(
                f"The pickle is damaged: a text at byte {self.at} is not UTF-8."
            ) from error

    def line(self) -> str:
        """Read a name up to the end of its line."""
        window = bytes(self.buffer[self.at : self.at + MAX_NAME])
        length = window.find(b"\n")
        if length < 0:
            raise UnsafeFileError(f"The pickle is damaged: a name at byte {self.at} has no end.")
        return self.text(length + 1)[:-1]


_SIZES = {form: struct.calcsize(form) for form in ("<B", "<H", "<I", "<Q", "<i", ">d")}


def _early(count: int, at: int, size: int) -> UnsafeFileError:
    return UnsafeFileError(
        f"The pickle ends early or lies about a size: {count} bytes are announced at byte {at}, "
        f"and {size - at} are left. Fetch the file again."
    )


def _long(cursor: _Cursor) -> int:
    return int.from_bytes(cursor.take(cursor.number("<B")), "little", signed=True)


_TABLE: dict[bytes, tuple[str, Callable[[_Cursor], Any] | None]] = {
    b"\x80": ("PROTO", lambda c: c.number("<B")),
    b"\x95": ("FRAME", lambda c: c.number("<Q")),
    b".": ("STOP", None),
    b"(": ("MARK", None),
    b"N": ("CONSTANT", None),
    b"\x88": ("CONSTANT", lambda _: True),
    b"\x89": ("CONSTANT", lambda _: False),
    b"J": ("CONSTANT", lambda c: c.number("<i")),
    b"K": ("CONSTANT", lambda c: c.number("<B")),
    b"M": ("CONSTANT", lambda c: c.number("<H")),
    b"\x8a": ("CONSTANT", _long),
    b"G": ("CONSTANT", lambda c: c.number(">d")),
    b"X": ("CONSTANT", lambda c: c.text(c.number("<I"))),
    b"\x8c": ("CONSTANT", lambda c: c.text(c.number("<B"))),
    b"\x8d": ("CONSTANT", lambda c: c.text(c.number("<Q"))),
    b"B": ("CONSTANT", lambda c: c.take(c.number("<I"))),
    b"C": ("CONSTANT", lambda c: c.take(c.number("<B"))),
    b"\x8e": ("CONSTANT", lambda c: c.take(c.number("<Q"))),
    b"]": ("EMPTY_LIST", None),
    b"a": ("APPEND", None),
    b"e": ("APPENDS", None),
    b")": ("EMPTY_TUPLE", None),
    b"\x85": ("SHORT_TUPLE", lambda _: 1),
    b"\x86": ("SHORT_TUPLE", lambda _: 2),
    b"\x87": ("SHORT_TUPLE", lambda _: 3),
    b"t": ("TUPLE", None),
    b"}": ("EMPTY_DICT", None),
    b"s": ("SETITEM", None),
    b"u": ("SETITEMS", None),
    b"\x8f": ("EMPTY_SET", None),
    b"\x90": ("ADDITEMS", None),
    b"c": ("GLOBAL", lambda c: (c.line(), c.line())),
    b"\x93": ("STACK_GLOBAL", None),
    b"R": ("REDUCE", None),
    b"\x81": ("REDUCE", None),  # NEWOBJ: class and arguments, as good as a call
    b"b": ("BUILD", None),
    b"Q": ("PERSISTENT", None),
    b"q": ("PUT", lambda c: c.number("<B")),
    b"r": ("PUT", lambda c: c.number("<I")),
    b"\x94": ("MEMOIZE", None),
    b"h": ("GET", lambda c: c.number("<B")),
    b"j": ("GET", lambda c: c.number("<I")),
}


# By the byte itself, because every instruction asks.
_BY_CODE = [_TABLE.get(bytes([code])) for code in range(256)]


@no_type_check
def scan(buffer: memoryview, at: int = 0) -> Iterator[Instruction]:
    """Cut the pickle that starts at byte `at` into instructions, up to its end.

    Text comes as `str`, bytes as views of `buffer`.

    Raises:
        UnsafeFileError: for an opcode that weights do not need, a size beyond the file, or more
            than `MAX_OPCODES` instructions.
    """
    cursor = _Cursor(buffer, at)
    for _ in range(MAX_OPCODES):
        if cursor.at >= len(buffer):
            raise _early(1, cursor.at, len(buffer))
        code = buffer[cursor.at]
        cursor.at += 1
        opcode = _BY_CODE[code]
        if opcode is None:
            raise UnsafeFileError(
                f"The pickle uses the opcode 0x{code:02x} at byte {cursor.at - 1}, which no "
                "checkpoint of weights needs. It is damaged or made to do harm; fetch it again "
                "from a source you trust."
            )
        name, read = opcode
        yield name, read(cursor) if read else None, cursor.at
        if name == "STOP":
            return
    raise UnsafeFileError(f"The pickle has more than {MAX_OPCODES} instructions.")
