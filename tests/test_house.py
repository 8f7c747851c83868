"""Rules of the house: every file has its test, every public name its line in the docs."""

import ast
import copy
import re
from pathlib import Path

import pytest

import equipoise

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "equipoise"
# Wiring and containers of constants are tested through the commands and rooms that use them.
TESTED_ELSEWHERE = {
    "__main__.py": "auditing/test_ranks.py",
    "auditing/parts.py": "auditing/test_reference.py",
    "bench/check.py": "cli/test_cli.py",
    "bench/concept.py": "bench/test_concept_response.py",
    "bench/outputs.py": "bench/test_demo.py",
    "bench/parts.py": "bench/test_demo.py",
    "detection/draws.py": "detection/test_spikiness.py",
    "doors.py": "test_doors.py",
    "studio/work.py": "studio/test_page.py",
    "errors.py": "test_house.py",
}


FORBIDDEN = ("weights_only=False", "trust_remote_code=True")


def source_files():
    return sorted(
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if path.name != "__init__.py"
    )


@pytest.mark.parametrize("name", [f for f in source_files() if not f.startswith("cli/")])
def test_every_source_file_has_a_test(name):
    path = Path(name)
    twin = TESTED_ELSEWHERE.get(name, f"{path.parent.as_posix()}/test_{path.name}")
    assert (ROOT / "tests" / twin).is_file()


def test_every_public_name_is_documented_and_can_be_loaded():
    assert sorted(equipoise._HOMES) == sorted(equipoise.__all__)
    page = (ROOT / "docs" / "reference.md").read_text()
    for name in equipoise.__all__:
        assert getattr(equipoise, name) is not None
        assert f"### {name}\n" in page, name


def test_every_error_has_a_section():
    from equipoise import errors

    classes = [
        c for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, errors.EquipoiseError)
    ]  # fmt: skip
    assert len(classes) <= 10
    _, *parts = re.split(r"^## (\S+)\n", (ROOT / "docs" / "errors.md").read_text(), flags=re.M)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert sorted(sections) == sorted(cls.slug for cls in classes)
    for cls in classes:
        text = " ".join(sections[cls.slug].split())
        assert text.startswith(f"*Symptom*: `{cls.__name__}`"), cls.slug
        assert re.search(r"\*Cause\*: .*\*Fix\*: |\*Causes and fixes\*: ", text), cls.slug


def test_an_error_that_another_process_raised_has_its_mark_once():
    from equipoise.errors import BadInputError

    assert str(copy.copy(BadInputError("no."))) == "no. [bad-input]"  # as it is handed over


def test_no_error_is_defined_elsewhere():
    defined = {
        node.name: [ast.unparse(base) for base in node.bases]
        for node in parse_sources()
        if isinstance(node, ast.ClassDef)
    }
    errors = {n for n, bases in defined.items() if any(b.endswith("Error") for b in bases)}
    tree = ast.parse((SOURCE / "errors.py").read_text())
    assert errors == {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def documented(*pages):
    """The words that the pages show as code."""
    text = "".join((ROOT / "docs" / page).read_text() for page in pages)
    return {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", code)}


def parse_sources():
    for name in source_files():
        yield from ast.walk(ast.parse((SOURCE / name).read_text()))


def called(node):
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def texts(nodes):
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_every_run_column_is_documented():
    columns = set()
    for node in parse_sources():
        if called(node) in {"pa.schema", "pa.table"}:
            inner = list(ast.walk(node))
            columns |= texts(k for d in inner if isinstance(d, ast.Dict) for k in d.keys)
            columns |= texts(t.elts[0] for t in inner if isinstance(t, ast.Tuple) and t.elts)
    assert {"score", "split", "group_size", "spikiness", "planted"} <= columns
    assert columns - documented("run-folder.md", "guard.md") == set()


def test_every_kind_and_field_of_a_run_is_documented():
    from equipoise.runs import RunRecord, build_provenance

    kinds, tensors = set(), set()
    for node in parse_sources():
        if called(node) in {"start_run", "resume_run", "open_run"}:
            kinds |= texts(k.value for k in node.keywords if k.arg == "kind")
        if called(node) == "write_tensors":
            tensors |= set(re.findall(r"^f?'(\w+)", ast.unparse(node.args[1])))
    assert {"audit", "monitor"} <= kinds
    assert {"units", "images"} <= tensors
    page = (ROOT / "docs" / "run-folder.md").read_text()
    listed = re.search(r"`kind`, one of (.*?);", page, re.DOTALL)[1]
    assert sorted(kinds) == sorted(re.findall(r"[a-z-]+", listed.replace(" or ", " ")))
    code = documented("run-folder.md")
    assert {*RunRecord.model_fields, *build_provenance()} - {"scikit-learn"} - code == set()
    assert tensors - code == set()


def test_every_answer_of_a_command_is_documented():
    keys = set()
    for node in parse_sources():
        if not isinstance(node, ast.Assign):
            continue
        name = ast.unparse(node.targets[0])
        if name in {"document", "results"}:
            parts = [node.value, *ast.iter_child_nodes(node.value)]
            keys |= texts(k for d in parts if isinstance(d, ast.Dict) for k in d.keys)
        if name == "ANSWERS":
            keys |= texts(node.value.elts)
    assert {"copy_rate", "verdict", "auroc", "achieved"} <= keys
    assert keys - documented("commands.md", "run-folder.md") == set()


def test_no_file_can_run_what_is_in_a_checkpoint():
    for name in source_files():
        text = (SOURCE / name).read_text()
        tree = ast.parse(text)
        nodes = list(ast.walk(tree))
        calls = [n.func for n in nodes if isinstance(n, ast.Call)]
        called = {f.id for f in calls if isinstance(f, ast.Name)}
        imports = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom))]
        imported = {alias.name for n in imports for alias in n.names}
        assert not called & {"exec", "eval"}, name
        assert "pickle" not in imported, name
        assert not any(word in text for word in FORBIDDEN), name
