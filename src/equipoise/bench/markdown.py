"""The table of a comparison in Markdown, for people who read a README."""

from collections.abc import Mapping, Sequence
from typing import Any

START, END = "<!-- bench table: made by `make bench-table` -->", "<!-- end of bench table -->"
HEAD = (
    "detector", "needs", "AUROC", "minus the residual's", "clean twin", "copies found at its 1 %",
    "passes",
)  # fmt: skip


def build_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write one table a model: detectors by AUROC, then those left out with the reason."""
    models = dict.fromkeys(row["model"] for row in rows)
    return "\n\n".join(_build_model(m, [row for row in rows if row["model"] == m]) for m in models)


def embed_table(page: str, table: str) -> str:
    """Put the table between its two marks.

    Raises:
        ValueError: when the page lacks the marks.
    """
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n\n{table}\n\n{END}{after}"


def _build_model(model: str, rows: Sequence[Mapping[str, Any]]) -> str:
    used = [row for row in rows if row["reason"] is None]
    used.sort(key=lambda row: -row["auroc"]["value"])
    n = used[0]["n"]
    told = (
        f"{n['copies']} planted training images, {n['novel']} held-out ones"
        if "@" in model
        else f"{n['copies']} copies of {n['planted_images']} planted images, {n['novel']} novel "
        "outputs"
    )
    lines = [
        f"`{model}`: {told}.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(_build_line(row) for row in used),
    ]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["reason"]:
            reasons.setdefault(row["reason"], []).append(_name(row))
    if reasons:
        told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        lines += ["", f"Left out: {told}."]
    return "\n".join(lines)


def _build_line(row: Mapping[str, Any]) -> str:
    name = f"*{_name(row)}* (baseline)" if row["baseline"] else _name(row)
    turned = " (sign turned)" if row["sign"] == -1 and not row["baseline"] else ""
    difference = row["minus_residual"]
    cells = (
        name + turned,
        ", ".join(row["needs"]),
        show_rate(row["auroc"]),
        "" if difference is None else show_rate(difference, sign="+"),
        show_rate(row["clean_twin_auroc"]) if row["clean_twin_auroc"] else "",
        show_rate(row["tpr_at_1pct_fpr"], digits=2),
        str(row["evaluations"]),
    )
    return f"| {' | '.join(cells)} |"


def _name(row: Mapping[str, Any]) -> str:
    return str(row["detector"]).replace("_", " ")


def show_rate(rate: Mapping[str, Any], *, digits: int = 3, sign: str = "") -> str:
    """Write a rate with its interval, without the zero before the point: .991 (.972 to .999)."""
    shown = [
        "?" if rate[end] is None else f"{rate[end]:{sign}.{digits}f}".replace("0.", ".", 1)
        for end in ("value", "low", "high")
    ]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"
