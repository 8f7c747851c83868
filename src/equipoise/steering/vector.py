r"""Concept vectors: what is added to a model's inner representation, with a unit, as a file.

A vector holds one tensor `v_s` a site, at one noise level or at several. Strength a adds `a v_s`.
The unit: with S sites and the representations h of the references,

    rms(v_s) = rms(h_s) / sqrt(S)

so at strength 1 the vector is as large as what is there. `v_s` is of the shape of an activation
("per position") or has one number a channel or unit ("pooled"). Beside it the *origin* is kept:
the mean representation of the references without the concept, from which the presence of the
concept is measured.

A file is safetensors: numbers and one JSON text; reading it runs nothing. A vector belongs to the
weights it was made with.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from equipoise.denoisers import Denoiser, fingerprint
from equipoise.errors import BadInputError, NonFiniteError, quote
from equipoise.runs.atomic import write_atomic
from equipoise.runs.hub import (
    build_card,
    find_in_repository,
    push_repository,
    write_repository,
)

VERSION = 1
FILE = "concept_vector.safetensors"
"""Name of the file in a repository."""
KEY = "equipoise"
"""Name of the one text in the file's metadata."""
PARTS = ("vector", "origin")
"""What the names of tensors begin with: what is added, and where it is measured from."""
Kind = Literal["per-position", "pooled"]


class VectorRecord(BaseModel):
    """What a vector is beside its numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    """Version of this layout; a reader refuses a later one."""
    model: str
    """Name of the model it was made with."""
    fingerprint: str
    """Its weights, the only ones the vector is valid for."""
    kind: Kind
    """Whether every position has its own numbers."""
    sigmas: tuple[float, ...]
    """Noise levels of the references, ascending, data units; the nearest to a call's is used."""
    rms: dict[str, tuple[float, ...]]
    """Root mean square of the references' activations, by site and level: what the unit is."""
    recipe: dict[str, Any] = {}
    """How it was made."""


