import os
import subprocess
import sys

import pytest

from equipoise.errors import RunError
from equipoise.runs import lock_run

HOLD = """
import sys, time
from pathlib import Path
from equipoise.runs import lock_run
with lock_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_the_run(tmp_path):
    with lock_run(tmp_path), pytest.raises(RunError, match=f"process {os.getpid()}"):
        lock_run(tmp_path).__enter__()


def test_the_lock_is_free_after_the_block_and_after_an_error(tmp_path):
    with pytest.raises(KeyError), lock_run(tmp_path / "new"):
        raise KeyError
    with lock_run(tmp_path / "new"):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {holder.pid}"), lock_run(tmp_path):
            pass
        holder.kill()
    with lock_run(tmp_path):
        pass
