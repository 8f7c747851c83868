"""What `import equipoise` loads, counted and not timed; benchmarks/startup.py measures seconds."""

import subprocess
import sys

import equipoise

# numpy and Pillow come with many names, and torch with all of them.
HEAVY = ("PIL", "diffusers", "jaxtyping", "matplotlib", "numpy", "pyarrow", "pydantic", "scipy",
         "sklearn", "torch", "transformers")  # fmt: skip


def list_loaded(statement):
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_the_package_loads_no_room_and_no_dependency():
    loaded = list_loaded("import equipoise")
    assert [name for name in loaded if name.startswith("equipoise")] == ["equipoise"]
    assert not set(HEAVY) & set(loaded)


def test_a_name_brings_its_own_room_only():
    loaded = list_loaded("import equipoise; equipoise.EquipoiseError")
    assert not set(HEAVY) & set(loaded)
    loaded = list_loaded("import equipoise; equipoise.Denoiser")
    assert "torch" in loaded
    assert not {"sklearn", "matplotlib", "diffusers"} & set(loaded)
    assert not [name for name in loaded if name.startswith("equipoise.auditing")]


def test_every_public_name_is_offered_without_being_loaded():
    assert set(equipoise.__all__) <= set(dir(equipoise))
    listed = list_loaded("import equipoise; dir(equipoise)")
    assert "torch" not in listed
