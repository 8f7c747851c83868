"""The demo: sample a zoo model afresh, find the copies, say how sure that is.

Nothing is read that could hold an answer: pictures are sampled from the weights, scored by the
shipped calibration, labelled by the training pictures, and the figures follow from those.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from equipoise.bench.baselines import score_pictures
from equipoise.bench.fit import Rivals
from equipoise.bench.outputs import LabelledOutputs, generate_outputs
from equipoise.bench.verdict import Evidence, evaluate
from equipoise.denoisers import Denoiser, device_of, fingerprint
from equipoise.detection import Calibration, Judgement, Scores, Stopwatch, judge, q_values
from equipoise.images import as_unit
from equipoise.representation import measure, observe
from equipoise.runs import Run, finish_run, start_run, write_items, write_tensors
from equipoise.zoo.package import ZooModel


@dataclass(frozen=True)
class DemoParts:
    """Everything the demo stands on."""

    model: ZooModel
    twin_name: str
    twin: Denoiser
    calibration: Calibration
    rivals: Rivals
    told: Calibration | None = None
    """Of the detector that is told what each output was asked for, where one is shipped."""

    @property
    def judging(self) -> Calibration:
        """The calibration that judges: that of the told detector where there is one."""
        return self.told or self.calibration


def run_demo(parts: DemoParts, folder: Path, *, seed: int, num_samples: int) -> Run:
    """Sample, score, label, judge and write the run folder.

    Args:
        parts: Model, clean twin, calibration and rivals.
        folder: Where the run is written; must not hold one.
        seed: Seed of the outputs; shares no noise with the recipe's, whatever it is.
        num_samples: Outputs to draw.
    """
    watch = Stopwatch()
    parts.judging.check_model(parts.model.denoiser)
    run = start_run(
        folder, kind="demo",
        spec=_build_spec(parts, seed, num_samples),
        provenance={
            "fingerprint": fingerprint(parts.model.denoiser),
            "twin_fingerprint": fingerprint(parts.twin),
        },
    )  # fmt: skip
    outputs = generate_outputs(parts.model, num_samples, seed=seed, stream="demo")
    images = as_unit(outputs.pictures)
    conditions = parts.model.draw_conditions(outputs.sources, seed=seed) if parts.told else None
    detector = parts.judging.detector
    scores = detector.score(parts.model.denoiser, images, outputs.ids, conditions=conditions)
    compared = _choose_compared(outputs, parts.model.recipe.demo_negatives)
    rows = np.flatnonzero(compared)
    others = images[rows], [outputs.ids[row] for row in rows]
    shown = None if conditions is None else conditions[rows]
    twin = detector.score(parts.twin, *others, conditions=shown)
    paper = parts.rivals.paper.score(parts.model.denoiser, *others)
    residual = parts.rivals.residual.score(parts.model.denoiser, *others)
    nothing = (
        parts.calibration.detector.score(parts.model.denoiser, *others) if parts.told else None
    )
    judgement = judge(parts.judging, scores, outputs.pictures)
    evidence = Evidence(
        outputs=outputs,
        scores=scores.values.numpy(),
        compared=compared,
        twin=_spread(twin, compared),
        paper=_spread(paper, compared),
        told_nothing=None if nothing is None else _spread(nothing, compared),
        baselines={
            "denoising_residual": _spread(residual, compared),
            **_score_baselines(parts.rivals, outputs),
        },
        verdicts=np.array(judgement.verdicts),
    )
    statistics = Stopwatch()
    results = evaluate(evidence, parts.judging)
    results["profiles"] = _write_arrays(run, parts, outputs, scores)
    results["most_copied"] = _count_copies(parts.model, outputs)
    write_items(run, _build_items(parts.model, evidence, scores, judgement))
    cost_parts = {
        "sample and label": describe_cost(outputs.evaluations, outputs.seconds),
        "score": describe_cost(scores.evaluations, scores.seconds),
        "score by the clean twin": describe_cost(twin.evaluations, twin.seconds),
        **(
            {"told nothing": describe_cost(nothing.evaluations, nothing.seconds)}
            if nothing
            else {}
        ),
        "paper's statistic": describe_cost(paper.evaluations, paper.seconds),
        "denoising residual": describe_cost(residual.evaluations, residual.seconds),
        "intervals": describe_cost(0, statistics.seconds),
    }
    return finish_run(run, results=results, cost={"parts": cost_parts, "seconds": watch.seconds})


def _build_spec(parts: DemoParts, seed: int, num_samples: int) -> dict[str, Any]:
    return {
        "model": f"zoo:{parts.model.recipe.name}",
        "twin": f"zoo:{parts.twin_name}",
        "seed": seed,
        "num_samples": num_samples,
        "sampler": parts.model.recipe.sampler.model_dump(),
        "detector": parts.judging.detector.describe(),
        "paper": parts.rivals.paper.describe(),
        "residual": parts.rivals.residual.model_dump(),
    }


def describe_cost(evaluations: int, seconds: float) -> dict[str, float | int]:
    """Say what a part of a run took, as its record holds it."""
    return {"evaluations": evaluations, "seconds": round(seconds, 2)}


def _choose_compared(outputs: LabelledOutputs, num_negatives: int) -> np.ndarray:
    """Mark what the twin and the rivals see: copies of report images, the first novel outputs."""
    first_novel = outputs.novel & (outputs.novel.cumsum() <= num_negatives)
    return outputs.copies_of("report") | first_novel


def _spread(scores: Scores, compared: np.ndarray) -> np.ndarray:
    """Put scores of some outputs at their rows; the others have none."""
    column = np.full(len(compared), np.nan)
    column[compared] = scores.values.numpy()
    return column


def _score_baselines(rivals: Rivals, outputs: LabelledOutputs) -> dict[str, np.ndarray]:
    """Score by every picture baseline, higher = more memorized."""
    raw = score_pictures(outputs.pictures)
    return {name: rivals.picture_signs[name] * values.numpy() for name, values in raw.items()}


def _build_items(
    model: ZooModel, evidence: Evidence, scores: Scores, judgement: Judgement
) -> pa.Table:
    outputs, interval = evidence.outputs, scores.interval()
    planted = [model.planted.get(index) for index in outputs.nearest.tolist()]
    return pa.table(
        {
            "id": outputs.ids,
            "source": outputs.sources,
            "score": scores.values.numpy(),
            "p_value": judgement.p_values.numpy(),
            "q_value": q_values(judgement.p_values).numpy(),
            "verdict": list(judgement.verdicts),
            "error": pa.nulls(len(outputs.ids), pa.string()),
            "score_low": interval[:, 0].numpy(),
            "score_high": interval[:, 1].numpy(),
            "label": outputs.labels.tolist(),
            "ratio": outputs.truth.ratio.double().numpy(),
            "nearest": outputs.nearest,
            "split": [split or None for split in outputs.splits.tolist()],
            "kind": [item.kind if item else None for item in planted],
            "multiplicity": [item.multiplicity if item else None for item in planted],
            "twin_score": pa.array(evidence.twin, mask=~evidence.compared),
        }
    )


def _write_arrays(
    run: Run, parts: DemoParts, outputs: LabelledOutputs, scores: Scores
) -> dict[str, dict[str, float | int]]:
    """Write pictures, calibration scores and two activation profiles; say whose they are."""
    nearest = parts.model.training_set.images[outputs.truth.picture]
    write_tensors(run, "images", {"samples": outputs.pictures.numpy(), "nearest": nearest.numpy()})
    calibration = np.array(parts.judging.scores, dtype=np.float32)
    write_tensors(run, "calibration", {"scores": calibration})
    rows = _find_typical(outputs, scores.values)
    profiles, told = {}, {}
    for name, row in rows.items():
        profile = _observe_profile(parts, outputs.pictures[row : row + 1])
        profiles[name] = profile[0].numpy()
        told[name] = {"row": row, "statistic": float(measure(profile, "std")[0])}
    write_tensors(run, "profiles", profiles)
    return told


def _find_typical(outputs: LabelledOutputs, values: Tensor) -> dict[str, int]:
    """Find the copy and the novel output whose scores are the median of their kind."""
    wanted = {"spiky": outputs.labels == "copy", "balanced": outputs.novel}
    rows = {}
    for name, mask in wanted.items():
        members = np.flatnonzero(mask)
        if len(members):
            order = members[np.argsort(values.numpy()[members], kind="stable")]
            rows[name] = int(order[len(order) // 2])
    return rows


def _observe_profile(parts: DemoParts, picture: Tensor) -> Tensor:
    """Look at one picture without noise added, at the paper's site: its units as they are."""
    paper = parts.rivals.paper
    x0 = parts.model.denoiser.encode(as_unit(picture).to(device_of(parts.model.denoiser)))
    sigma = x0.new_full((1,), paper.sigma)
    seen = observe(parts.model.denoiser, x0, sigma, paper.sites, pooling=paper.pooling)
    return seen[paper.sites[0]].tensor.cpu()


def _count_copies(model: ZooModel, outputs: LabelledOutputs) -> list[dict[str, Any]]:
    """Count how often each planted image was copied, most first."""
    copied = outputs.nearest[outputs.labels == "copy"]
    rows = [
        {
            "index": item.index,
            "kind": item.kind,
            "multiplicity": item.multiplicity,
            "count": int((copied == item.index).sum()),
        }
        for item in model.training_set.planted
    ]
    return sorted(rows, key=lambda row: -row["count"])
