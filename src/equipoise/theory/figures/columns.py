"""Figs. 3 and 6: columns of W1 as images, four regimes x three noise levels."""

from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.theory.figures.network import Networks, compare_loss, count_units
from equipoise.theory.figures.part import SHOWN, SIGMAS, Part
from equipoise.theory.regime import Regime
from equipoise.theory.relu_dae import ReluDae
from equipoise.theory.separability import separability

COPY_COSINE = 0.95
"""A column is a stored image from this cosine on."""


def build_columns(nets: Networks) -> Part:
    """Figs. 3 and 6: what the columns of trained networks are, and what their loss is."""
    part = Part()
    rows = []
    for name, regime in nets.regimes.items():
        part.keep(f"{name}-stored", regime.stored)
        for sigma in SIGMAS:
            dae = nets.get(name, sigma)
            part.keep(f"{name}-{sigma:g}", pick_columns(dae.W1, regime.stored))
            rows.append(describe_network(dae, regime, sigma=sigma) | _compare(nets, name, sigma))
    part.results = {"networks": rows}
    return part


def describe_network(dae: ReluDae, regime: Regime, *, sigma: float) -> dict[str, Any]:
    """Measure one trained network: its columns, its loss, and how balanced it is."""
    found = {
        "regime": regime.name, "sigma": sigma, "n": len(regime.X), "units": dae.W1.shape[1],
        "training_units": count_units(dae, regime.X[-2000:]),
        "held_out_units": count_units(dae, regime.held_out[:2000]),
        "stored_columns": None, "stored_images": None, "stored_units": None,
        "beta": None, "margin": None,
    }  # fmt: skip
    if len(regime.stored):
        cosine = normalize(regime.stored, dim=1) @ normalize(drop_short(dae.W1), dim=0)
        found["stored_columns"] = float((cosine.max(0).values > COPY_COSINE).float().mean())
        found["stored_images"] = int((cosine.max(1).values > COPY_COSINE).sum())
        found["stored_units"] = count_units(dae, regime.stored)
    if regime.name == "memorizing":
        measured = separability(regime.X)
        found |= {"beta": measured.beta, "margin": measured.margin}
    return found


def drop_short(W: Float[Tensor, "dim unit"]) -> Float[Tensor, "dim kept"]:
    """Drop columns that training left or made short: below a hundredth of the longest."""
    length = W.norm(dim=0)
    return W[:, length > 0.01 * length.max()]


def _compare(nets: Networks, name: str, sigma: float) -> dict[str, Any]:
    """Compare three trainings on few samples with Eq. 9; nothing for the other regimes."""
    if name != "memorizing":
        return {"ratios": None}
    X = nets.regimes[name].X
    daes = [nets.get(name, sigma, offset=offset) for offset in range(3)]
    return {"ratios": [compare_loss(dae, X, sigma=sigma) for dae in daes]}


def pick_columns(
    W: Float[Tensor, "dim unit"], stored: Float[Tensor, "stored dim"]
) -> Float[Tensor, "shown dim"]:
    """Return the columns nearest to the stored samples first, then the longest of the rest."""
    columns = W.T
    cosine = normalize(stored, dim=1) @ normalize(columns, dim=1).T
    first = list(dict.fromkeys(cosine.argmax(1).tolist()))
    rest = [i for i in columns.norm(dim=1).argsort(descending=True).tolist() if i not in first]
    return columns[(first + rest)[:SHOWN]]
