"""A plausible demo run made of noise: garments of boxes, scores of two Gaussians."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from equipoise.runs import Run, finish_run, start_run, write_items, write_tensors

VERDICTS = ("memorized", "inconclusive", "not_memorized")
NUM_ITEMS, NUM_PLANTED, NUM_UNITS = 1800, 40, 128
SPEC = {
    "model": "zoo:edm-fashion", "seed": 3, "num_samples": NUM_ITEMS,
    "sampler": {"name": "heun", "steps": 12, "sigma_min": 0.02, "sigma_max": 80.0, "rho": 7},
    "detector": {
        "site": ["up_blocks.0.resnets.0.conv2:in"], "sigma": 0.13, "pooling": "max",
        "statistic": "std", "sign": 1, "draws": 4, "precision": "float32", "seed": 0,
    },
}  # fmt: skip
PROVENANCE = {"fingerprint": "3f9a" * 16, "twin_fingerprint": "77c1" * 16}
COST = {
    "parts": {
        "sample": {"evaluations": 41400, "seconds": 50.2},
        "score": {"evaluations": 7200, "seconds": 12.9},
        "twin score": {"evaluations": 7200, "seconds": 13.1},
        "nearest": {"evaluations": 0, "seconds": 8.9},
    },
    "seconds": 85.1,
}


def draw_garment(rng: np.random.Generator) -> np.ndarray:
    """Draw a shirt, trousers, a dress, a bag or a shoe as grey boxes on black."""
    picture = np.zeros((16, 16))
    tone, kind, wide = rng.uniform(110, 240), rng.integers(5), rng.integers(0, 3)
    if kind == 0:
        picture[2:15, 5 - wide // 2 : 11 + wide // 2] = tone
        picture[3 : rng.integers(6, 13), 1:15] = tone
        picture[2:4, 7:9] = 0
    elif kind == 1:
        picture[1:15, 4:7] = picture[1:15, 9:12] = picture[1:5, 4:12] = tone
    elif kind == 2:
        for row in range(1, 15):
            half = 2 + row * (1 + wide) / 9
            picture[row, int(8 - half) : int(8 + half)] = tone
    elif kind == 3:
        picture[6:14, 2:14] = tone
        picture[2:6, 5], picture[2:6, 10], picture[2, 5:11] = tone, tone, tone
    else:
        picture[8 + wide : 12, 1:15], picture[4:12, 10:14], picture[12, 1:15] = (
            tone,
            tone,
            tone / 2,
        )
    texture = 1 + 0.25 * np.sin(np.arange(16) * rng.uniform(0.3, 3) + rng.uniform(0, 6))
    shaded = picture * (texture[:, None] if rng.integers(2) else texture[None, :])
    return np.clip(shaded + 6 * rng.standard_normal((16, 16)) * (picture > 0), 0, 255)


def make_rate(value: float, width: float, **more: Any) -> dict[str, Any]:
    low, high = value - width, min(1.0, value + width)
    return {
        "value": value,
        "low": round(low, 4),
        "high": round(high, 4),
        "n": 1450,
        "groups": 18,
        **more,
    }


def make_items(rng: np.random.Generator, num: int) -> dict[str, list[Any]]:
    copies, greys = 3 * num // 10, num // 20
    label = np.array(["copy"] * copies + ["grey"] * greys + ["novel"] * (num - copies - greys))
    rng.shuffle(label)
    centre = np.select([label == "copy", label == "grey"], [2.35, 1.15], 0.75)
    score = centre + rng.standard_normal(num) * np.where(label == "copy", 0.55, 0.22)
    calibration = 0.75 + 0.22 * rng.standard_normal(4200)
    p = (1 + (calibration[None] >= score[:, None]).sum(1)) / 4201
    planted = (label == "copy") | ((label == "grey") & (rng.random(num) < 0.5))
    weights = 1 / np.arange(1, NUM_PLANTED + 1)
    nearest = np.where(
        planted, rng.choice(NUM_PLANTED, num, p=weights / weights.sum()),
        rng.integers(NUM_PLANTED, 4000, num),
    )  # fmt: skip
    spread = rng.uniform(0.02, 0.12, num)
    verdict = np.where(
        p <= 0.01, "memorized", np.where(score + spread > 1.26, "inconclusive", "not_memorized")
    )
    ratio = np.select(
        [label == "copy", label == "grey"],
        [rng.uniform(0.03, 0.33, num), rng.uniform(0.34, 0.6, num)],
        rng.uniform(0.61, 0.98, num),
    )
    rows = range(num)
    odd = nearest % 2

    def choose(pair: tuple[Any, Any]) -> list[Any]:
        return [pair[n] if flag else None for n, flag in zip(odd, planted, strict=True)]

    return {
        "id": [f"{int(rng.integers(2**60)):016x}" for _ in rows],
        "source": [f"sample/{row:06d}" for row in rows],
        "score": score.tolist(), "score_low": (score - spread).tolist(),
        "score_high": (score + spread).tolist(), "p_value": p.tolist(),
        "q_value": np.minimum(1, p * 3).tolist(), "verdict": verdict.tolist(),
        "error": [None] * num, "label": label.tolist(),
        "split": choose(("selection", "report")),
        "nearest": nearest.tolist(), "ratio": ratio.tolist(),
        "kind": choose(("exact", "near")),
        "multiplicity": choose((30, 90)),
        "twin_score": (0.8 + 0.2 * rng.standard_normal(num)).tolist(),
        "_calibration": calibration.tolist(),
    }  # fmt: skip


def make_results(items: dict[str, list[Any]]) -> dict[str, Any]:
    score, label = np.array(items["score"]), np.array(items["label"])
    verdict = np.array(items["verdict"])
    copy, novel = score[label == "copy"], score[label == "novel"]
    points = np.concatenate([[0], np.geomspace(1 / len(novel), 1, 59)])
    tpr = np.array([(copy >= np.quantile(novel, 1 - point)).mean() for point in points])
    band = 0.03 + 0.06 * tpr * (1 - tpr)
    wrong = int(((label == "novel") & (verdict == "memorized")).sum())
    share = wrong / len(novel)
    index, count = np.unique(np.array(items["nearest"])[label == "copy"], return_counts=True)
    order = np.argsort(-count, kind="stable")[:12]
    return {
        "auroc": make_rate(0.9712, 0.014), "tpr_at_1pct_fpr": make_rate(0.9331, 0.031),
        "clean_twin_auroc": make_rate(0.5243, 0.041),
        "planted_minus_twin": make_rate(0.4469, 0.044),
        "fpr": {
            "value": share, "low": share * 0.5, "high": share * 1.7 + 0.001, "n": len(novel),
            "n_calibration": 4200, "promised": 0.01, "interval_kind": "clopper-pearson",
            "false_positives": wrong, "allowed": [3, 24], "kept": True,
        },
        "baselines": {
            "denoising_residual": make_rate(0.781, 0.04), "pixel_variance": make_rate(0.553, 0.06),
            "jpeg_size": make_rate(0.418, 0.07), "total_variation": make_rate(0.402, 0.065),
            "distance_to_mean": make_rate(0.61, 0.06),
        },
        "paper_statistic": make_rate(0.934, 0.023), "oracle": make_rate(0.9995, 0.0004),
        "with_grey_as_negative": {
            "auroc": make_rate(0.9533, 0.018), "fpr": make_rate(0.0301, 0.01),
        },
        "labels": {
            "copy": len(copy), "copy_of_selection_images": 260,
            "grey": int((label == "grey").sum()), "novel": len(novel),
        },
        "verdicts": {name: int((verdict == name).sum()) for name in VERDICTS},
        "partly_content": False,
        "roc": {
            "fpr": points.tolist(), "tpr": tpr.tolist(),
            "tpr_low": np.clip(tpr - band, 0, 1).tolist(),
            "tpr_high": np.clip(tpr + band, 0, 1).tolist(),
        },
        "profiles": {
            "spiky": {"row": int(np.argmax(score)), "statistic": 3.1},
            "balanced": {"row": int(np.argmin(score)), "statistic": 0.9},
        },
        "calibration": {
            "threshold": float(np.quantile(items["_calibration"], 0.99)), "promised": 0.01,
            "n": 4200, "null": "generated and novel",
        },
        "most_copied": [
            {"index": int(index[i]), "kind": ("exact", "near")[int(index[i]) % 2],
             "multiplicity": (30, 90)[int(index[i]) % 2], "count": int(count[i])}
            for i in order
        ],
    }  # fmt: skip


def make_run(
    path: Path, *, results: dict[str, Any] | None = None,
    columns: dict[str, list[Any]] | None = None, spec: dict[str, Any] | None = None,
    num_items: int = NUM_ITEMS, finish: bool = True,
) -> Run:  # fmt: skip
    """Write a run folder; `results`, `columns` and `spec` replace what they name."""
    rng = np.random.default_rng(0)
    items = make_items(rng, num_items)
    answers = make_results(items) | (results or {})
    calibration = items.pop("_calibration")
    run = start_run(path, kind="demo", spec=SPEC | (spec or {}), provenance=PROVENANCE)
    write_items(run, pa.table(items | (columns or {})))
    write_tensors(run, "images", make_pictures(rng, items))
    write_tensors(run, "calibration", {"scores": np.array(calibration, np.float32)})
    spiky = np.abs(rng.standard_normal(NUM_UNITS)) * 0.25
    spiky[[17, 58, 59, 101]] = [9.2, 4.1, 12.7, 6.3]
    balanced = np.abs(rng.standard_normal(NUM_UNITS) * 0.5 + 1.6)
    profiles = {"spiky": spiky.astype(np.float32), "balanced": balanced.astype(np.float32)}
    write_tensors(run, "profiles", profiles)
    return finish_run(run, results=answers, cost=COST) if finish else run


def make_pictures(rng: np.random.Generator, items: dict[str, list[Any]]) -> dict[str, np.ndarray]:
    training = {index: draw_garment(rng) for index in sorted(set(items["nearest"]))}
    nearest = np.stack([training[index] for index in items["nearest"]])
    fresh = np.stack([draw_garment(rng) for _ in items["nearest"]])
    noise = 4 * rng.standard_normal(nearest.shape) * (nearest > 0)
    share = {"copy": 0.03, "grey": 0.4, "novel": 1.0}
    weight = np.array([share[str(label)] for label in items["label"]])[:, None, None]
    samples = np.clip(weight * fresh + (1 - weight) * nearest + noise, 0, 255)
    return {
        "samples": samples[:, None].astype(np.uint8),
        "nearest": nearest[:, None].astype(np.uint8),
    }
