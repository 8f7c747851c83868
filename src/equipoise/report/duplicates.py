"""The page of a search for duplicates: what a training set holds more than once.

Groups are shown with their pictures, the largest first; further ones are lines of text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.report.exhibit import Exhibit, count_affordable
from equipoise.report.item import Item, load_items
from equipoise.report.rate import get_count, get_mapping, get_number
from equipoise.report.roster import Roster, build_failures, build_roster
from equipoise.report.table import flatten
from equipoise.report.thumbnail import load_thumbnails
from equipoise.report.wording import format_count, format_number, format_percent, format_visible
from equipoise.runs import Run

GROUPS = 200
"""Most groups with pictures."""
MEMBERS = 8
"""Most pictures of a group."""
BUDGET = 8_000_000
"""Most characters of pictures on the page."""
TOLD = {"exact": "the same pixels", "flipped": "mirrored", "near": "nearly alike"}
"""How two pictures are duplicates of each other."""


@dataclass(frozen=True)
class Family:
    """A group of duplicates; not all of its pictures may be shown."""

    size: int
    members: list[Exhibit]


def build_duplicates(run: Run) -> dict[str, Any]:
    """Build what `duplicates.html.j2` shows.

    Raises:
        RunError: when the items are missing or damaged.
    """
    items = load_items(run)
    groups = _list_groups(items)
    families = _build_families(run, groups)
    kinds = {kind: sum(item.kind == kind for item in items) for kind in TOLD}
    read = sum(item.error is None for item in items)
    repeated = sum(map(len, groups))
    spec = {name: entry for name, entry in run.record.spec.items() if name != "picture_rule"}
    return {
        "spec": run.record.spec,
        "sentence": build_sentence(repeated, read, len(groups)),
        "num_items": len(items),
        "num_read": read,
        "num_groups": len(groups),
        "num_repeated": repeated,
        "largest": len(groups[0]) if groups else 0,
        "told": TOLD,
        "kinds": [(TOLD[kind], count) for kind, count in kinds.items()],
        "families": families,
        "with_pictures": any(m.thumbnails.sample for f in families for m in f.members),
        "others": _build_others(groups[len(families) :]),
        "failures": build_failures(items),
        "num_failed": len(items) - read,
        "spec_rows": flatten(spec),
        "rule_rows": flatten(get_mapping(run.record.spec.get("picture_rule"))),
        "provenance_rows": flatten(run.record.provenance),
        "size": get_count(run.record.spec.get("size")),
        "seconds": get_number(run.record.cost.get("seconds")),
    }


def build_sentence(repeated: int, read: int, groups: int) -> str:
    """Say in one sentence how much is repeated."""
    if not read:
        return "No picture could be read."
    if not repeated:
        return f"Nothing is repeated among {format_count(read)} pictures, as far as the rule sees."
    share = format_percent(repeated / read)
    return (
        f"{format_count(repeated)} of {format_count(read)} pictures ({share}) are repeated, in "
        f"{format_count(groups)} {'group' if groups == 1 else 'groups'}."
    )


def _list_groups(items: Sequence[Item]) -> list[list[Item]]:
    """Gather the groups of two and more, the largest first."""
    members: dict[int, list[Item]] = {}
    for item in items:
        if item.group is not None and (item.group_size or 0) > 1:
            members.setdefault(item.group, []).append(item)
    return sorted(members.values(), key=lambda group: (-len(group), group[0].row))


def _build_families(run: Run, groups: Sequence[Sequence[Item]]) -> list[Family]:
    """Show the first groups with their pictures, for as long as the budget lasts."""
    shown = [group[:MEMBERS] for group in groups[:GROUPS]]
    found = load_thumbnails(run, {item.row for group in shown for item in group})
    members = [[Exhibit(item, found[item.row]) for item in group] for group in shown]
    affordable = count_affordable([m for group in members for m in group], BUDGET)
    families: list[Family] = []
    for group, some in zip(groups, members, strict=False):
        affordable -= len(some)
        if affordable < 0:
            break
        families.append(Family(len(group), some))
    return families


def _build_others(groups: Sequence[Sequence[Item]]) -> Roster | None:
    """List the groups that are not shown, one line a picture."""
    lines = [
        f"{number:>6}  {format_number(item.ratio, 2):>7}  {format_visible(item.source)}"
        for number, group in enumerate(groups, 1)
        for item in group
    ]
    return build_roster(f"{format_count(len(groups))} more groups", lines) if lines else None
