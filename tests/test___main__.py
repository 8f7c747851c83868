import subprocess
import sys


def test_the_package_runs_as_a_module():
    told = subprocess.run(
        [sys.executable, "-m", "equipoise", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip()
