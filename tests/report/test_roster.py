import dataclasses

from equipoise.report import roster
from equipoise.report.item import STATES, Item


def make_item(row, **fields):
    names = [field.name for field in dataclasses.fields(Item) if field.name != "row"]
    plain = dict.fromkeys(names) | {"id": f"{row:032x}", "source": f"a/{row}.png"} | fields
    return Item(row=row, **plain)


def test_every_item_has_a_line_under_its_state(monkeypatch):
    monkeypatch.setattr(roster, "BLOCK", 2)
    items = [
        make_item(0, score=-0.5, p_value=0.25, verdict="memorized"),
        *[make_item(row, verdict="inconclusive", score=1.0, p_value=0.5) for row in (1, 2, 3)],
        make_item(4, error="damaged", source="a\n1.00  b\u202e"),
    ]
    counts = dict.fromkeys(STATES, 0) | {"memorized": 1, "inconclusive": 3, "failed": 1}
    rosters = roster.build_rosters(items, counts)
    assert [(r.name, r.count, len(r.blocks)) for r in rosters] == [
        ("memorized", 1, 1), ("inconclusive", 3, 2), ("failed", 1, 1),
    ]  # fmt: skip
    assert rosters[0].blocks == [" \u22120.500     0.25  memorized      a/0.png"]
    assert [block.count("\n") for block in rosters[1].blocks] == [1, 0]
    assert rosters[2].blocks[0].endswith("failed         a\\n1.00  b\\u202e")


def test_failures_are_grouped_by_reason_the_most_frequent_first():
    reasons = ["too large", "damaged", "damaged", None, "bad\x07"]
    items = [make_item(row, error=reason) for row, reason in enumerate(reasons)]
    failures = roster.build_failures(items)
    assert [(r.name, r.count) for r in failures] == [
        ("damaged", 2), ("bad\\x07", 1), ("too large", 1),
    ]  # fmt: skip
    assert failures[0].blocks == ["a/1.png\na/2.png"]


def test_many_reasons_share_a_list_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(roster, "REASONS", 3)
    items = [make_item(row, error=f"reason {row % 5}") for row in range(11)]
    failures = roster.build_failures(items)
    assert [r.name for r in failures] == ["reason 0", "reason 1", "other reasons"]
    assert sum(r.count for r in failures) == 11
    assert "a/4.png: reason 4" in failures[2].blocks[0].split("\n")


def test_what_is_not_listed_is_counted():
    counts = dict.fromkeys(STATES, 0) | {"memorized": 7, "failed": 1_000_000}
    rosters = roster.build_rosters([make_item(0, verdict="memorized")], counts)
    assert [(r.name, r.count, r.listed) for r in rosters] == [
        ("memorized", 7, 1), ("failed", 1_000_000, 0),
    ]  # fmt: skip
    [failed] = roster.build_failures([], {"damaged": 5})
    assert (failed.count, failed.listed, failed.blocks) == (5, 0, [])


def test_other_files_are_counted():
    assert roster.list_other_files({"": 1, ".txt": 1200, ".md": None}) == [
        (".txt", "1,200"), ("", "1"),
    ]  # fmt: skip
    assert roster.list_other_files(None) == []
