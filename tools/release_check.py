"""Check what a release would be: the wheel, alone in an empty environment.

    python tools/release_check.py          (make release-check)

Builds the wheel and compares it with the source; installs it into a new environment from wheels
only, with no compiler in reach; runs the demo there; builds the documentation; lists the licences
of everything that was installed. All of it lies in build/release afterwards. Ends with exit code 1
at the first step that fails.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "build" / "release"
LIMIT = 95_000_000
"""Bytes that a wheel may have: the package index takes 100 MB."""
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info")


def build_wheel(folder: Path, *options: str) -> Path:
    """Build the wheel from a copy of the source, where no earlier build lies about."""
    copy = folder / "source"
    shutil.copytree(ROOT / "src", copy / "src", ignore=LEFT_OUT)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *options,
        "--wheel-dir", folder, copy)  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return wheel


def find_faults(wheel: Path) -> list[str]:
    """Say what is wrong with a wheel: size, tag, and files that are missing or too many."""
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "equipoise").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    about = {name for name in names if ".dist-info/" in name}
    faults = [f"missing: {name}" for name in sorted(wanted - names)]
    faults += [f"not in the source: {name}" for name in sorted(names - wanted - about)]
    for name in ("LICENSE", "NOTICE"):
        if not any(path.endswith(f"/{name}") for path in about):
            faults.append(f"missing: {name}")
    if not wheel.name.endswith("-py3-none-any.whl"):
        faults.append(f"not for every machine: {wheel.name}")
    if wheel.stat().st_size >= LIMIT:
        faults.append(f"{wheel.stat().st_size:,} bytes, and {LIMIT:,} are allowed")
    return faults


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command without our source on the path and without a compiler; return its output."""
    hidden = {"CC": "false", "CXX": "false", "PYTHONPATH": "", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **hidden},
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"failed with exit code {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout


def install(python: Path, *wanted: str) -> None:
    """Install from wheels only: what would have to be compiled is refused."""
    run(python, "-m", "pip", "install", "-q", "--only-binary", ":all:",
        "-c", ROOT / "constraints.txt", *wanted)  # fmt: skip


def check_demo(equipoise: Path) -> str:
    """Run the demo outside of the checkout and return what it found."""
    told = json.loads(run(equipoise, "demo", "--json", "--out", PLACE / "demo", cwd=PLACE))
    if not Path(PLACE, told["report"]).is_file():
        sys.exit(f'The demo names the page "{told["report"]}", which is not there.')
    auroc = told["auroc"]
    return f"AUROC {auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f})"


def check_docs(bin_folder: Path) -> int:
    """Build the documentation with the environment's own packages; return its pages."""
    copy = PLACE / "docs"
    shutil.copytree(ROOT / "docs", copy / "docs")
    shutil.copy(ROOT / "zensical.toml", copy)
    run(bin_folder / "zensical", "build", "--clean", "--strict", cwd=copy)
    return len(list((copy / "build" / "site").rglob("*.html")))


def main() -> None:
    """Run the steps in order and say what each found."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    wheel = build_wheel(PLACE)
    faults = find_faults(wheel)
    if faults:
        sys.exit("\n".join([f"The wheel {wheel.name} is wrong:", *faults]))
    print(f"wheel: {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB, the files of the source")
    run(sys.executable, "-m", "venv", PLACE / "venv")
    bin_folder = PLACE / "venv" / "bin"
    install(bin_folder / "python", str(wheel))
    print("install: from wheels only")
    print(f"demo: {check_demo(bin_folder / 'equipoise')}")
    install(bin_folder / "python", f"{wheel}[diffusers,docs]")
    print(f"docs: {check_docs(bin_folder)} pages, no warning")
    licences = run(bin_folder / "python", ROOT / "tools" / "licences.py")
    (PLACE / "licences.md").write_text(licences)
    print(f"licences: {len(licences.splitlines()) - 2} distributions, {PLACE / 'licences.md'}")


if __name__ == "__main__":
    main()
