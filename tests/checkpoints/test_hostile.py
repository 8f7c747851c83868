"""At least 60 hostile files: nothing is run, each is refused with our own error."""

import contextlib
import io
import pickle
import resource

import pytest

import equipoise as eq
from equipoise.errors import EquipoiseError

from .hostile import FILES, FOLDERS

SAMPLE = (
    "os.system",
    "call in pickle 3 of a storage",
    "evil .ckpt",
    "evil .bin",
    "shared modules",
)
HOSTILE = [pytest.param(n, marks=[] if n in SAMPLE else pytest.mark.slow) for n in FILES]


def test_there_are_at_least_60():
    assert len(FILES) + len(FOLDERS) >= 100


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_is_run(name, tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "weights.pkl"
    path.write_bytes(FILES[name](canary))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EquipoiseError) as caught:
        eq.load(path)
    assert not canary.exists()
    assert len(str(caught.value)) < 1000
    # KiB; nothing near what the file claims was allocated.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_a_hostile_folder_is_refused_and_nothing_is_run(name, tmp_path):
    canary = tmp_path / "canary"
    folder = tmp_path / "model"
    folder.mkdir()
    FOLDERS[name](folder, canary)
    with pytest.raises(EquipoiseError):
        eq.load(folder)
    assert not canary.exists()


@pytest.mark.slow
def test_an_ordinary_reader_would_run_them(tmp_path):
    """The canary works: pickle itself sets it off."""
    fired = 0
    for index, name in enumerate(FILES):
        canary = tmp_path / f"canary{index}"
        data = FILES[name](canary)
        if b"os\nsystem\n" in data and data[:1] == b"\x80" and len(data) < 10_000:
            with contextlib.suppress(Exception):
                pickle.load(io.BytesIO(data))
            fired += canary.exists()
    assert fired >= 10


def test_source_code_in_a_snapshot_is_a_text_like_any_other(tmp_path, tiny_snapshot):
    from edm_snapshot import MODULE_SRC

    canary = tmp_path / "canary"
    evil = f"open({str(canary)!r}, 'w')#".ljust(len(MODULE_SRC), "#")[: len(MODULE_SRC)]
    assert len(evil) == len(MODULE_SRC)
    (tmp_path / "s.pkl").write_bytes(tiny_snapshot.replace(MODULE_SRC.encode(), evil.encode()))
    assert eq.load(tmp_path / "s.pkl", family="edm").sample_shape == (1, 4, 4)
    assert not canary.exists()
