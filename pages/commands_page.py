"""The options of every command, as the command line has them, put into docs/commands.md.

Each section `## equipoise NAME` of the page begins with a block between two marks; what follows is
written by hand.
"""

import re
import types
import typing
from pathlib import Path
from typing import Any

from cyclopts import App

from equipoise.cli.main import app

PAGE = Path("docs/commands.md")
START, END = "<!-- options -->", "<!-- end of options -->"
VALUES = {int: " N", float: " X", str: " TEXT", Path: " PATH", bool: ""}


def build(root: Path) -> dict[Path, str]:
    """Build the page anew: a block of options at the head of each section.

    Raises:
        ValueError: when a command has no section, or a section no command.
    """
    text = (root / PAGE).read_text()
    found = dict(list_commands(app))
    sections = re.findall(r"^## equipoise (.+)$", text, re.M)
    if sorted(sections) != sorted(found):
        odd = ", ".join(sorted({*sections} ^ {*found}))
        raise ValueError(f"{PAGE} needs one section '## equipoise NAME' a command. See: {odd}")
    for name, command in found.items():
        head = f"## equipoise {name}\n"
        before, after = text.split(head)
        if after.startswith(START):
            after = after.split(END, 1)[1].lstrip("\n")
        block = f"{START}\n{describe(name, command)}\n{END}\n\n"
        text = f"{before}{head}{block}{after}"
    return {PAGE: text}


def list_commands(group: App, prefix: str = "") -> list[tuple[str, App]]:
    """List every command that does something, by its words after `equipoise`."""
    commands = []
    for name in group:
        if name.startswith("-"):
            continue
        below = group[name]
        inner = list_commands(below, f"{prefix}{name} ")
        commands += inner or [(f"{prefix}{name}", below)]
    return commands


def describe(name: str, command: App) -> str:
    """Write what a command does, how it is called, and a table of its options."""
    arguments = [
        a for a in command.assemble_argument_collection(parse_docstring=True) if a.name != "--json"
    ]
    summary = (command.default_command.__doc__ or "").partition("\n")[0]
    words = [_write_word(a) for a in arguments if _is_positional(a)]
    lines = [summary, "", f"    {' '.join(['equipoise', name, *words])}"]
    if arguments:
        lines += ["", "| argument | meaning | default |", "|---|---|---|"]
    for argument in arguments:
        told = " ".join((argument.parameter.help or "").split())
        if not told:
            raise ValueError(f"equipoise {name}: {argument.name} has no description")
        shown = _write_word(argument).strip("[]") if _is_positional(argument) else argument.name
        values = "" if _is_positional(argument) else _write_values(argument.hint)
        told = told.replace("*", r"\*").replace("|", r"\|")
        lines.append(f"| `{shown}{values}` | {told} | {_write_default(argument)} |")
    return "\n".join(lines)


def _is_positional(argument: Any) -> bool:  # noqa: ANN401 - of cyclopts, which names no type
    return argument.field_info.kind.name == "POSITIONAL_OR_KEYWORD"


def _write_word(argument: Any) -> str:  # noqa: ANN401 - of cyclopts
    word = argument.name.removeprefix("--").upper()
    return word if argument.required else f"[{word}]"


def _write_values(hint: Any) -> str:  # noqa: ANN401 - any annotation
    """Write what stands behind an option: N a whole number, X a number, or the words allowed."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        return _write_values(next(a for a in inner if a is not type(None)))
    if origin is typing.Annotated:
        return _write_values(inner[0])
    if origin is typing.Literal:
        return f" {{{','.join(inner)}}}"
    if origin is tuple and inner[-1] is not Ellipsis:
        return "".join(_write_values(a) for a in inner)
    if origin in {tuple, list}:
        return f"{_write_values(inner[0])} ..."
    return VALUES[hint]


def _write_default(argument: Any) -> str:  # noqa: ANN401 - of cyclopts
    if argument.required:
        return "must be given"
    default = argument.field_info.default
    return "" if default is None or default is False or default in {"", ()} else f"`{default}`"
