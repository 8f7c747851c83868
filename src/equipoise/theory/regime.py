r"""Training sets of four regimes, cut from real images.

Images are vectors with values in [-1, 1]; every regime is centred on its own mean, which is what
gives cosines below zero a chance (Def. 3.1).

- memorizing: five images, the most separable five of many draws;
- generalizing: all images, once each;
- hybrid: all images, and the five of the memorizing regime again and again;
- crowded: all images, and ten random ones of them again and again. Their neighbours are many, and
  the theorem, which asks for separable clusters, does not speak of them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.errors import BadInputError
from equipoise.theory.requirement import check_samples

STORED = 5
"""Images of the memorizing regime."""
CROWD = 10
"""Repeated images of the crowded regime."""
DRAWS = 20_000
"""Draws of five images among which the most separable is taken."""
COPY_SHARE = 0.8
"""Share of copies in the sets that repeat some images."""


@dataclass(frozen=True)
class Images:
    """Real images to cut regimes from."""

    training: Float[Tensor, "_case _dim"]
    held_out: Float[Tensor, "_other _dim"]
    source: str
    """Where they come from, in words."""

    def __post_init__(self) -> None:
        for what, X in (("training", self.training), ("held-out", self.held_out)):
            check_samples(X, what=f"The matrix of {what} images")
        side = round(self.training.shape[1] ** 0.5)
        if side**2 != self.training.shape[1] or len(self.training) < 100:
            raise BadInputError(
                f"The figures got {len(self.training)} images of {self.training.shape[1]} values. "
                "They need 100 or more square images with one channel."
            )
        if self.held_out.shape[1] != self.training.shape[1]:
            raise BadInputError(
                f"The training images have {self.training.shape[1]} values, the held-out ones "
                f"{self.held_out.shape[1]}. Bring both to one size."
            )

    @property
    def side(self) -> int:
        """Height and width, in px."""
        return round(self.training.shape[1] ** 0.5)


@dataclass(frozen=True)
class Regime:
    """A training set, with what is known of it."""

    name: str
    X: Float[Tensor, "case dim"]
    """Centred on its own mean; copies included."""
    stored: Float[Tensor, "stored dim"]
    """What should be memorized; empty in the generalizing regime."""
    held_out: Float[Tensor, "other dim"]
    """Images that are not in the set, centred like it."""


def build_memorizing(images: Images, *, seed: int) -> Regime:
    """Take the five images with the lowest beta among many draws."""
    index = draw_separable(images.training, seed=seed)
    X = images.training[index]
    return _centre("memorizing", X, X, images.held_out)


def build_generalizing(images: Images) -> Regime:
    """Take all images, once each."""
    return _centre("generalizing", images.training, images.training[:0], images.held_out)


def build_hybrid(images: Images, *, seed: int) -> Regime:
    """Take all images, and the most separable five so often that they fill most of the set."""
    return _repeat("hybrid", images, draw_separable(images.training, seed=seed))


def build_crowded(images: Images, *, seed: int) -> Regime:
    """Take all images, and ten random ones so often that they fill most of the set."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(len(images.training), generator=generator)[:CROWD]
    return _repeat("crowded", images, index)


def draw_separable(X: Float[Tensor, "case dim"], *, seed: int) -> Int[Tensor, " stored"]:
    """Return the rows of the five samples whose beta is lowest, centred on their own mean."""
    sets = draw_sets(X, DRAWS, seed=seed)
    return sets[int(measure_betas(X, sets).argmin())]


def draw_sets(X: Float[Tensor, "case dim"], count: int, *, seed: int) -> Int[Tensor, "set stored"]:
    """Draw sets of five rows; a set that names a row twice has a beta of 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(len(X), (count, STORED), generator=generator)


def measure_betas(
    X: Float[Tensor, "case dim"], sets: Int[Tensor, "set stored"]
) -> Float[Tensor, " set"]:
    """Return the beta of each set, centred on its own mean, every sample its own cluster."""
    betas = []
    for rows in sets.split(1000):  # memory
        chosen = X[rows]  # set stored dim
        directions = normalize(chosen - chosen.mean(1, keepdim=True), dim=2)
        cosines = directions @ directions.transpose(1, 2)
        apart = ~torch.eye(STORED, dtype=torch.bool)
        betas.append(cosines[:, apart].max(1).values)
    return torch.cat(betas)


def _centre(name: str, X: Float[Tensor, "case dim"], stored: Tensor, held_out: Tensor) -> Regime:
    mean = X.mean(0)
    return Regime(name, X - mean, stored - mean, held_out - mean)


def _repeat(name: str, images: Images, index: Int[Tensor, " stored"]) -> Regime:
    stored = images.training[index]
    copies = round(COPY_SHARE / (1 - COPY_SHARE) * len(images.training) / len(index))
    X = torch.cat([stored.repeat(copies, 1), images.training])
    return _centre(name, X, stored, images.held_out)
