"""A folder of runs with hostile names, and a studio that serves it."""

import threading

import pyarrow as pa
import pytest

from equipoise.runs import ITEM_COLUMNS, finish_run, start_run, write_items
from equipoise.studio import build_server

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Two searches for duplicates, of which the second found one more, and a monitor's run."""
    root = tmp_path_factory.mktemp("studio") / "runs"
    for name, sizes in (("one", [2, 2, 1]), ("two", [2, 2, 2])):
        run = start_run(
            root / name, kind="duplicates", spec={"model": HOSTILE, "training": HOSTILE},
            provenance={},
        )  # fmt: skip
        table = {column: [None] * 3 for column in ITEM_COLUMNS}
        table |= {"id": list("abc"), "source": [HOSTILE] * 3, "group": [0, 0, 1]}
        write_items(run, pa.table(table | {"group_size": sizes, "kind": ["exact"] * 3}))
        finish_run(run, results={"groups": 1}, cost={"seconds": 1.0})
    monitored = start_run(
        root / "watched", kind="monitor", spec={"training": 10, "false_stops": 0.05},
        provenance={},
    )  # fmt: skip
    rate = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 20}
    check = {"step": 100, "spikiness": rate, "residual": rate, "p_value": 0.2, "copies": 0.0,
             "stops": False, "onsets": []}  # fmt: skip
    finish_run(monitored, results={"checks": [check], "stop": None}, cost={})
    (root / "secret.html").write_text("secret")
    return root


@pytest.fixture
def server(folder):
    with build_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
