"""docs/reference.md: every public name, from its docstring.

Names of `import equipoise` are told in full. The rooms that others build on follow, a line a name.
"""

import ast
import importlib
from pathlib import Path

import equipoise
from docstring import (
    Docstring,
    find_definition,
    list_entries,
    list_fields,
    parse_file,
    read_docstring,
    read_text,
)

PAGE = Path("docs/reference.md")
SOURCE = Path(equipoise.__file__).parent
SEE = {
    "build_preset": "detectors/spikiness.md",
    "calibrate_guard": "guard.md",
    "concept": "steering.md",
    "edit": "steering.md",
    "EquipoiseError": "errors.md",
    "guard": "guard.md",
    "heatmap": "heatmaps.md",
    "load": "loading.md",
    "monitor": "monitor.md",
    "Spikiness": "detectors/spikiness.md",
    "steer": "steering.md",
    "wrap": "loading.md",
}
"""The page that tells more of a name."""
ROOMS = {
    "denoisers": "One protocol and its adapters; see [adding a family](adding-a-family.md)",
    "sampling": "Samplers as generators, noise by (seed, item, draw)",
    "representation": "Sites, capture, pooling and statistics of units",
    "detection": "Detectors and calibrations; see [detectors](detectors.md) and "
    "[adding a detector](adding-a-detector.md)",
    "steering": "Concept vectors; see [steering](steering.md)",
    "theory": "The two-layer network of the paper; see [the theory, as numbers](theory.md). "
    "Samples are the rows of X, weights `W` have one unit a column",
    "images": "Pictures in",
    "labels": "What copies what",
    "runs": "The folder that every slow job writes; see [run folders](run-folder.md)",
    "report": "Run folder to page; see [reports](report.md)",
}
ELSEWHERE = (
    "equipoise.bench.comparison.run_bench",
    "equipoise.bench.comparison.run_prompted_bench",
    "equipoise.bench.parts.load_parts",
    "equipoise.bench.parts.load_exhibit",
    "equipoise.detection.conformance.check_detector",
    "equipoise.detection.pole.build_pole",
    "equipoise.guarding.safety_checker.SafetyChecker",
    "equipoise.monitoring.accelerated.AcceleratedMonitor",
    "equipoise.monitoring.hf_trainer.TrainerMonitor",
    "equipoise.monitoring.lightning_trainer.LightningMonitor",
    "equipoise.monitoring.monitor.Monitor",
    "equipoise.monitoring.monitor.MonitorSpec",
    "equipoise.theory.claims.CLAIMS",
    "equipoise.theory.claims.verify_claims",
    "equipoise.theory.phase.run_phase",
    "equipoise.zoo.package.load_zoo",
    "equipoise.zoo.package.ZooModel",
)
HEAD = """# Reference

What `import equipoise as eq` offers; each name is loaded when it is first used. This page is made
from the docstrings (`make pages`); `help(eq.spikiness)` says the same.
"""


def build(root: Path) -> dict[Path, str]:
    """Build the page from the package that is imported."""
    parts = [HEAD]
    for name in equipoise.__all__:
        module = importlib.import_module(equipoise._HOMES[name])
        parts.append(_tell_in_full(name, *_locate(module.__name__, name)))
    parts.append(
        "## Rooms\n\nThese are imported by their own names, as `from equipoise.runs import ...`.\n"
    )
    for room, what in ROOMS.items():
        names = importlib.import_module(f"equipoise.{room}").__all__
        rows = [_tell_in_a_line(name, *_locate(f"equipoise.{room}", name)) for name in names]
        parts.append(f"### equipoise.{room}\n\n{what}.\n\n{_tabulate(rows)}\n")
    rows = []
    for dotted in ELSEWHERE:
        module, _, name = dotted.rpartition(".")
        rows.append(_tell_in_a_line(name, *_locate(module, name), prefix=f"{module}."))
    parts.append(f"### Elsewhere\n\n{_tabulate(rows)}\n")
    return {PAGE: "\n".join(parts)}


def _locate(module: str, name: str) -> tuple[Path, ast.stmt]:
    """Find the file and the statement that define a name, through the imports of its room.

    Raises:
        ValueError: when nothing defines it.
    """
    path = SOURCE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = find_definition(path, name)
    if found is not None:
        return path, found
    for node in ast.walk(parse_file(path)):
        if isinstance(node, ast.ImportFrom) and any(
            (a.asname or a.name) == name for a in node.names
        ):
            return _locate(node.module or "", name)
    raise ValueError(f"nothing defines {module}.{name}")


