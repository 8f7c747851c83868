r"""Read a pickle as symbols: nothing is imported, called or set.

Where an ordinary reader would import `module.name` and call it, this one writes down
`Call(Global(module, name), arguments)`; what an ordinary reader would set on the result is kept
beside it as `state`. Only names of an allow-list may appear at all, compared as a pair of module
and name. The result is made of numbers, texts, views of bytes, tuples, lists, dicts, sets and
these two symbols, and may contain itself: whoever walks it counts depth.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, no_type_check

from equipoise.checkpoints.opcode import scan
from equipoise.errors import UnsafeFileError, quote

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
    for name, argument, end in scan(buffer, at):  # noqa: B007 - the last one is used
        _STEPS[name](machine, argument)
    return Pickle(machine.result(), tuple(machine.references), end)


@no_type_check  # checked by its tests; a check of every call would take the tests minutes
class _Machine:
    """The stack, the marks and the memo; one method an opcode."""

    def __init__(self, allowed: Collection[tuple[str, str]]) -> None:
        self._allowed = allowed
        self._stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.references: list[Reference] = []

    def result(self) -> Any:  # noqa: ANN401 - whatever the pickle holds
        """Return what is left when the program has ended."""
        value = self.pop()
        if self._stack:
            raise _malformed("values are left over at its end")
        return value

    def push(self, value: object) -> None:
        if len(self._stack) >= MAX_STACK:
            raise _malformed(f"its stack grows beyond {MAX_STACK} values")
        self._stack.append(value)

    def pop(self) -> Any:  # noqa: ANN401
        if not self._stack or self._stack[-1] is _MARK:
            raise _malformed("it takes a value that is not there")
        return self._stack.pop()

    def _top(self) -> Any:  # noqa: ANN401
        if not self._stack or self._stack[-1] is _MARK:
            raise _malformed("it changes a value that is not there")
        return self._stack[-1]

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack and self._stack[-1] is not _MARK:
            items.append(self._stack.pop())
        if not self._stack:
            raise _malformed("a group of values has no beginning")
        self._stack.pop()
        return items[::-1]

    def check_protocol(self, protocol: int) -> None:
        if not 2 <= protocol <= 5:
            raise _malformed(f"it claims protocol {protocol}; 2 to 5 are read")

    def extend(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise _malformed("it appends to something that is no list")
        target.extend(items)

    def short_tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(items[::-1]))

    def set_items(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(items) % 2:
            raise _malformed("it sets items of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise _malformed(f"a {type(key).__name__} is the key of a dict")
            target[key] = value

    def add_items(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not set or not all(isinstance(item, _KEYS) for item in items):
            raise _malformed("it adds items to something that is no set of names")
        target.update(items)

    def name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise _malformed("it names a thing by something that is no text")
        if (module, name) not in self._allowed:
            raise UnsafeFileError(
                f"The pickle asks for {quote(name)} of the module {quote(module)}, which no "
                "checkpoint of weights needs, and opening it elsewhere could run code. Nothing "
                "was run. Save the weights as safetensors, or fetch the file from a source you "
                "trust."
            )
        self.push(Global(module, name))

    def reduce(self, _: None) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Global) or type(arguments) is not tuple:
            raise _malformed("it calls something that is no name")
        if (function.module, function.name) == ORDERED_DICT and not arguments:
            self.push(OrderedItems())
        else:
            self.push(Call(function, arguments))

    def build(self, _: None) -> None:
        state, target = self.pop(), self._top()
        if isinstance(target, OrderedItems):
            return
        if not isinstance(target, Call) or target.state is not None:
            raise _malformed("it sets the state of something that has none, or has one already")
        target.state = state

    def refer(self, _: None) -> None:
        self.references.append(Reference(self.pop()))
        self.push(self.references[-1])

    def put(self, index: int) -> None:
        self.memo[index] = self._top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise _malformed("it asks for a value that was never stored")
        self.push(self.memo[index])


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.check_protocol,
    "FRAME": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine.push(_MARK),
    "CONSTANT": _Machine.push,
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "SHORT_TUPLE": _Machine.short_tuple,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine.add_items(machine.pop_to_mark()),
    "GLOBAL": lambda machine, names: machine.name(*names),
    "STACK_GLOBAL": lambda machine, _: machine.name(*[machine.pop(), machine.pop()][::-1]),
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "PERSISTENT": _Machine.refer,
    "PUT": _Machine.put,
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "GET": _Machine.get,
}
"""What each opcode does to the machine; the second argument is the opcode's."""


def _malformed(what: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"No pickler wrote this pickle: {what}. It is damaged or made to do harm; fetch it again "
        "from a source you trust."
    )
