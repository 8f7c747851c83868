"""Dose-response of a zoo model: does a score follow the strength, and how far can one go?

For every concept a vector is made from real pictures that the instrument was not fitted on, and
fresh outputs that were not asked for it are steered towards it. What is compared with it: random
directions of the same size, references with shuffled labels, adding the difference of mean
pictures to the finished output, and asking for the concept, where the model can be asked. Then
copies are compared with novel outputs, and real pictures are edited.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from equipoise.bench.claim import describe_verdict
from equipoise.bench.concept import Concept, ConceptSet
from equipoise.bench.concept_response import measure_concept
from equipoise.bench.edited import measure_editing
from equipoise.bench.emoji_concepts import EmojiConcepts
from equipoise.bench.fashion_concepts import FashionConcepts
from equipoise.bench.generation import Seeds, Studio
from equipoise.bench.random_directions import RandomDirections
from equipoise.bench.resistance import measure_resistance
from equipoise.denoisers import fingerprint
from equipoise.detection import Stopwatch
from equipoise.images import as_unit
from equipoise.runs import Run, finish_run, start_run, write_tensors
from equipoise.sampling.noise import open_stream
from equipoise.steering import ConceptVector, Guidance, Kind, build_random, build_vector
from equipoise.zoo.package import ZooModel
from equipoise.zoo.recipe import DitRecipe, Recipe, SdRecipe
from equipoise.zoo.scene_set import SceneSet

REACHED = 0.7
"""Mean chance of showing the concept from which it counts as reached."""
SHOWN = 6
OWN: dict[type[Recipe], dict[str, Any]] = {
    DitRecipe: {
        "references": 90, "window_shares": (1.5, 60.0), "sampler_steps": 12,
        "strengths": (0.1, 0.2, 0.35, 0.5, 0.75), "pair_strengths": (0.1, 0.2, 0.5),
        "edit_strengths": (0.1, 0.2, 0.5),
    },
    SdRecipe: {
        "concepts": ("colour blue", "colour yellow", "size large", "vendor twitter", "noun cat"),
        "captioned": True, "sites": ("**.attn2:out",), "kind": "pooled", "guidance": "cond",
        "window_shares": (0.3, 60.0), "strengths": (0.5, 1.0, 1.5, 2.0, 3.0),
        "pair_strengths": (0.5, 1.0, 2.0), "edit_strengths": (0.5, 1.0, 2.0),
    },
}  # fmt: skip
"""What is asked for by family instead of the defaults, chosen on seed 100: docs/steering.md."""


class ResponseSpec(BaseModel):
    """Everything that a dose-response asks for; the defaults are those of the Fashion U-Nets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    """Seed of the outputs and of the draw of references."""
    concepts: tuple[str, ...] = (
        "T-shirt", "trousers", "pullover", "dress", "sandal", "sneaker", "bag", "ankle boot",
    )  # fmt: skip
    """Concepts to steer to."""
    references: int = 40
    """Pictures with the concept, and as many without."""
    captioned: bool = False
    """Whether each is looked at with its own caption, where it has one, and not with nothing."""
    sites: tuple[str, ...] | None = None
    """Where to act; None is the default of the model's kind."""
    kind: Kind = "per-position"
    """Whether every place has its own numbers."""
    level_shares: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    """Noise levels of the references, of the standard deviation of the data."""
    strengths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5)
    """In units of the vector, rising."""
    window_shares: tuple[float, float] = (0.9, 12.0)
    """Noise levels at which to act, of the standard deviation of the data."""
    guidance: Guidance = "both"
    """Half of a guided call that is steered."""
    sampler_steps: int = 8
    """Steps of Heun's method; the recipe's own sampler may take more."""
    num_seeds: int = 16
    """Outputs a concept."""
    num_random: int = 20
    """Random directions."""
    seeds_per_random: int = 3
    """Outputs a random direction."""
    num_screened: int = 800
    """Unsteered outputs among which copies are looked for."""
    num_pairs: int = 64
    """Most pairs of a copy and a novel output."""
    pair_strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Strengths at which the pairs are steered."""
    num_edited: int = 16
    """Held-out pictures that are edited towards every concept."""
    edit_strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Strengths at which they are edited."""


def choose_spec(recipe: Recipe, **words: Any) -> ResponseSpec:  # noqa: ANN401 - its fields
    """Say how a model is measured unless something else is asked for."""
    own = next((own for kind, own in OWN.items() if isinstance(recipe, kind)), {})
    return ResponseSpec(**own | words)


