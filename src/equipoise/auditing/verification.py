"""Verify a mitigation: are outputs that an audit flagged still memorized?

The audit is of fresh outputs. Each flagged output is generated twice more, from the noise it came
from and from new noise, by the model as it was (*before*) and as it is now (*after*). A detector
that shares nothing with the audit's judges: the denoising residual, which looks at what the model
answers where the audit looked inside. A mitigation that only moves what the audit sees does not
move it. Its threshold is set for each model on that model's outputs from the noise of outputs that
the audit cleared.

*Before* says how much of what the audit flagged this detector sees at all; only a fall from there
is evidence. With the training pictures both are labelled by distance as well.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import UInt8
from scipy import stats
from torch import Tensor

from equipoise.auditing.nearest import stream_training
from equipoise.auditing.pile import PicturePile, encode_thumbnail
from equipoise.auditing.subject import Subject, encode_prompts
from equipoise.bench.baselines import DenoisingResidual
from equipoise.bench.interval import Estimate, exact_rate
from equipoise.denoisers import fingerprint
from equipoise.detection import Stopwatch, q_values
from equipoise.errors import BadInputError, RunError
from equipoise.images import as_unit, content_ids, quantize
from equipoise.labels import NearestSearch
from equipoise.report import render_report
from equipoise.runs import ITEM_SCHEMA, Run, finish_run, start_run, write_items

REFERENCE = 400
"""Outputs of each model that set its threshold, at most."""
SCHEMA = pa.schema(
    [
        *ITEM_SCHEMA,
        ("model", pa.string()),
        ("generation", pa.string()),
        ("ratio", pa.float64()),
        ("label", pa.string()),
        ("thumbnail", pa.binary()),
    ]
)
"""Columns of a verification's items."""
GENERATIONS = ("same noise", "new noise")


@dataclass(frozen=True)
class Asked:
    """What an audit asked of its model, of some of its items.

    Args:
        sources: Name of each item; keys its noise.
        prompts: What each was asked to show; empty where the model decides by the source.
        seed: Seed of the noise.
    """

    sources: list[str]
    prompts: list[str]
    seed: int

    def choose(self, count: int) -> "Asked":
        """Return the first requests."""
        return Asked(self.sources[:count], self.prompts[:count], self.seed)

    def generate(
        self, subject: Subject, *, stream: str
    ) -> UInt8[Tensor, "case channel height width"]:
        """Generate all of them; another stream is other noise for the same requests."""
        if self.prompts:
            conditions = encode_prompts(subject.denoiser, self.prompts)
        else:
            conditions = subject.draw_conditions(self.sources, self.seed)
        drawn = subject.sampler.sample(
            subject.denoiser, [source + stream for source in self.sources],
            seed=self.seed, conditions=conditions,
        )  # fmt: skip
        return torch.cat([quantize(subject.denoiser.decode(x0)) for x0 in drawn])


@dataclass(frozen=True)
class Requests:
    """What an audit asked for: what was flagged, and what was cleared."""

    flagged: Asked
    cleared: Asked


def read_requests(run: Run) -> Requests:
    """Read what an audit of fresh outputs asked for.

    Raises:
        RunError: when it is no finished audit of fresh outputs, or flagged nothing.
    """
    record = run.record
    if record.kind != "audit" or record.status != "finished" or not record.spec.get("generate"):
        raise RunError(
            f'"{run.path}" cannot be verified: it is no finished audit of fresh outputs. Make one '
            "with `equipoise audit --generate N`, whose outputs can be generated again."
        )
    items = run.read_items(["source", "verdict"]).to_pylist()
    prompted, seed = bool(record.spec.get("prompts")), record.spec["seed"]

    def ask(sources: list[str]) -> Asked:
        prompts = [source.partition(" ")[2] for source in sources] if prompted else []
        return Asked(sources, prompts, seed)

    flagged = ask([item["source"] for item in items if item["verdict"] == "memorized"])
    cleared = ask([item["source"] for item in items if item["verdict"] == "not_memorized"])
    if not flagged.sources:
        raise RunError(f'"{run.path}" flagged nothing, so there is nothing to verify.')
    needed = math.ceil(1 / record.spec["promised"]) - 1
    if len(cleared.sources) < needed:
        raise RunError(
            f'"{run.path}" cleared {len(cleared.sources)} outputs; {needed} are needed to set a '
            "threshold at its promised rate. Audit more outputs."
        )
    return Requests(flagged, cleared)


