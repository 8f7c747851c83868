"""Choose where, at which noise levels and from how many pictures a zoo model is steered.

    python benchmarks/choose_steering.py zoo:dit-fashion [--seed 100] [--seeds 16]

Every choice is tried on outputs and references of the selection seed, which no report uses: the
best mean chance of each concept over the strengths, and the strength it was at. The first row asks
the model for the concept instead, where it can be asked: a ceiling.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from equipoise.bench.concept import ConceptSet
from equipoise.bench.concept_response import read_curve
from equipoise.bench.generation import Seeds
from equipoise.bench.response import (
    ResponseSpec,
    build_concept_vector,
    choose_spec,
    open_concepts,
    open_studio,
)
from equipoise.zoo.package import ZooModel, load_zoo

MIDDLE, ALL = ("transformer_blocks.3:out",), ("transformer_blocks.*:out",)
INSIDE = ("up_blocks.0.resnets.*.conv2:in", "up_blocks.1.resnets.0.conv2:in")
GOING_UP, RESIDUAL = ("up_blocks.*.resnets.*:out",), ("**.resnets.*:out",)
FINE, COARSE = (0.1, 0.2, 0.35, 0.5, 0.75), (0.25, 0.5, 0.75, 1.0, 1.5)
CROSS = ("**.attn2:out",)
PICTURES: dict[str, Any] = {
    "captioned": False, "kind": "per-position", "guidance": "both", "strengths": COARSE,
}  # fmt: skip
WORDS: dict[str, Any] = {"captioned": True, "kind": "pooled", "guidance": "cond"}
CHOICES: dict[str, list[dict[str, Any]]] = {
    "dit-fashion": [
        {"sites": MIDDLE, "window_shares": (0.3, 12.0), "references": 40, "strengths": COARSE},
        {"sites": MIDDLE, "window_shares": (0.9, 12.0), "references": 40, "strengths": COARSE},
        {"sites": MIDDLE, "window_shares": (1.5, 60.0), "references": 90, "strengths": COARSE},
        {"sites": MIDDLE, "window_shares": (2.0, 60.0), "references": 40, "strengths": COARSE},
        {"sites": ALL, "sampler_steps": 8, "strengths": FINE},
        {"sites": ALL, "sampler_steps": 12, "strengths": FINE},
    ],
    "edm-fashion": [{"sites": INSIDE}, {"sites": GOING_UP}],
    "sd-emoji": [
        {**PICTURES, "sites": INSIDE, "window_shares": (0.9, 12.0)},
        {**PICTURES, "sites": GOING_UP},
        {**PICTURES, "sites": GOING_UP, "kind": "pooled"},
        {**PICTURES, "sites": RESIDUAL},
        {**WORDS, "sites": (*CROSS, *RESIDUAL)},
        {**WORDS, "sites": CROSS},
    ],
}


def main() -> None:
    """Print a table, a row a choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=16, help="outputs a concept")
    asked = parser.parse_args()
    model = load_zoo(asked.model)
    base = choose_spec(model.recipe, seed=asked.seed, num_seeds=asked.seeds)
    known = open_concepts(model, base.concepts)
    names = [concept.name for concept in known.concepts]
    print(" | ".join(["choice", *names, "mean"]), flush=True)
    for told, cells, mean in list_rows(model, known, base):
        print(" | ".join([told, *cells, f"{mean:.2f}"]), flush=True)


def list_rows(
    model: ZooModel, known: ConceptSet, base: ResponseSpec
) -> Iterator[tuple[str, list[str], float]]:
    """Yield what was chosen, a cell a concept, and the mean over concepts."""
    ids = [f"steer/{base.seed}/{index:06d}" for index in range(base.num_seeds)]
    studio = open_studio(model, base)
    requests = [known.ask_for(one, ids, seed=base.seed) for one in known.concepts]
    if requests[0] is not None:
        chances = [
            read_curve(known, studio.draw_plain(Seeds(ids, cond))[None], place).chances.mean()
            for place, cond in enumerate(requests)
        ]
        yield "asked for", [f"{chance:.2f}" for chance in chances], float(np.mean(chances))
    for choice in CHOICES[model.recipe.name.removesuffix("-b")]:
        spec = base.model_copy(update=choice)
        cells, tops = [], []
        for place, concept in enumerate(known.concepts):
            vector = build_concept_vector(model, known, concept, spec)
            seeds = Seeds(ids, known.draw_conditions(ids, seed=spec.seed))
            drawn = open_studio(model, spec).draw(seeds, vector, spec.strengths)
            chances = read_curve(known, drawn, place).chances.mean(axis=0)
            tops.append(chances.max())
            cells.append(f"{chances.max():.2f} at {spec.strengths[chances.argmax()]:g}")
        yield str(choice), cells, float(np.mean(tops))


if __name__ == "__main__":
    main()
