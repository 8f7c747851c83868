r"""Training sets for the phase diagrams: a mixture on which Theorem 3.1 holds by construction.

K modes of weight 1/K. Their means are the corners of a regular simplex, `||mu_k|| = a`, so that
every two have cosine `-1/(K-1) < 0` (Def. 3.1). A mode spreads over q coordinates of its own with
variance `s^2`, orthogonal to all means and to the other modes, so that no sample leans towards
another mode however wide its own is:

    S_k = mu_k mu_k^T + s^2 P_k,   eigenvalues a^2 (once) and s^2 (q times)

Within a mode the angles are acute, and the theorem makes one block of the mode's samples. So a
sample is stored in a column of its own if no other sample shares its mode.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.theory.mixture import GaussianMixture

MODES, SPREAD_DIM = 12, 6
"""K and q; samples have K (1 + q) = 84 values."""
NORM, SPREAD = 4.0, 1.1
"""a and s, in data units."""
DUPLICATED = 4
"""Modes of which one sample is given again and again, in the diagram of copies."""
NUM_FRESH = 500


@dataclass(frozen=True)
class TrainingSet:
    """A training set by its clusters, and what should be measured on it."""

    clusters: list[Float[Tensor, "_ dim"]]
    """The samples of each mode that has one, copies included."""
    stored: Float[Tensor, "stored dim"]
    """Samples that may become columns, once each."""
    alone: list[int]
    """For each of these, the cluster it is the only sample of; -1 where there are others."""
    fresh: Float[Tensor, "fresh dim"]
    """Other samples, of the modes that the network should know."""

    @property
    def X(self) -> Float[Tensor, "case dim"]:
        """All training samples."""
        return torch.cat(self.clusters)


def build_mixture() -> GaussianMixture:
    """Build the mixture that all training sets are drawn from."""
    corners = NORM * normalize(torch.eye(MODES) - 1 / MODES, dim=1)
    own = torch.eye(MODES).repeat_interleave(SPREAD_DIM, 1)  # mode spread
    return GaussianMixture(
        torch.full((MODES,), 1 / MODES),
        torch.cat([corners, torch.zeros(MODES, MODES * SPREAD_DIM)], dim=1),
        torch.diag_embed(torch.cat([torch.zeros(MODES, MODES), SPREAD**2 * own], dim=1)),
    )


def draw_plain(mixture: GaussianMixture, images: int, *, seed: int) -> TrainingSet:
    """Draw samples once each; all of them may become columns."""
    generator = torch.Generator().manual_seed(seed)
    modes = torch.randint(MODES, (images,), generator=generator)
    counts = modes.bincount(minlength=MODES)
    clusters = [X_k for X_k in mixture.sample_clusters(counts.tolist(), generator) if len(X_k)]
    alone = [k if len(X_k) == 1 else -1 for k, X_k in enumerate(clusters) for _ in X_k]
    again = modes[torch.randint(images, (NUM_FRESH,), generator=generator)]
    return TrainingSet(clusters, torch.cat(clusters), alone, _draw(mixture, again, generator))


def draw_duplicated(
    mixture: GaussianMixture, images: int, copies: int, *, seed: int
) -> TrainingSet:
    """Draw one sample of each of a few modes, `copies` times, and others of the other modes."""
    generator = torch.Generator().manual_seed(seed)
    modes = torch.randint(DUPLICATED, MODES, (images,), generator=generator)
    counts = modes.bincount(minlength=MODES)
    counts[:DUPLICATED] = 1
    drawn = mixture.sample_clusters(counts.tolist(), generator)
    stored = drawn[:DUPLICATED]
    clusters = [x.repeat(copies, 1) for x in stored] + [
        X_k for X_k in drawn[DUPLICATED:] if len(X_k)
    ]
    again = torch.randint(DUPLICATED, MODES, (NUM_FRESH,), generator=generator)
    alone = list(range(DUPLICATED))
    return TrainingSet(clusters, torch.cat(stored), alone, _draw(mixture, again, generator))


def _draw(
    mixture: GaussianMixture, modes: Tensor, generator: torch.Generator
) -> Float[Tensor, "case dim"]:
    counts = modes.bincount(minlength=MODES).tolist()
    return torch.cat(mixture.sample_clusters(counts, generator))
