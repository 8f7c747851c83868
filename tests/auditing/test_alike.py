import pyarrow as pa
import torch

from equipoise.auditing.alike import find_alike, search_alike
from equipoise.auditing.item import SCHEMA
from equipoise.runs import start_run, write_items, write_tensors


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_search_equals_a_slow_twin_and_skips_the_same_picture():
    units, ids = draw(9, 20), torch.tensor([0, 1, 2, 3, 3, 4, 5, 6, 7])
    places, cosines = search_alike(units, ids)
    centred = units.double() - units.double().mean(dim=0)
    for row in range(9):
        found = {
            other: float(torch.cosine_similarity(centred[row], centred[other], dim=0))
            for other in range(9)
            if ids[other] != ids[row]
        }
        best = max(found, key=lambda other: found[other])
        assert int(places[row]) == best
        assert abs(float(cosines[row]) - found[best]) < 1e-6


def make_run(path, units):
    """Two parts; rows 0 and 2 of either are flagged."""
    run = start_run(path, kind="audit", spec={}, provenance={})
    for part in range(2):
        rows = [
            {"id": f"{part}{row}", "source": f"s{part}{row}",
             "verdict": "memorized" if row != 1 else None}
            for row in range(3)
        ]  # fmt: skip
        write_items(run, pa.Table.from_pylist(rows, schema=SCHEMA), part=part)
        write_tensors(run, f"units-{part:06d}", {"units": units[part].numpy()})
    return run


def test_flagged_items_of_all_parts_are_compared(tmp_path):
    one, other = draw(2, 5)
    run = make_run(tmp_path / "run", [torch.stack([one, other]), torch.stack([other, one]) * 2])
    find_alike(run)
    rows = run.read_items(["alike", "likeness"]).to_pylist()
    assert [row["alike"] for row in rows] == ["s12", None, "s10", "s02", None, "s00"]
    assert rows[1]["likeness"] is None
    assert all(row["likeness"] > 0.9 for row in rows if row["alike"])


def test_without_units_the_columns_stay_empty(tmp_path):
    run = make_run(tmp_path / "run", [torch.zeros(0, 0)] * 2)
    find_alike(run)
    assert run.read_items()["alike"].null_count == 6
