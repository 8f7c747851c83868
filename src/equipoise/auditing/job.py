"""The audit: score a pile part by part, then answer.

The first step is the long one and can be stopped anywhere: a part is on the disk whole or not at
all, and the same call goes on with the parts that are missing. The last step needs all items
(q-values, the copy rate, nearest training images); it reads the parts, fills its columns and
marks the run finished, and can be repeated.

Who scores is told by an engine: this process (`score_parts`), those that torchrun started
(`ranks`), or the workers of a Ray cluster (`cluster`). An engine writes nothing. The process that
holds the lock of the run folder is its only writer, so however many machines compute, the folder
has one owner, and nobody is left who could write into it when that one is killed.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm.auto import tqdm

from equipoise.auditing.alike import find_alike
from equipoise.auditing.batch import Batch
from equipoise.auditing.item import ScoredPart, fill_column, score_part
from equipoise.auditing.nearest import find_nearest
from equipoise.auditing.permutation import compare_sets
from equipoise.auditing.pile import PicturePile, Pile, list_sizes
from equipoise.auditing.prevalence import (
    estimate_copy_rate,
    expect_false_flags,
    find_detection_limit,
)
from equipoise.denoisers import Denoiser
from equipoise.detection import Calibration, Stopwatch, q_values
from equipoise.errors import BadInputError, RunError
from equipoise.images import open_store, show_path
from equipoise.runs import (
    Run,
    finish_run,
    locate_part,
    lock_run,
    read_part,
    resume_run,
    write_items,
    write_tensors,
)

DISCOVERY = 0.05
MAX_COMPARED = 1000
VERDICTS = ("memorized", "not_memorized", "inconclusive")


@dataclass(frozen=True)
class Audit:
    """Everything an audit is asked."""

    model: Denoiser
    name: str
    """How the model was asked for, for the record."""
    calibration: Calibration
    calibration_name: str
    """Where the calibration comes from, for the record."""
    pile: Pile
    training: str | Path | None = None
    """Training pictures: flagged items are shown beside the nearest."""
    held_out: str | Path | None = None
    """Pictures the model never saw: with `training`, the whole model is tested."""

    def describe(self) -> dict[str, Any]:
        """Say what is asked, for the record and to tell another audit apart."""
        return {
            "model": self.name,
            "fingerprint": self.calibration.fingerprint,
            "calibration": self.calibration_name,
            "detector": self.calibration.detector.describe(),
            "promised": self.calibration.promised,
            "threshold": self.calibration.threshold,
            "training": None if self.training is None else show_path(self.training),
            "held_out": None if self.held_out is None else show_path(self.held_out),
            "images": None,
            "generate": None,
            **self.pile.describe(),
        }


Engine = Callable[[Audit, list[int]], Generator[tuple[int, ScoredPart]]]
"""Asked for parts of an audit by their numbers, yields each once, scored, in any order."""


def score_parts(audit: Audit, parts: list[int]) -> Generator[tuple[int, ScoredPart]]:
    """Score parts in this process, in order."""
    batch = Batch(audit.model.image_shape)
    for number, loaded in audit.pile.read(parts):
        yield number, score_part(audit.model, audit.calibration, loaded, batch=batch)


def run_audit(audit: Audit, out: Path, *, engine: Engine = score_parts) -> Run:
    """Score the pile and answer; goes on where a stopped run of the same spec ended.

    Args:
        audit: What is asked.
        out: Run folder. A finished run of the same spec is returned as it is.
        engine: Who scores the parts; default this process.

    Raises:
        BadInputError: when not one item of the pile can be read, a folder holds no picture, or
            held-out pictures are given without training pictures.
        CalibrationError: when the calibration belongs to another model.
        RunError: when the folder holds another run, or another process is writing it.
    """
    _check(audit)
    with lock_run(out):
        run = resume_run(out, kind="audit", spec=audit.describe(), provenance={
            "fingerprint": audit.calibration.fingerprint,
        })  # fmt: skip
        if run.record.status == "finished":
            return run
        watch = Stopwatch()
        parts = _list_missing(audit, run)
        evaluations, batch = _write_parts(audit, run, engine(audit, parts))
        scoring = watch.seconds
        results = _answer(audit, run)
        cost = {
            "parts": {
                "read and score": {"evaluations": evaluations, "seconds": round(scoring, 2)},
                "answer": {"evaluations": 0, "seconds": round(watch.seconds - scoring, 2)},
            },
            "seconds": watch.seconds,
            "batch": batch,
        }
        return finish_run(run, results=results, cost=cost)


def _check(audit: Audit) -> None:
    """Refuse at once what the last step of a long audit would refuse."""
    if audit.held_out is not None and audit.training is None:
        raise BadInputError(
            "Held-out pictures were given without training pictures; the model is tested by "
            "comparing the two. Give both, or neither."
        )
    if audit.held_out is not None and audit.calibration.detector.condition == "own":
        raise BadInputError(
            "Held-out pictures are compared with training pictures by a detector that is told "
            "nothing, and this calibration's is told captions. Leave --held-out out, or give a "
            "calibration made without --told."
        )
    for folder in (audit.training, audit.held_out):
        if folder is not None:
            open_store(folder)
    audit.calibration.check_model(audit.model)


def _list_missing(audit: Audit, run: Run) -> list[int]:
    """List the parts that are not on the disk yet.

    Raises:
        RunError: when a file on the disk is damaged, or no part of this audit.
    """
    sizes = list_sizes(audit.pile)
    missing = {locate_part(run, number): number for number in range(len(sizes))}
    for path in run.list_parts():
        rows, number = read_part(path, ["id"]).num_rows, missing.pop(path, None)
        if number is None or rows != sizes[number]:
            wanted = "none" if number is None else f"{sizes[number]} rows"
            raise RunError(
                f'"{path}" has {rows} rows where this audit has {wanted}: it was put there or '
                "changed. Remove it, and start the same again to go on."
            )
    return [*missing.values()]


def _write_parts(
    audit: Audit, run: Run, scored_parts: Generator[tuple[int, ScoredPart]]
) -> tuple[int, int | None]:
    """Write the parts as they come; return the network evaluations and the smallest batch."""
    evaluations, batches = 0, set[int]()
    with (
        tqdm(total=len(audit.pile), desc="audit", unit="image") as progress,
        closing(scored_parts),
    ):
        for number, scored in scored_parts:
            # Before the rows: a part on the disk then always has its pictures and units.
            if audit.training is not None:
                write_tensors(run, f"flagged-{number:06d}", {"pixels": scored.flagged.numpy()})
            write_tensors(run, f"units-{number:06d}", {"units": scored.units.numpy()})
            write_items(run, scored.table, part=number)
            evaluations += scored.evaluations
            batches.add(scored.batch)
            progress.update(scored.table.num_rows)
    return evaluations, min(batches, default=None)


def _answer(audit: Audit, run: Run) -> dict[str, Any]:
    """Answer from the rows of all parts, and fill the columns that need them all."""
    items = run.read_items(["p_value", "verdict", "error", "score"])
    scored = items.num_rows - items["error"].drop_null().length()
    if not scored:
        raise BadInputError(
            f'Not one of the {items.num_rows} items can be read; "{run.path}" says why, row by '
            "row. Give pictures (PNG, JPEG, WebP, GIF, BMP, TIFF)."
        )
    q = _fill_q_values(run, items["p_value"])
    find_alike(run)
    counts = _count(items["verdict"])
    flagged = counts["memorized"]
    sensitivity = audit.calibration.sensitivity()
    low, high = audit.calibration.achieved()
    results: dict[str, Any] = {
        "items": items.num_rows,
        "scored": scored,
        "failed": items.num_rows - scored,
        "failed_by_reason": dict(_count(items["error"]).most_common()),
        "other_files": _count_others(audit.pile),
        "verdicts": {name: counts[name] for name in VERDICTS},
        "calibration": {
            "n": audit.calibration.n,
            "null": audit.calibration.null,
            "promised": audit.calibration.promised,
            "threshold": audit.calibration.threshold,
            "achieved": {"low": low, "high": high},
        },
        "expected_false_flags": expect_false_flags(audit.calibration, scored),
        "copy_rate": estimate_copy_rate(audit.calibration, flagged=flagged, n=scored),
        "sensitivity": sensitivity.describe() if sensitivity else None,
        "detection_limit": find_detection_limit(audit.calibration, scored),
        "discoveries": {
            "count": int((q <= DISCOVERY).sum()),
            "q": DISCOVERY,
            "calibration_items_needed": int(np.ceil(scored / DISCOVERY)) - 1,
        },
        "warnings": list(_list_warnings(audit)),
        "training": None,
        "permutation": None,
    }
    write_tensors(
        run, "calibration", {"scores": np.array(audit.calibration.scores, dtype=np.float32)}
    )
    if audit.training is not None:
        results |= _compare_with_training(audit, run, audit.training)
    return results


def _count(column: pa.ChunkedArray) -> Counter[str]:
    """Count the texts of a column without a Python object an item."""
    found = column.drop_null().value_counts()
    return Counter({str(entry["values"]): entry["counts"].as_py() for entry in found})


def _fill_q_values(run: Run, p_values: pa.ChunkedArray) -> np.ndarray:
    """Write Benjamini-Hochberg q-values over all scored items into the parts."""
    p = p_values.to_numpy(zero_copy_only=False)  # null becomes NaN
    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    q[known] = q_values(torch.from_numpy(p[known])).numpy()
    start = 0
    for number, path in enumerate(run.list_parts()):
        table = read_part(path)
        chosen = q[start : start + table.num_rows]
        write_items(run, fill_column(table, "q_value", chosen), part=number)
        start += table.num_rows
    return q[known]


def _compare_with_training(audit: Audit, run: Run, training: str | Path) -> dict[str, Any]:
    """Find the nearest training image of the flagged items; test the model where asked."""
    shape = audit.model.image_shape
    pile = PicturePile(training, shape)
    results: dict[str, Any] = {"training": find_nearest(run, pile)}
    if audit.held_out is not None:
        sides = [_draw_pictures(side) for side in (pile, PicturePile(audit.held_out, shape))]
        results["permutation"] = compare_sets(
            audit.model, audit.calibration.detector, training=sides[0], held_out=sides[1]
        )
    return results


def _draw_pictures(pile: PicturePile) -> UInt8[Tensor, "case channel height width"]:
    """Read at most 1,000 pictures, drawn by a fixed seed."""
    order = np.random.default_rng(0).permutation(len(pile))[:MAX_COMPARED].tolist()
    found = pile.load(order)
    pictures = [pixels for row in order if (pixels := found[row].pixels) is not None]
    if not pictures:
        raise BadInputError(
            f'"{pile.images}" holds no picture that can be read; give a folder of pictures.'
        )
    return torch.stack(pictures)


def _count_others(pile: Pile) -> dict[str, int]:
    return pile.store.other_files if isinstance(pile, PicturePile) else {}


def _list_warnings(audit: Audit) -> Iterator[str]:
    """Say where the promised rate does not speak of what is audited."""
    null = audit.calibration.null
    generated = not isinstance(audit.pile, PicturePile)
    if generated and null == "held-out real":
        yield (
            "The calibration was fitted on held-out real images, but outputs of the model are "
            "audited: the promised false-positive rate is not that of novel outputs."
        )
    if audit.calibration.detector.condition == "own" and not generated:
        yield (
            "The detector is told what each picture was asked for: the promised false-positive "
            "rate is that of prompts like those of the calibration. Other wording can look like "
            "memory."
        )
    if null == "own outputs":
        yield (
            "The calibration was fitted on the model's own outputs as they came. Copies among "
            "them make the threshold stricter: fewer false flags than promised, and fewer copies "
            "found."
        )
