r"""Spikiness as features: a transformer for pipelines of scikit-learn, one column a site.

    make_pipeline(SpikinessTransformer("zoo:edm-fashion"), LogisticRegression())

Column s holds, for the units h_s of site s alone,

    mean over draws of statistic(pool(h_s(x0 + sigma eps)))

with the empty condition: what `equipoise.spikiness` gives at that site with sign 1, with all sites
read in one truncated forward. Nothing is learnt from the rows: `fit` opens the model. A column
rises or falls with memorization (the sign flips between sites), so a classifier fitted on items
whose truth is known, or a calibration, must say which.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.denoisers.protocol import device_of
from equipoise.detection.draws import Noisy, score_draws, score_sample_draws
from equipoise.detection.spikiness import DEFAULT_DRAWS, DEFAULT_SIGMA_SHARE
from equipoise.errors import BadInputError
from equipoise.images import content_ids, quantize
from equipoise.loading import load
from equipoise.representation import Pooling, Statistic, measure, observe, select_sites

Given = Literal["images", "samples"]


class SpikinessTransformer(TransformerMixin, BaseEstimator):
    """Turn images into one number a site of a diffusion model.

    Rows are images as arrays, `(case, channel, height, width)` or flattened to
    `(case, channel * height * width)`.

    Args:
        model: Whatever `equipoise.load` takes without further words.
        sites: Names or patterns; None is the default sites of the model. A column each.
        sigma: Noise level, data units; None is 0.2 times the standard deviation of the data.
        pooling: Over space or tokens.
        statistic: Over units.
        draws: Noise draws a row.
        seed: Seed of the noise, which depends on (seed, content of the row, draw) only.
        given: "images", values in [0, 1]; or "samples", clean samples x0 in data units (latents
            that were encoded before), which then need not be encoded.

    Attributes:
        denoiser_: The model.
        sites_: Name of each column.
        sigma_: Noise level that is used.
        n_features_in_: Numbers in a row.

    Raises:
        BadInputError: in `fit` and `transform`, when rows are not of the model's shape, or values
            of images lie outside [0, 1].
        UnknownSiteError: in `fit`, when the model has no such site.
    """

    def __init__(
        self,
        model: Any = "zoo:edm-fashion",  # noqa: ANN401 - whatever `load` takes
        *,
        sites: str | Sequence[str] | None = None,
        sigma: float | None = None,
        pooling: Pooling = "max",
        statistic: Statistic = "std",
        draws: int = DEFAULT_DRAWS,
        seed: int = 0,
        given: Given = "images",
    ) -> None:
        self.model = model
        self.sites = sites
        self.sigma = sigma
        self.pooling: Pooling = pooling
        self.statistic: Statistic = statistic
        self.draws = draws
        self.seed = seed
        self.given: Given = given

    def fit(self, X: Any, y: object = None) -> "SpikinessTransformer":  # noqa: ANN401
        """Open the model and check that the rows are for it; nothing is learnt from them."""
        if self.given not in get_args(Given) or self.draws < 1:
            raise BadInputError(
                f'Cannot read given="{self.given}" with {self.draws} draws: "images" or "samples" '
                "and at least one draw are allowed."
            )
        rows = self._read(X, reset=True)
        self.denoiser_ = self._open()
        self._shape(rows)
        wanted = self.denoiser_.default_sites if self.sites is None else self.sites
        self.sites_ = tuple(select_sites(self.denoiser_, wanted))
        share = DEFAULT_SIGMA_SHARE * self.denoiser_.data_std
        self.sigma_ = self.denoiser_.snap(share if self.sigma is None else self.sigma)
        return self

    def transform(self, X: Any) -> Float64[np.ndarray, "case site"]:  # noqa: ANN401
        """Measure the statistic of every row at every site."""
        check_is_fitted(self)
        rows = self._shape(self._read(X, reset=False))
        words = {"sigma": self.sigma_, "draws": self.draws, "seed": self.seed}
        if self.given == "images":
            ids = content_ids(quantize(rows))
            per_draw = score_draws(self.denoiser_, rows, ids, self._measure, **words)
        else:
            ids = [hashlib.blake2b(row.numpy().data, digest_size=16).hexdigest() for row in rows]
            x0 = rows.to(device_of(self.denoiser_))
            per_draw = score_sample_draws(x0, ids, self._measure, **words)
        return per_draw.mean(dim=1).numpy()

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Name the columns: the sites."""
        check_is_fitted(self)
        return np.asarray(self.sites_, dtype=object)

    def _measure(self, noisy: Noisy) -> Float64[Tensor, "batch site"]:
        seen = observe(self.denoiser_, noisy.x, noisy.sigma, self.sites_, pooling=self.pooling)
        units = [seen[site].tensor.flatten(1).double() for site in self.sites_]
        return torch.stack([measure(one, self.statistic) for one in units], dim=1)

    def _open(self) -> Denoiser:
        return load(self.model)

    def _read(self, X: Any, *, reset: bool) -> Float[np.ndarray, "case number"]:  # noqa: ANN401
        """Check rows as every estimator does, images flattened."""
        if getattr(X, "ndim", 2) > 2:
            X = np.asarray(X).reshape(len(X), -1)
        return np.asarray(validate_data(self, X, reset=reset, dtype=np.float32))

    def _shape(self, rows: Float[np.ndarray, "case number"]) -> Float[Tensor, "case ..."]:
        """Give the rows the shape that the model takes."""
        images = self.given == "images"
        shape = self.denoiser_.image_shape if images else self.denoiser_.sample_shape
        if rows.shape[1] != np.prod(shape):
            raise BadInputError(
                f"Rows of {rows.shape[1]} numbers were given, and the model takes {self.given} of "
                f"the shape {tuple(shape)}: {np.prod(shape)} numbers. Resize them."
            )
        if images and not (rows.min() >= 0 and rows.max() <= 1):
            raise BadInputError(
                f"Images with values from {rows.min():g} to {rows.max():g} were given, and [0, 1] "
                'is allowed. Divide 8-bit pictures by 255; given="samples" takes data units.'
            )
        return torch.from_numpy(np.ascontiguousarray(rows)).reshape(len(rows), *shape)
