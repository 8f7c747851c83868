"""Google-style docstrings and what stands below a field, turned into Markdown.

Sources are parsed and never imported here, so that annotations stay as they were written.
"""

import ast
import inspect
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SECTIONS = ("Args", "Returns", "Yields", "Raises", "References")
_Documented = ast.FunctionDef | ast.ClassDef | ast.Module


@dataclass
class Docstring:
    """A docstring by its parts: the text, and the lines of each section."""

    text: str
    sections: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first sentence or line, on one line."""
        return " ".join(self.text.split("\n\n")[0].split())

    @property
    def rest(self) -> str:
        """What follows the summary."""
        return self.text.partition("\n\n")[2].strip("\n")


def split_docstring(raw: str | None) -> Docstring:
    """Split a docstring into its text and its sections."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", inspect.cleandoc(raw or ""), flags=re.M)
    sections = {
        name: inspect.cleandoc(f"\n{body}")
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    return Docstring(parts[0].strip(), sections)


def list_entries(section: str) -> dict[str, str]:
    """Read the entries `name: meaning` of a section, each on one line."""
    entries: dict[str, str] = {}
    for line in section.splitlines():
        found = re.match(r"(\*{0,2}\w[\w, ]*): (.*)", line)
        if found:
            entries[found[1]] = found[2]
        elif entries and line.strip():
            entries[next(reversed(entries))] += f" {line.strip()}"
    return entries


@cache
def parse_file(path: Path) -> ast.Module:
    """Parse a source file."""
    return ast.parse(path.read_text())


def find_definition(path: Path, name: str) -> ast.stmt | None:
    """Find what defines a name in a file: a function, a class or an assignment."""
    for node in parse_file(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return node
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return node
    return None


def read_docstring(node: _Documented) -> Docstring:
    """Split the docstring of a parsed function, class or module."""
    return split_docstring(ast.get_docstring(node))


def list_fields(node: ast.ClassDef) -> dict[str, tuple[str, str | None, str]]:
    """Read the public fields of a class: annotation, default (None: wanted) and meaning.

    The meaning stands in a string below the field, or in the section Args of the class.
    """
    told = list_entries(read_docstring(node).sections.get("Args", ""))
    fields = {}
    for here, below in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
        if not isinstance(here, ast.AnnAssign) or not isinstance(here.target, ast.Name):
            continue
        name = here.target.id
        default = None if here.value is None else read_default(here.value)
        text = read_text(below) or told.get(name, "")
        if not name.startswith("_"):
            fields[name] = (ast.unparse(here.annotation), default, text)
    return fields


def read_default(value: ast.expr) -> str | None:
    """Write a default; of pydantic's `Field` the one it holds."""
    if not isinstance(value, ast.Call) or ast.unparse(value.func) not in {"Field", "field"}:
        return ast.unparse(value)
    held = [k.value for k in value.keywords if k.arg in {"default", "default_factory"}]
    return ast.unparse(held[0]) if held else None


def read_text(node: ast.stmt) -> str:
    """Return the string that a statement consists of, on one line; empty when it is none."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return ""
    value = node.value.value
    return " ".join(value.split()) if isinstance(value, str) else ""