def run_response(model: ZooModel, folder: Path, *, spec: ResponseSpec) -> Run:
    """Measure and write the run folder."""
    watch = Stopwatch()
    run = start_run(
        folder, kind="steering",
        spec={"model": f"zoo:{model.recipe.name}"} | spec.model_dump(mode="json"),
        provenance={"fingerprint": fingerprint(model.denoiser)},
    )  # fmt: skip
    known, studio = open_concepts(model, spec.concepts), open_studio(model, spec)
    vectors = [build_concept_vector(model, known, one, spec) for one in known.concepts]
    # all vectors have the size of one unit, so one set of directions serves every concept
    directions = [build_random(vectors[0], seed=index) for index in range(spec.num_random)]
    random = RandomDirections(
        studio, known, _draw_seeds(known, spec, spec.seeds_per_random), directions
    )
    concepts, pictures = _measure_concepts(studio, known, vectors, random, spec)
    groups, strips = measure_resistance(
        studio, known, vectors, num_screened=spec.num_screened, most=spec.num_pairs,
        strengths=spec.pair_strengths,
        floors=random.measure(max(spec.pair_strengths)).mean(axis=0),
    )  # fmt: skip
    editing, edits = measure_editing(
        studio, known, vectors, count=spec.num_edited, strengths=spec.edit_strengths,
        references=spec.references,
    )  # fmt: skip
    studio.close()
    write_tensors(run, "strips", pictures | strips | edits)
    results = {
        "verdict": describe_verdict(groups),
        "concepts": concepts,
        "reached": [told["name"] for told in concepts if told["best"]["p"] >= REACHED],
        "reached_at": REACHED,
        "memorized_vs_generalized": groups,
        "editing": editing,
        "instrument": known.describe_instrument(),
    }
    cost = {"evaluations": studio.evaluations, "seconds": watch.seconds}
    return finish_run(run, results=results, cost=cost)


def open_concepts(model: ZooModel, names: tuple[str, ...]) -> ConceptSet:
    """Return the concepts of those names that a model's family knows."""
    if isinstance(model.training_set, SceneSet):
        return EmojiConcepts(model, names)
    return FashionConcepts(model, names)


def open_studio(model: ZooModel, spec: ResponseSpec) -> Studio:
    """Open what draws the outputs."""
    low, high = (share * model.denoiser.data_std for share in spec.window_shares)
    return Studio(
        model, seed=spec.seed, steps=spec.sampler_steps, window=(low, high),
        guidance=spec.guidance,
    )  # fmt: skip


def build_concept_vector(
    model: ZooModel,
    known: ConceptSet,
    concept: Concept,
    spec: ResponseSpec,
    *,
    shuffled: bool = False,
) -> ConceptVector:
    """Make the vector of a concept from real pictures.

    Args:
        model: The model.
        known: Where the pictures come from.
        concept: The concept.
        spec: How many references, and how they are looked at.
        shuffled: Deal the same pictures to both sides by chance: a null.
    """
    half = spec.references
    order = np.arange(2 * half)
    if shuffled:
        order = open_stream(f"{spec.seed}|shuffled|{concept.name}").permutation(2 * half)
    sides = order[:half], order[half:]
    pictures = torch.cat(known.draw_references(concept, count=half, seed=spec.seed))
    told = known.caption_references(concept, count=half, seed=spec.seed)
    captions = None if told is None or not spec.captioned else [*told[0], *told[1]]
    shown, without = (None if captions is None else [captions[k] for k in side] for side in sides)
    scale = model.denoiser.data_std
    return build_vector(
        model.denoiser, *(as_unit(pictures[torch.from_numpy(side)]) for side in sides),
        name=f"zoo:{model.recipe.name}", patterns=spec.sites,
        sigmas=[share * scale for share in spec.level_shares], prompts=(shown, without),
        kind=spec.kind, draws=1, seed=spec.seed,
    )  # fmt: skip


def _draw_seeds(known: ConceptSet, spec: ResponseSpec, count: int) -> Seeds:
    ids = [f"steer/{spec.seed}/{index:06d}" for index in range(count)]
    return Seeds(ids, known.draw_conditions(ids, seed=spec.seed))


def _measure_concepts(
    studio: Studio,
    known: ConceptSet,
    vectors: Sequence[ConceptVector],
    random: RandomDirections,
    spec: ResponseSpec,
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return the figures of every concept, and pictures of the first seeds by name."""
    seeds = _draw_seeds(known, spec, spec.num_seeds)
    concepts, pictures = [], {}
    for place, concept in enumerate(known.concepts):
        null = build_concept_vector(studio.model, known, concept, spec, shuffled=True)
        measured = measure_concept(
            studio, known, place, seeds, vectors[place], null, random=random,
            strengths=spec.strengths, references=spec.references,
        )  # fmt: skip
        concepts.append(measured.figures)
        pictures[concept.name] = measured.drawn[:, :SHOWN].numpy()
    return concepts, pictures
