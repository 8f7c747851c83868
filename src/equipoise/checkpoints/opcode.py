r"""The opcodes of a pickle, one at a time, each argument inside the file.

A pickle is a program for a stack machine. This file only cuts it into instructions: what an
opcode is called, and its argument. It knows the opcodes that saving weights needs and no others;
the ones that fetch from registries, from text or from outside buffers are refused, and so is an
argument that claims more bytes than the file has.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from equipoise.errors import UnsafeFileError

MAX_OPCODES = 5_000_000
"""A checkpoint of a billion weights needs some thousands."""
MAX_NAME = 1 << 10
"""Longest module or class name, in bytes."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One opcode: its name, its argument, and where the next one starts."""

    name: str
    argument: Any
    end: int


@dataclass(frozen=True, slots=True)
class _Opcode:
    name: str
    read: Callable[["_Cursor"], Any]


class _Cursor:
    """A place in a file; every step is checked against its end."""

    __slots__ = ("at", "buffer")

    def __init__(self, buffer: memoryview, at: int) -> None:
        self.buffer = buffer
        self.at = at

    def take(self, count: int) -> memoryview:
        """Return the next `count` bytes without copying them."""
        end = self.at + count
        if count < 0 or end > len(self.buffer):
            raise UnsafeFileError(
                f"The pickle ends early or lies about a size: {count} bytes are announced at byte "
                f"{self.at}, and {len(self.buffer) - self.at} are left. Fetch the file again."
            )
        piece = self.buffer[self.at : end]
        self.at = end
        return piece

    def number(self, form: str) -> Any:  # noqa: ANN401 - whole or floating, told by `form`
        """Read a number in a format of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

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


def _none(_: _Cursor) -> None:
    return None


def _long(cursor: _Cursor) -> int:
    return int.from_bytes(cursor.take(cursor.number("<B")), "little", signed=True)


_TABLE = {
    b"\x80": _Opcode("PROTO", lambda c: c.number("<B")),
    b"\x95": _Opcode("FRAME", lambda c: c.number("<Q")),
    b".": _Opcode("STOP", _none),
    b"(": _Opcode("MARK", _none),
    b"N": _Opcode("CONSTANT", _none),
    b"\x88": _Opcode("CONSTANT", lambda _: True),
    b"\x89": _Opcode("CONSTANT", lambda _: False),
    b"J": _Opcode("CONSTANT", lambda c: c.number("<i")),
    b"K": _Opcode("CONSTANT", lambda c: c.number("<B")),
    b"M": _Opcode("CONSTANT", lambda c: c.number("<H")),
    b"\x8a": _Opcode("CONSTANT", _long),
    b"G": _Opcode("CONSTANT", lambda c: c.number(">d")),
    b"X": _Opcode("CONSTANT", lambda c: c.text(c.number("<I"))),
    b"\x8c": _Opcode("CONSTANT", lambda c: c.text(c.number("<B"))),
    b"\x8d": _Opcode("CONSTANT", lambda c: c.text(c.number("<Q"))),
    b"B": _Opcode("CONSTANT", lambda c: c.take(c.number("<I"))),
    b"C": _Opcode("CONSTANT", lambda c: c.take(c.number("<B"))),
    b"\x8e": _Opcode("CONSTANT", lambda c: c.take(c.number("<Q"))),
    b"]": _Opcode("EMPTY_LIST", _none),
    b"a": _Opcode("APPEND", _none),
    b"e": _Opcode("APPENDS", _none),
    b")": _Opcode("EMPTY_TUPLE", _none),
    b"\x85": _Opcode("SHORT_TUPLE", lambda _: 1),
    b"\x86": _Opcode("SHORT_TUPLE", lambda _: 2),
    b"\x87": _Opcode("SHORT_TUPLE", lambda _: 3),
    b"t": _Opcode("TUPLE", _none),
    b"}": _Opcode("EMPTY_DICT", _none),
    b"s": _Opcode("SETITEM", _none),
    b"u": _Opcode("SETITEMS", _none),
    b"\x8f": _Opcode("EMPTY_SET", _none),
    b"\x90": _Opcode("ADDITEMS", _none),
    b"c": _Opcode("GLOBAL", lambda c: (c.line(), c.line())),
    b"\x93": _Opcode("STACK_GLOBAL", _none),
    b"R": _Opcode("REDUCE", _none),
    b"\x81": _Opcode("REDUCE", _none),  # NEWOBJ: class and arguments, as good as a call
    b"b": _Opcode("BUILD", _none),
    b"Q": _Opcode("PERSISTENT", _none),
    b"q": _Opcode("PUT", lambda c: c.number("<B")),
    b"r": _Opcode("PUT", lambda c: c.number("<I")),
    b"\x94": _Opcode("MEMOIZE", _none),
    b"h": _Opcode("GET", lambda c: c.number("<B")),
    b"j": _Opcode("GET", lambda c: c.number("<I")),
}


def scan(buffer: memoryview, at: int = 0) -> Iterator[Instruction]:
    """Cut the pickle that starts at byte `at` into instructions, up to its end.

    Text comes as `str`, bytes as views of `buffer`.

    Raises:
        UnsafeFileError: for an opcode that weights do not need, a size beyond the file, or more
            than `MAX_OPCODES` instructions.
    """
    cursor = _Cursor(buffer, at)
    for _ in range(MAX_OPCODES):
        start = cursor.at
        code = bytes(cursor.take(1))
        opcode = _TABLE.get(code)
        if opcode is None:
            raise UnsafeFileError(
                f"The pickle uses the opcode 0x{code.hex()} at byte {start}, which no checkpoint "
                "of weights needs. It is damaged or made to do harm; fetch it again from a source "
                "you trust."
            )
        yield Instruction(opcode.name, opcode.read(cursor), cursor.at)
        if opcode.name == "STOP":
            return
    raise UnsafeFileError(f"The pickle has more than {MAX_OPCODES} instructions.")
