import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.slow
def test_a_sample_of_all_faults_loses_nothing(tmp_path):
    """Kills and failures inside writes, races, flipped bits, hostile pictures: `make faults`."""
    command = [sys.executable, str(SCRIPT), "--sample"]
    where = os.environ | {"TMPDIR": str(tmp_path)}
    page = subprocess.run(command, env=where, capture_output=True, text=True, check=True).stdout
    assert len(re.findall(r"^\*\*", page, re.MULTILINE)) == 5
    lost = re.findall(r"(?<!Rows): (\d+)[.;]", page)
    assert len(lost) == 10
    assert set(lost) == {"0"}
    assert " 0 read with other values and no word" in page
