"""Rules of the house: every file has its test, every public name its line in the docs."""

import ast
from pathlib import Path

import pytest

import equipoise

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "equipoise"
# Wiring and containers of constants are tested through the commands and rooms that use them.
TESTED_ELSEWHERE = {
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
        assert f"`{name}" in page, name


def test_every_error_has_a_section():
    from equipoise import errors

    page = (ROOT / "docs" / "errors.md").read_text()
    classes = [
        c for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, errors.EquipoiseError)
    ]  # fmt: skip
    assert len(classes) <= 10
    for cls in classes:
        assert f"## {cls.slug}" in page, cls.slug


def test_every_command_is_documented():
    from equipoise.cli.main import app
    from equipoise.cli.monitor import monitor
    from equipoise.cli.runs import runs
    from equipoise.cli.steer import steer
    from equipoise.cli.theory import theory
    from equipoise.cli.zoo import zoo

    page = (ROOT / "docs" / "commands.md").read_text()
    groups = {"monitor": monitor, "runs": runs, "steer": steer, "theory": theory, "zoo": zoo}
    own = [name for name in app if not name.startswith("-")]
    assert {"audit", "demo", "zoo"} <= set(own)
    for name in own:
        below = [n for n in groups.get(name, ()) if not n.startswith("-")]
        for command in [f"{name} {child}" for child in below] or [name]:
            assert f"## equipoise {command}" in page, command


def test_every_run_column_is_documented():
    from equipoise.auditing import adapter, duplicates, item, verification
    from equipoise.bench import demo
    from equipoise.theory.phase import job as phase

    page = (ROOT / "docs" / "run-folder.md").read_text()
    tree = ast.parse(Path(demo.__file__).read_text())
    build = next(
        n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "_build_items"
    )
    keys = [k.value for d in ast.walk(build) if isinstance(d, ast.Dict) for k in d.keys]
    assert len(keys) > 10
    for column in [
        *keys,
        *item.SCHEMA.names,
        *adapter.SCHEMA.names,
        *duplicates.SCHEMA.names,
        *phase.SCHEMA.names,
        *verification.SCHEMA.names,
    ]:
        assert f"`{column}`" in page, column


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
