"""A plausible audit run made of noise: coloured blocks, hostile names, scores of Gaussians."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from equipoise.runs import Run, finish_run, start_run, write_items, write_tensors

THRESHOLD, NUM_CALIBRATION, PART = 1.3, 4426, 256
HOSTILE = (
    "evil/<script>alert(1)</script>.png",
    "evil/\"><img src=x onerror='go()'>.png",
    "evil/line\nbreak\r\ttab.png",
    "evil/\u202egnp.exe \u2066isolate\u2069 \u200bzero\u00ad width\u200f.png",
    "evil/" + "long" * 60 + ".png",
    "evil/{{ 7*7 }} {% raw %} $x^2$ &amp; \\u202e.png",
    "evil/\x1b[31mred\x00nul\x7f\x9b.png",
    "evil/</pre></details></table><h1>Nothing was found</h1>.png",
    "evil/" + "Z" + "\u0301" * 120 + "algo.png",
    "evil/\u05d0\u05d1\u05d2 0.99 memorized \u4e2d\u6587 \u00e9\u0301.png",
    "javascript:alert(1)//.png",
)
SPEC = {
    "model": "zoo:edm-fashion", "images": "generated", "generate": None, "seed": 0,
    "training": "train", "held_out": "held", "calibration": "shipped with the model",
    "detector": {
        "sites": ["up_blocks.0.resnets.0.conv2:in"], "sigma": 0.13, "pooling": "max",
        "statistic": "std", "sign": 1, "draws": 4, "seed": 0, "precision": "float32",
        "scaled_units": False,
    },
    "part_size": PART, "listing": "ab12" * 8, "items": 300,
    "picture_rule": {
        "formats": "PNG, JPEG, WEBP, GIF, BMP, TIFF", "alpha": "over black",
        "frame": "first", "resize": "Lanczos, antialiased", "16 bit": "scaled to 8 bit",
    },
}  # fmt: skip
PROVENANCE = {"fingerprint": "3f9a" * 8}
COST = {
    "parts": {
        "read and score": {"evaluations": 12000, "seconds": 61.2},
        "nearest": {"evaluations": 0, "seconds": 8.9},
    },
    "seconds": 71.0,
}
REASONS = ("cannot be decoded: truncated", "not a picture", "more than 64,000,000 pixels")


def draw_thumbnail(rng: np.random.Generator, wide: int, high: int) -> bytes:
    """Draw a few blocks on a gradient as a PNG."""
    picture = np.empty((high, wide, 3))
    picture[:] = np.linspace(40, 210, high)[:, None, None] * rng.uniform(0.5, 1.2, 3)
    for _ in range(4):
        top, left = rng.integers(high - 4), rng.integers(wide - 4)
        size = rng.integers(4, 24, 2)
        picture[top : top + size[0], left : left + size[1]] = rng.uniform(0, 255, 3)
    picture += rng.normal(0, 3, picture.shape)
    buffer = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def make_columns(
    rng: np.random.Generator, num: int, *, copies: float, training: bool
) -> dict[str, list[Any]]:
    """Make the columns of the items; some are copies, some fail, some names are hostile."""
    copy = rng.random(num) < copies
    score = np.where(copy, 2.2 + 0.5 * rng.standard_normal(num), 0.0)
    score += np.where(copy, 0, 0.75 + 0.22 * rng.standard_normal(num))
    calibration = 0.75 + 0.22 * rng.standard_normal(NUM_CALIBRATION)
    above = NUM_CALIBRATION - np.searchsorted(np.sort(calibration), score)
    p = (1 + above) / (NUM_CALIBRATION + 1)
    half = rng.uniform(0.01, 0.05, num)
    verdict = np.where(
        p <= 0.01, "memorized",
        np.where(score + half > np.quantile(calibration, 0.99), "inconclusive", "not_memorized"),
    )  # fmt: skip
    failed = rng.random(num) < 0.02
    if num > 20:
        failed[-3:] = True
    flagged = (verdict == "memorized") & ~failed
    ratio = np.where(copy, rng.uniform(0.05, 0.5, num), rng.uniform(0.6, 0.95, num))
    label = np.select([ratio < 1 / 3, ratio <= 0.6], ["copy", "grey"], "novel")
    pool = [draw_thumbnail(rng, 64 if n % 3 else 48, 48 if n % 3 else 64) for n in range(60)]
    near = [pool[n % 60] for n in range(num)]
    source = [f"batch_{row // 1000:03d}/sample-{row:06d}.png" for row in range(num)]
    for row, name in enumerate(HOSTILE[:num]):
        source[row * (num // len(HOSTILE) or 1)] = name

    def keep(values: Any, mask: np.ndarray) -> list[Any]:
        plain = values.tolist() if isinstance(values, np.ndarray) else values
        return [entry if good else None for entry, good in zip(plain, mask, strict=True)]

    shown = flagged if training else np.zeros(num, bool)
    return {
        "id": [f"{int(rng.integers(2**60)):016x}" * 2 for _ in range(num)],
        "source": source,
        "score": keep(score, ~failed), "p_value": keep(p, ~failed),
        "q_value": keep(np.minimum(1, p * 3), ~failed), "verdict": keep(verdict, ~failed),
        "error": keep([REASONS[row % 3] for row in range(num)], failed),
        "score_low": keep(score - half, ~failed), "score_high": keep(score + half, ~failed),
        "width": keep(np.full(num, 640), ~failed), "height": keep(np.full(num, 480), ~failed),
        "format": keep(np.full(num, "PNG"), ~failed), "mode": keep(np.full(num, "RGB"), ~failed),
        "thumbnail": keep(near, ~failed),
        "nearest": keep([f"train/{HOSTILE[n % 11][5:] if n % 40 == 3 else f'{n:05d}.png'}"
                         for n in range(num)], shown),
        "ratio": keep(ratio, shown), "label": keep(label, shown),
        "nearest_thumbnail": keep(near, shown), "heat": keep(near, flagged),
        "alike": keep(source[::-1], flagged), "likeness": keep(rng.uniform(0.3, 1, num), flagged),
        "_calibration": calibration.tolist(),
    }  # fmt: skip


def make_results(columns: dict[str, list[Any]], *, training: bool) -> dict[str, Any]:
    """Make the answers that belong to the items."""
    verdict, error = columns["verdict"], columns["error"]
    num, failed = len(verdict), sum(entry is not None for entry in error)
    n, m = num - failed, verdict.count("memorized")
    calibration = np.array(columns["_calibration"])
    expected = 0.01 * n
    room = 2.2 * expected**0.5
    share = max(0.0, (m / max(n, 1) - 0.01) / 0.74)
    return {
        "items": num, "scored": n, "failed": failed,
        "failed_by_reason": {reason: error.count(reason) for reason in REASONS},
        "other_files": {".txt": 12, "": 1, ".\u202e<b>": 3},
        "verdicts": {
            name: verdict.count(name) for name in ("memorized", "not_memorized", "inconclusive")
        },
        "calibration": {
            "n": NUM_CALIBRATION, "null": "generated and novel", "promised": 0.01,
            "threshold": float(np.quantile(calibration, 0.99)),
            "achieved": {"low": 0.007, "high": 0.0131},
        },
        "expected_false_flags": {
            "value": expected, "low": max(0, int(expected - room)),
            "high": int(expected + room) + 1, "n": n,
        },
        "copy_rate": {
            "value": share, "low": max(0.0, share - 0.02), "high": share + 0.04, "n": n,
        },
        "sensitivity": {"value": 0.75, "low": 0.5, "high": 0.93, "n": 180, "groups": 24},
        "detection_limit": 0.009,
        "discoveries": {"count": m * 4 // 5, "q": 0.05, "calibration_items_needed": 61234},
        "warnings": ["The calibration is of generated images, these are files of unknown origin."],
        "training": {
            "images": 5000, "failed": 2,
            "labels": {name: columns["label"].count(name) for name in ("copy", "grey", "novel")},
        } if training else None,
        "permutation": {
            "p_value": 0.0001, "difference": 0.42,
            "auroc": {"value": 0.71, "low": 0.68, "high": 0.74, "n": 1000, "groups": 1000},
            "n_training": 1000, "n_held_out": 1000, "permutations": 9999,
        },
    }  # fmt: skip


def make_run(
    path: Path, *, num_items: int = 300, copies: float = 0.08, training: bool = True,
    results: dict[str, Any] | None = None, columns: dict[str, list[Any]] | None = None,
    without: tuple[str, ...] = (), spec: dict[str, Any] | None = None, finish: bool = True,
    part_size: int = PART,
) -> Run:  # fmt: skip
    """Write a run folder; `results`, `columns` and `spec` replace what they name."""
    rng = np.random.default_rng(0)
    made = make_columns(rng, num_items, copies=copies, training=training) | (columns or {})
    answers = make_results(made, training=training) | (results or {})
    calibration = made.pop("_calibration")
    run = start_run(
        path, kind="audit", spec=SPEC | {"items": num_items} | (spec or {}), provenance=PROVENANCE
    )
    kept = {name: column for name, column in made.items() if name not in without}
    for part, start in enumerate(range(0, num_items, part_size)):
        rows = {name: column[start : start + part_size] for name, column in kept.items()}
        write_items(run, pa.table(rows), part=part)
    write_tensors(run, "calibration", {"scores": np.array(calibration, np.float32)})
    return finish_run(run, results=answers, cost=COST) if finish else run