def verify(
    run: Run, before: Subject, after: Subject, folder: Path, *,
    training: Path | None = None, reference: int = REFERENCE,
) -> Run:  # fmt: skip
    """Generate what was flagged again and judge it; write a run folder.

    Args:
        run: The audit.
        before: The model that was audited.
        after: The model after the mitigation.
        folder: Run folder to write.
        training: Training pictures; adds labels by distance.
        reference: Outputs of each model that set its threshold, at most.

    Raises:
        RunError: when the audit has nothing to verify, or is of another model.
        BadInputError: when the two models make samples of different shapes.
    """
    watch, requests, spec = Stopwatch(), read_requests(run), run.record.spec
    _check(run, before, after)
    sigma = before.denoiser.snap(spec["detector"]["sigma"])
    made = start_run(
        folder, kind="verification",
        spec={
            "audit": str(run.path), "model": after.name, "reference": reference, "sigma": sigma,
            "promised": spec["promised"], "training": None if training is None else str(training),
        },
        provenance={
            "fingerprint": fingerprint(after.denoiser),
            "audited": fingerprint(before.denoiser),
        },
    )  # fmt: skip
    rows = [
        row
        for name, subject in (("before", before), ("after", after))
        for row in _judge_model(name, subject, requests, sigma=sigma, reference=reference)
    ]
    pictures = torch.stack([row.pop("picture") for row in rows])
    for row, picture in zip(rows, pictures, strict=True):
        row["thumbnail"] = encode_thumbnail(picture)
    labels: Sequence[dict[str, Any]] = [{}] * len(rows)
    if training is not None:
        labels = list(_label(pictures, training, after.denoiser.image_shape))
    table = [row | label for row, label in zip(rows, labels, strict=True)]
    for row in table:
        row["verdict"] = "memorized" if row["p_value"] <= spec["promised"] else "not_memorized"
    write_items(made, pa.Table.from_pylist(table, schema=SCHEMA))
    results = {"flagged": len(requests.flagged.sources), "rates": count_rates(table)}
    results |= {"changes": count_changes(table)}
    finished = finish_run(made, results=results, cost={"seconds": watch.seconds})
    render_report(folder)
    return finished


def count_rates(table: Sequence[dict[str, Any]]) -> dict[str, dict[str, Estimate]]:
    """Count, by model and generation, what is flagged, and what is a copy where that is known."""
    rates: dict[str, dict[str, Estimate]] = {}
    for model in ("before", "after"):
        for generation in GENERATIONS:
            chosen = [r for r in table if (r["model"], r["generation"]) == (model, generation)]
            found = [r["verdict"] == "memorized" for r in chosen]
            rates[f"{model}, {generation}"] = {"flagged": exact_rate(sum(found), len(found))}
            copies = [r["label"] == "copy" for r in chosen if "label" in r]
            if copies:
                rates[f"{model}, {generation}"]["copies"] = exact_rate(sum(copies), len(copies))
    return rates


def count_changes(table: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | int]]:
    """Count, by generation, which requests are flagged only before, only after, or both times.

    `p_value` is that of McNemar's exact test, two-sided: were the mitigation without effect, those
    flagged once would be flagged before or after with equal chances.
    """
    changes: dict[str, dict[str, float | int]] = {}
    for generation in GENERATIONS:
        before, after = (
            {r["source"] for r in table if r["verdict"] == "memorized"
             and (r["model"], r["generation"]) == (model, generation)}
            for model in ("before", "after")
        )  # fmt: skip
        gone, new = len(before - after), len(after - before)
        p_value = float(stats.binomtest(gone, gone + new).pvalue) if gone + new else 1.0
        counts = {"gone": gone, "left": len(before & after), "new": new}
        changes[generation] = counts | {"p_value": p_value}
    return changes


def _check(run: Run, before: Subject, after: Subject) -> None:
    audited, found = run.record.spec["fingerprint"], fingerprint(before.denoiser)
    if audited != found:
        raise RunError(
            f'"{run.path}" is an audit of the model {audited}, and "{before.name}" is {found}. '
            "Give the model as it was audited, so that there is something to compare with."
        )
    shapes = [subject.denoiser.sample_shape for subject in (before, after)]
    if shapes[0] != shapes[1]:
        raise BadInputError(
            f'"{after.name}" makes samples of shape {shapes[1]}, the audited model of '
            f"{shapes[0]}: a mitigation of it makes the same."
        )


def _judge_model(
    name: str, subject: Subject, requests: Requests, *, sigma: float, reference: int
) -> Iterator[dict[str, Any]]:
    """Give every generation of every flagged item its score and p-value."""
    detector = DenoisingResidual(sigma=subject.denoiser.snap(sigma))
    cleared = requests.cleared.choose(reference).generate(subject, stream="")
    known, flagged = _score(detector, subject, cleared), requests.flagged
    for generation, stream in zip(GENERATIONS, ("", "/verify"), strict=True):
        pictures = flagged.generate(subject, stream=stream)
        scores = _score(detector, subject, pictures)
        above = (known[None] >= scores[:, None]).sum(axis=1)
        p_values = (1 + above) / (len(known) + 1)
        q = q_values(torch.from_numpy(p_values)).tolist()
        for row, source in enumerate(flagged.sources):
            yield {
                "id": content_ids(pictures[row : row + 1])[0], "source": source,
                "score": float(scores[row]), "p_value": float(p_values[row]), "q_value": q[row],
                "model": name, "generation": generation, "picture": pictures[row],
            }  # fmt: skip


def _score(
    detector: DenoisingResidual, subject: Subject, pictures: UInt8[Tensor, "case ..."]
) -> np.ndarray:
    ids = content_ids(pictures)
    return detector.score(subject.denoiser, as_unit(pictures), ids).values.numpy()


def _label(
    pictures: UInt8[Tensor, "case channel height width"], training: Path, shape: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    """Label pictures by their nearest training image."""
    search = NearestSearch(pictures)
    stream_training(PicturePile(training, shape), search)
    found = search.finish()
    for ratio, label in zip(found.ratio.tolist(), found.names(), strict=True):
        yield {"ratio": ratio, "label": label}
