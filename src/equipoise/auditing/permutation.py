r"""Does the *model* treat its training images otherwise than images it never saw?

Under the null hypothesis training and held-out images are exchangeable, so relabelling them
leaves the distribution of

    T = mean score of training images - mean score of held-out images

unchanged. The p-value is the share of relabellings, the one seen included, with a T as large:
exact whatever the distribution of the scores. It speaks of the model as a whole; single images
have no such null of their own.

References:
    Nulls for memorization audits, arXiv 2610.00251
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from scipy import stats
from torch import Tensor

from equipoise.bench.interval import estimate_auroc
from equipoise.denoisers import Denoiser
from equipoise.detection import Spikiness
from equipoise.errors import BadInputError
from equipoise.images import as_unit, content_ids

PERMUTATIONS = 9999
MIN_IMAGES = 20


def compare_sets(
    model: Denoiser,
    detector: Spikiness,
    *,
    training: UInt8[Tensor, "case channel height width"],
    held_out: UInt8[Tensor, "other channel height width"],
) -> dict[str, Any]:
    """Test whether training images score higher than held-out ones.

    Equal pictures count once, and pictures in both sets are left out: they belong to neither.

    Returns:
        `{p_value, difference, auroc, n_training, n_held_out, permutations}`.

    Raises:
        BadInputError: when fewer than 20 images are left on either side.
    """
    seen, unseen = _list_distinct(training), _list_distinct(held_out)
    shared = seen.keys() & unseen.keys()
    sides = [
        [picture for key, picture in side.items() if key not in shared] for side in (seen, unseen)
    ]
    if min(map(len, sides)) < MIN_IMAGES:
        raise BadInputError(
            f"Cannot compare {len(sides[0])} training and {len(sides[1])} held-out images "
            f"({len(shared)} lie in both and are left out): at least {MIN_IMAGES} distinct ones "
            "of each are needed."
        )
    scores = [_score(model, detector, torch.stack(side)) for side in sides]
    result = stats.permutation_test(
        scores, _subtract_means, n_resamples=PERMUTATIONS, alternative="greater",
        vectorized=True, batch=100, rng=np.random.default_rng(0),
    )  # fmt: skip
    return {
        "p_value": float(result.pvalue),
        "difference": float(result.statistic),
        "auroc": estimate_auroc(scores[0], np.arange(len(scores[0])), scores[1]),
        "n_training": len(scores[0]),
        "n_held_out": len(scores[1]),
        "permutations": PERMUTATIONS,
    }


def _list_distinct(pictures: Tensor) -> dict[str, Tensor]:
    return dict(zip(content_ids(pictures), pictures, strict=True))


def _score(model: Denoiser, detector: Spikiness, pictures: Tensor) -> np.ndarray:
    return detector.score(model, as_unit(pictures), content_ids(pictures)).values.numpy()


def _subtract_means(seen: np.ndarray, unseen: np.ndarray, axis: int) -> np.ndarray | np.float64:
    return seen.mean(axis=axis) - unseen.mean(axis=axis)
