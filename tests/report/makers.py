"""A run of every kind that has a page, made by hand; which file makes it is told here."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).parent


def load(name):
    """Load a file beside this one, whatever folder pytest starts in; once."""
    known = f"report_{name}"
    if known not in sys.modules:
        spec = spec_from_file_location(known, HERE / f"{name}.py")
        module = module_from_spec(spec)
        sys.modules[known] = module
        spec.loader.exec_module(module)
    return sys.modules[known]


def build_bench(path):
    bench = load("test_bench")
    return bench.build_run(path, bench.ROWS)


MAKERS = {
    "adapter": lambda path: load("test_adapter").make_run(path),
    "audit": lambda path: load("fake_audit").make_run(path, num_items=12),
    "bench": build_bench,
    "demo": lambda path: load("fake").make_run(path, num_items=30),
    "duplicates": lambda path: load("test_duplicates").make_run(path),
    "monitor": lambda path: load("test_monitor").make_run(path),
    "phase": lambda path: load("test_phase").make_run(path),
    "steering": lambda path: load("test_steering").make_run(path),
    "sweep": lambda path: load("test_sweep").make_run(path),
    "theory": lambda path: load("test_theory").make_run(path),
    "verification": lambda path: load("test_verification").make_run(path),
    "zoo": lambda path: load("test_zoo").make_run(path),
}
"""What writes a small run of a kind to a path."""