def _tell_in_full(name: str, path: Path, node: ast.stmt) -> str:
    assert isinstance(node, (ast.FunctionDef, ast.ClassDef)), name
    told = read_docstring(node)
    lines = [f"### {name}", ""]
    called = node if isinstance(node, ast.FunctionDef) else _find_init(node)
    if called is not None:
        lines += [_write_call(name, called), ""]
    lines += [told.summary, ""]
    lines += [told.rest, ""] if told.rest else []
    lines += _list_arguments(told, called) if called is not None else []
    lines += _list_members(node) if isinstance(node, ast.ClassDef) else []
    if "Returns" in told.sections:
        lines += ["**Returns** " + " ".join(told.sections["Returns"].split()), ""]
    if "Raises" in told.sections:
        raised = list_entries(told.sections["Raises"]).items()
        told_plainly = [" ".join(told.sections["Raises"].split())]
        lines += ["**Raises**", ""]
        lines += [f"- `{error}`: {when}" for error, when in raised] or told_plainly
        lines += [""]
    if name in SEE:
        lines += [f"More: [{Path(SEE[name]).stem}]({SEE[name]}).", ""]
    return "\n".join(lines)


def _find_init(node: ast.stmt) -> ast.FunctionDef | None:
    """Find the `__init__` of a class that has one of its own and tells its arguments."""
    if not isinstance(node, ast.ClassDef) or "Args" not in read_docstring(node).sections:
        return None
    inits = (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    return next(inits, None)


def _list_arguments(told: Docstring, called: ast.FunctionDef) -> list[str]:
    """List the arguments that a docstring tells; one that it leaves out is an error."""
    meanings = list_entries(told.sections.get("Args", ""))
    given = called.args
    types = {a.arg: a.annotation for a in [*given.args, *given.kwonlyargs] if a.arg != "self"}
    if given.kwarg is not None:
        types[f"**{given.kwarg.arg}"] = given.kwarg.annotation
    if meanings and set(meanings) != set(types):
        odd = ", ".join({*meanings} ^ {*types})
        raise ValueError(f"the docstring of {called.name} and its arguments differ: {odd}")
    lines = [
        f"- `{name}`{f' (`{ast.unparse(kind)}`)' if (kind := types[name]) else ''}: {meaning}"
        for name, meaning in meanings.items()
    ]
    return [*lines, ""] if lines else []


def _list_members(node: ast.ClassDef) -> list[str]:
    lines = []
    for name, (kind, default, meaning) in list_fields(node).items():
        if not meaning:
            raise ValueError(f"the field {node.name}.{name} has no docstring")
        shown = "" if default is None else f" = {default}"
        lines.append(f"- `{name}: {kind}{shown}`: {meaning}")
    for here in node.body:
        if not isinstance(here, ast.FunctionDef):
            continue
        if here.name == "__call__" or not here.name.startswith("_"):
            is_property = any(ast.unparse(d) == "property" for d in here.decorator_list)
            call = here.name if is_property else _write_short(here)
            lines.append(f"- `{call}`: {read_docstring(here).summary}")
    return [*lines, ""] if lines else []


def _tell_in_a_line(name: str, path: Path, node: ast.stmt, prefix: str = "") -> tuple[str, str]:
    if isinstance(node, ast.FunctionDef):
        return prefix + _write_short(node), read_docstring(node).summary
    if isinstance(node, ast.ClassDef):
        return prefix + name, read_docstring(node).summary
    body = parse_file(path).body
    told = " ".join(map(read_text, body[body.index(node) + 1 :][:1]))
    held = getattr(node, "value", None)
    value = ast.unparse(held) if isinstance(held, ast.expr) else ""
    return prefix + name, told or (f"`{value}`" if len(value) < 90 else "")


def _tabulate(rows: list[tuple[str, str]]) -> str:
    missing = [name for name, meaning in rows if not meaning]
    if missing:
        raise ValueError(f"no docstring: {', '.join(missing)}")
    lines = [f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |" for name, meaning in rows]
    return "\n".join(["| name | what it is |", "|---|---|", *lines])


def _write_short(node: ast.FunctionDef) -> str:
    """Write a call without types: `name(a, b, *, c=1)`."""
    given = node.args
    blanks = [None] * (len(given.args) - len(given.defaults))
    positional = [
        a.arg if d is None else f"{a.arg}={ast.unparse(d)}"
        for a, d in zip(given.args, [*blanks, *given.defaults], strict=True)
        if a.arg not in {"self", "cls"}
    ]
    keywords = [
        a.arg if d is None else f"{a.arg}={ast.unparse(d)}"
        for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    star = [f"*{given.vararg.arg}"] if given.vararg else ["*"] if keywords else []
    rest = [f"**{given.kwarg.arg}"] if given.kwarg else []
    return f"{node.name}({', '.join([*positional, *star, *keywords, *rest])})"


def _write_call(name: str, node: ast.FunctionDef) -> str:
    """Write a call as a block of code, broken where it is long."""
    call = name + _write_short(node).removeprefix(node.name)
    if len(call) > 90:
        call = f"{name}(\n        {call[len(name) + 1 : -1]}\n    )"
    return f"    {call}"
