"""The table in Markdown, and the one in the README, which may not be stale."""

import json
from pathlib import Path

import pytest

from equipoise.bench.markdown import END, START, build_table, embed_table

ROOT = Path(__file__).parent.parent.parent


def rate(value, low, high):
    return {"value": value, "low": low, "high": high}


ROW = {
    "model": "zoo:one", "detector": "denoising_residual", "baseline": True, "needs": [],
    "reason": None, "sign": 1, "auroc": rate(0.95, 0.9, 1.0), "minus_residual": None,
    "clean_twin_auroc": rate(0.5, 0.4, 0.6), "tpr_at_1pct_fpr": rate(0.5, None, None),
    "evaluations": 4, "n": {"copies": 40, "planted_images": 9, "novel": 300},
}  # fmt: skip
OTHER = ROW | {
    "detector": "noise_gap", "baseline": False, "needs": ["condition"], "sign": -1,
    "auroc": rate(0.98, 0.95, 0.99), "minus_residual": rate(0.03, -0.01, 0.05),
}  # fmt: skip
SKIPPED = {"model": "zoo:one", "detector": "sharpness", "reason": "needs a condition"}


def test_a_table_has_the_best_first_and_names_what_is_left_out():
    text = build_table([ROW, SKIPPED, OTHER])
    first, second = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert first == (
        "| noise gap (sign turned) | condition | .980 (.950 to .990) | +.030 (-.010 to +.050) | "
        ".500 (.400 to .600) | .50 (? to ?) | 4 |"
    )
    assert second.startswith("| *denoising residual* (baseline) |  | .950 (.900 to 1.000) |  |")
    assert "Left out: sharpness: needs a condition." in text
    assert "40 copies of 9 planted images, 300 novel outputs" in text


def test_the_table_is_put_between_its_marks_and_nothing_else_changes():
    page = f"above\n{START}\nold\n{END}\nbelow"
    assert embed_table(page, "new") == f"above\n{START}\n\nnew\n\n{END}\nbelow"
    with pytest.raises(ValueError, match="not enough values"):
        embed_table("no marks", "new")


def test_the_table_of_the_readme_is_not_stale():
    readme = (ROOT / "README.md").read_text()
    rows = json.loads((ROOT / "docs" / "bench.json").read_text())["rows"]
    assert embed_table(readme, build_table(rows)) == readme
