r"""The two-layer ReLU denoising autoencoder, as a network with a site and as a denoiser.

    f(x) = W2 [W1^T x]_+,   W1, W2 in R^{d x p},   no biases      (Eq. 5)

Its representation `h(x) = [W1^T x]_+` is the input of the module `decoder`: the site
`decoder:in`. The weights that minimize its loss in closed form are in `closed_forms.py`.

References:
    Generalization of Diffusion Models Arises with a Balanced Representation Space
    (Zhang et al., 2026), Eq. 5 | arXiv 2512.20963
"""

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers.data_units import DataUnits
from equipoise.errors import BadInputError


class ReluDae(nn.Module):
    """A ReLU-DAE with untied weights (Eq. 5), initialized as `nn.Linear` does.

    Args:
        dim: `d`, the number of values of one sample.
        num_units: `p`, the number of hidden units.
    """

    def __init__(self, dim: int, num_units: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(dim, num_units, bias=False)  # its weight is W1^T
        self.activation = nn.ReLU()
        self.decoder = nn.Linear(num_units, dim, bias=False)  # its weight is W2

    @property
    def W1(self) -> Float[Tensor, "dim unit"]:
        """The encoder's weights, one unit a column; shares memory with the module."""
        return self.encoder.weight.T

    @property
    def W2(self) -> Float[Tensor, "dim unit"]:
        """The decoder's weights, one unit a column; shares memory with the module."""
        return self.decoder.weight

    def representation(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch unit"]:
        """Return `h(x) = [W1^T x]_+`, what the site `decoder:in` captures."""
        return self.activation(self.encoder(x))

    def forward(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return `f(x) = W2 h(x)` (Eq. 5)."""
        return self.decoder(self.representation(x))


def build_relu_dae(
    W1: Float[Tensor, "dim unit"], W2: Float[Tensor, "_ _"] | None = None
) -> ReluDae:
    """Build a ReLU-DAE that holds copies of given weights.

    Args:
        W1: Encoder weights, one unit a column; sets dtype and device.
        W2: Decoder weights; None means `W2 = W1`, as in Theorem 3.1. Copied, so not tied in
            a later training.

    Raises:
        BadInputError: if they are of different shape.
    """
    if W2 is not None and W2.shape != W1.shape:
        raise BadInputError(
            f"build_relu_dae got W1 of shape {tuple(W1.shape)} and W2 of {tuple(W2.shape)}. Both "
            "are of one shape, (dim, unit)."
        )
    dae = ReluDae(*W1.shape).to(W1)
    with torch.no_grad():
        dae.encoder.weight.copy_(W1.T)
        dae.decoder.weight.copy_(W1 if W2 is None else W2)
    return dae


@dataclass(frozen=True)
class ReluDaeDenoiser(DataUnits):
    """A ReLU-DAE as a denoiser of this package.

    A DAE is trained at one sigma and does not see it: `denoise` **ignores** `sigma`, and its
    estimates mean something near the sigma of its training only.

    Args:
        network: The autoencoder.
        sample_shape: `(dim,)`, or the shape of an image, which is flattened for the network.
        data_std: Standard deviation of the training data, in data units; positive.
        default_sites: Sites to look at when nobody chose others.

    Raises:
        BadInputError: if `sample_shape` does not hold `dim` values, or `data_std` is not positive.
    """

    network: ReluDae
    sample_shape: tuple[int, ...]
    data_std: float
    default_sites: tuple[str, ...] = ("decoder:in",)

    def __post_init__(self) -> None:
        dim = self.network.encoder.in_features
        if prod(self.sample_shape) != dim:
            raise BadInputError(
                f"ReluDaeDenoiser got sample_shape {self.sample_shape}, that is "
                f"{prod(self.sample_shape)} values, for a network of {dim}. They must be equal; "
                f"pass sample_shape=({dim},) or an image shape of {dim} values."
            )
        if not self.data_std > 0:
            raise BadInputError(
                f"ReluDaeDenoiser got data_std={self.data_std}. It must be positive; "
                "pass the standard deviation of the training data."
            )

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Estimate `E[x0 | x]` at the sigma of the training, whatever `sigma` is (Eq. 5)."""
        x0_hat = self.network(x.flatten(1).to(self.network.W1.dtype))
        return x0_hat.reshape(x.shape).to(x.dtype)
