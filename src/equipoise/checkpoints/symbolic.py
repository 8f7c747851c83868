r"""Read a pickle as symbols: nothing is imported, called or set.

Where an ordinary reader would import `module.name` and call it, this one writes down
`Call(Global(module, name), arguments)`; what an ordinary reader would set on the result is kept
beside it as `state`. Only names of an allow-list may appear at all, compared as a pair of module
and name. The result is made of numbers, texts, views of bytes, tuples, lists, dicts, sets and
these two symbols, and may contain itself: whoever walks it counts depth.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from equipoise.checkpoints.opcode import Instruction, scan
from equipoise.errors import UnsafeFileError

ORDERED_DICT = ("collections", "OrderedDict")
MAX_STACK = 1_000_000


@dataclass(frozen=True, slots=True)
class Global:
    """A name that an ordinary reader would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Call:
    """What an ordinary reader would call, and the state it would set on the result."""

    function: Global
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A persistent id: something that lies elsewhere in the file."""

    key: Any


@dataclass(frozen=True, slots=True)
class Pickle:
    """What a pickle holds, its persistent ids, and where it ends in the file, in bytes."""

    value: Any
    references: tuple[Reference, ...]
    end: int


class OrderedItems(dict[Any, Any]):
    """An `OrderedDict`, the one dict whose attributes (`_metadata`) a pickle may set."""


# What may be a key: hashing these neither recurses nor runs code.
_KEYS = (str, int, float, type(None), Global)
_MARK = object()


def read_pickle(
    buffer: memoryview, at: int = 0, *, allowed: Collection[tuple[str, str]]
) -> Pickle:
    """Read the pickle that starts at byte `at`.

    Args:
        buffer: The file.
        at: Where the pickle starts, in bytes.
        allowed: Pairs of module and name that may appear.

    Raises:
        UnsafeFileError: for a name that is not allowed, an unknown opcode, or a program that no
            pickler writes.
    """
    machine = _Machine(allowed)
    end = at
    for instruction in scan(buffer, at):
        machine.run(instruction)
        end = instruction.end
    return Pickle(machine.result(), tuple(machine.references), end)


class _Machine:
    """The stack, the marks and the memo; one method an opcode."""

    def __init__(self, allowed: Collection[tuple[str, str]]) -> None:
        self._allowed = allowed
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.references: list[Reference] = []
        self._steps: dict[str, Callable[[Any], None]] = {
            "PROTO": self._check_protocol,
            "FRAME": lambda _: None,
            "STOP": lambda _: None,
            "MARK": lambda _: self._push(_MARK),
            "CONSTANT": self._push,
            "EMPTY_LIST": lambda _: self._push([]),
            "EMPTY_TUPLE": lambda _: self._push(()),
            "EMPTY_DICT": lambda _: self._push({}),
            "EMPTY_SET": lambda _: self._push(set()),
            "APPEND": lambda _: self._extend([self._pop()]),
            "APPENDS": lambda _: self._extend(self._pop_to_mark()),
            "SHORT_TUPLE": self._short_tuple,
            "TUPLE": lambda _: self._push(tuple(self._pop_to_mark())),
            "SETITEM": lambda _: self._set_items([self._pop(), self._pop()][::-1]),
            "SETITEMS": lambda _: self._set_items(self._pop_to_mark()),
            "ADDITEMS": lambda _: self._add_items(self._pop_to_mark()),
            "GLOBAL": lambda names: self._name(*names),
            "STACK_GLOBAL": lambda _: self._name(*[self._pop(), self._pop()][::-1]),
            "REDUCE": self._reduce,
            "BUILD": self._build,
            "PERSISTENT": self._refer,
            "PUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "GET": self._get,
        }

    def run(self, instruction: Instruction) -> None:
        """Do what one instruction says, in symbols."""
        self._steps[instruction.name](instruction.argument)

    def result(self) -> Any:  # noqa: ANN401 - whatever the pickle holds
        """Return what is left when the program has ended."""
        value = self._pop()
        if self._stack:
            raise _malformed("values are left over at its end")
        return value

    def _push(self, value: object) -> None:
        if len(self._stack) >= MAX_STACK:
            raise _malformed(f"its stack grows beyond {MAX_STACK} values")
        self._stack.append(value)

    def _pop(self) -> Any:  # noqa: ANN401
        if not self._stack or self._stack[-1] is _MARK:
            raise _malformed("it takes a value that is not there")
        return self._stack.pop()

    def _top(self) -> Any:  # noqa: ANN401
        if not self._stack or self._stack[-1] is _MARK:
            raise _malformed("it changes a value that is not there")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack and self._stack[-1] is not _MARK:
            items.append(self._stack.pop())
        if not self._stack:
            raise _malformed("a group of values has no beginning")
        self._stack.pop()
        return items[::-1]

    def _check_protocol(self, protocol: int) -> None:
        if not 2 <= protocol <= 5:
            raise _malformed(f"it claims protocol {protocol}; 2 to 5 are read")

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise _malformed("it appends to something that is no list")
        target.extend(items)

    def _short_tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(tuple(items[::-1]))

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(items) % 2:
            raise _malformed("it sets items of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise _malformed(f"a {type(key).__name__} is the key of a dict")
            target[key] = value

    def _add_items(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not set or not all(isinstance(item, _KEYS) for item in items):
            raise _malformed("it adds items to something that is no set of names")
        target.update(items)

    def _name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise _malformed("it names a thing by something that is no text")
        if (module, name) not in self._allowed:
            raise UnsafeFileError(
                f'The pickle asks for "{module[:80]}.{name[:80]}", which no checkpoint '
                "of weights needs, and opening it elsewhere could run code. Nothing was run. Save "
                "the weights as safetensors, or fetch the file from a source you trust."
            )
        self._push(Global(module, name))

    def _reduce(self, _: None) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Global) or type(arguments) is not tuple:
            raise _malformed("it calls something that is no name")
        if (function.module, function.name) == ORDERED_DICT and not arguments:
            self._push(OrderedItems())
        else:
            self._push(Call(function, arguments))

    def _build(self, _: None) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, OrderedItems):
            return
        if not isinstance(target, Call) or target.state is not None:
            raise _malformed("it sets the state of something that has none, or has one already")
        target.state = state

    def _refer(self, _: None) -> None:
        self.references.append(Reference(self._pop()))
        self._push(self.references[-1])

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise _malformed("it asks for a value that was never stored")
        self._push(self._memo[index])


def _malformed(what: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"No pickler wrote this pickle: {what}. It is damaged or made to do harm; fetch it again "
        "from a source you trust."
    )