@dataclass(frozen=True, eq=False)
class ConceptVector:
    """A concept as tensors by site, the first axis being the noise level.

    `a + b`, `a - b`, `2 * a` and `-a` are vectors again; a site that one of two lacks is zero.

    Args:
        record: What it is.
        tensors: By site, `(level, ...)`: what strength 1 adds.
        origins: By site, of the same shapes: the mean without the concept.

    Raises:
        BadInputError: when tensors, origins and record do not belong together.
        NonFiniteError: when a number is NaN or infinite.
    """

    record: VectorRecord
    tensors: Mapping[str, Float[Tensor, "level ..."]]
    origins: Mapping[str, Float[Tensor, "level ..."]] = field(repr=False)

    def __post_init__(self) -> None:
        shapes = {site: tuple(tensor.shape) for site, tensor in self.tensors.items()}
        others = {site: tuple(tensor.shape) for site, tensor in self.origins.items()}
        levels = len(self.record.sigmas)
        known = bool(shapes) and shapes.keys() == self.record.rms.keys() and levels > 0
        if not known or shapes != others or any(s[0] != levels for s in shapes.values()):
            raise BadInputError(
                f"A concept vector needs a tensor and an origin of one shape for each of its "
                f"sites, a row for each of its {levels} noise levels. Make it with eq.concept."
            )
        numbers = [*self.tensors.values(), *self.origins.values()]
        if not all(bool(torch.isfinite(tensor).all()) for tensor in numbers):
            raise NonFiniteError(
                "A concept vector holds NaN or infinity. Make it again, from finite pictures."
            )

    @property
    def sites(self) -> tuple[str, ...]:
        """Where it acts."""
        return tuple(self.tensors)

    def __add__(self, other: "ConceptVector") -> "ConceptVector":
        self._check_addable(other)
        return ConceptVector(
            self.record.model_copy(
                update={
                    "rms": {**other.record.rms, **self.record.rms},
                    "recipe": {"sum": [self.record.recipe, other.record.recipe]},
                }
            ),
            _merge(self.tensors, other.tensors, torch.add),
            _merge(self.origins, other.origins, lambda one, two: (one + two) / 2),
        )

    def __sub__(self, other: "ConceptVector") -> "ConceptVector":
        return self + -other

    def __mul__(self, factor: float | int) -> "ConceptVector":
        tensors = {site: tensor * factor for site, tensor in self.tensors.items()}
        recipe = {"times": factor, "of": self.record.recipe}
        return ConceptVector(
            self.record.model_copy(update={"recipe": recipe}), tensors, self.origins
        )

    __rmul__ = __mul__

    def __neg__(self) -> "ConceptVector":
        return self * -1.0

    def measure_strength(self) -> dict[str, float]:
        """Say how strong it is at each site, in units; 1 as it was made."""
        return {
            site: math.sqrt(len(self.sites)) * _rms(tensor[0]) / self.record.rms[site][0]
            for site, tensor in self.tensors.items()
        }

    def check_model(self, denoiser: Denoiser, name: str) -> None:
        """Refuse a model other than the one it was made with.

        Args:
            denoiser: The model.
            name: What it is called, for the message.

        Raises:
            BadInputError: naming both.
        """
        found = fingerprint(denoiser)
        if found != self.record.fingerprint:
            raise BadInputError(
                f"This concept vector was made with the model {quote(self.record.model)} "
                f"({self.record.fingerprint}), the model given is {quote(name)} ({found}). "
                "Directions do not move between models: make it again with eq.concept."
            )

    def save(self, path: str | Path) -> None:
        """Write the vector as safetensors."""
        tensors = {
            f"{part}/{site}": tensor.detach().cpu().contiguous()
            for part, content in zip(PARTS, (self.tensors, self.origins), strict=True)
            for site, tensor in content.items()
        }
        write_atomic(Path(path), save(tensors, metadata={KEY: self.record.model_dump_json()}))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the vector and a card into a folder, as `from_pretrained` reads it."""
        write_repository(Path(folder), FILE, self.save, self._describe())

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, token: str | None = None
    ) -> str:
        """Upload the vector and a card to the Hugging Face hub.

        Args:
            repo_id: NAME/REPOSITORY; made when it is not there.
            private: Whether a new repository is private; None is the hub's default.
            token: Token that may write; None is the one of `hf auth login`.

        Returns:
            The address of the commit.

        Raises:
            BadInputError: when the hub refuses, or cannot be reached.
        """
        return push_repository(repo_id, self.save_pretrained, private=private, token=token)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, revision: str | None = None, token: str | None = None
    ) -> "ConceptVector":
        """Read a vector from a folder, or fetch it from the Hugging Face hub.

        Args:
            source: Folder that `save_pretrained` wrote, or NAME/REPOSITORY.
            revision: Branch, tag or commit of the repository.
            token: Token for a private one; None is that of `hf auth login`.

        Raises:
            BadInputError: when there is none, it is damaged, or the hub cannot be reached.
        """
        return load_vector(find_in_repository(source, FILE, revision=revision, token=token))

    def _describe(self) -> str:
        facts = {
            "model": self.record.model,
            "fingerprint of its weights": self.record.fingerprint,
            "kind": self.record.kind,
            "sites": ", ".join(self.sites),
            "noise levels, data units": ", ".join(f"{sigma:.4g}" for sigma in self.record.sigmas),
        }
        return build_card(
            "concept vector", facts,
            "Strength 1 is as large as what is at the sites. It is for these weights only: "
            "equipoise refuses it for any other model.",
        )  # fmt: skip

    def _check_addable(self, other: "ConceptVector") -> None:
        one, two = self.record, other.record
        if one.fingerprint != two.fingerprint:
            raise BadInputError(
                f"Cannot add vectors of two models, {quote(one.model)} ({one.fingerprint}) and "
                f"{quote(two.model)} ({two.fingerprint}). Make both with one model."
            )
        if one.sigmas != two.sigmas or one.kind != two.kind:
            raise BadInputError(
                f"Cannot add a {one.kind} vector at the noise levels {one.sigmas} and a "
                f"{two.kind} one at {two.sigmas}. Make both alike, or give both to eq.steer."
            )


def load_vector(path: str | Path) -> ConceptVector:
    """Read a concept vector; nothing in the file is run.

    Raises:
        BadInputError: when it is no such file, is damaged, or is of a later version.
        NonFiniteError: when a number is NaN or infinite.
    """
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY, "")
            found = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise BadInputError(
            f'"{path}" cannot be read as a concept vector: {error}. Only safetensors files that '
            "equipoise wrote are read; pickles are not."
        ) from error
    return ConceptVector(_read_record(path, text), *(_take(found, p) for p in PARTS))


def build_random(vector: ConceptVector, *, seed: int) -> ConceptVector:
    """Build a random direction of the same size at every site and level, for comparison."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for site, tensor in vector.tensors.items():
        drawn = torch.randn(tensor.shape, generator=generator).flatten(1)
        size = tensor.flatten(1).norm(dim=1) / drawn.norm(dim=1)
        tensors[site] = (drawn * size[:, None]).reshape(tensor.shape)
    recipe = {"random": seed, "sized as": vector.record.recipe}
    record = vector.record.model_copy(update={"recipe": recipe})
    return ConceptVector(record, tensors, vector.origins)


def _merge(
    one: Mapping[str, Tensor],
    two: Mapping[str, Tensor],
    join: Any,  # noqa: ANN401
) -> dict[str, Tensor]:
    both = {site: join(one[site], two[site]) for site in one if site in two}
    return {**one, **two, **both}


def _rms(tensor: Tensor) -> float:
    return float(tensor.double().square().mean().sqrt())


def _take(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}/"
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _read_record(path: str | Path, text: str) -> VectorRecord:
    try:
        version = json.loads(text)["version"]
        if version > VERSION:  # before the fields, which a later version may have changed
            raise BadInputError(
                f'"{path}" has layout {version}, this equipoise reads up to {VERSION}; upgrade it.'
            )
        return VectorRecord.model_validate_json(text)
    except BadInputError:
        raise
    except (ValidationError, ValueError, TypeError, KeyError) as error:
        raise BadInputError(
            f'"{path}" is no concept vector: its metadata lack a sound "{KEY}" entry. Make one '
            "with eq.concept or `equipoise steer make`."
        ) from error
