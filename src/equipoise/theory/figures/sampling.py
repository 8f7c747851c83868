"""Fig. 2: DDIM through a memorizing and through a generalizing stack."""

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.theory.closed_forms import memorizing_weights
from equipoise.theory.figures.network import DECAY, Networks, train_many
from equipoise.theory.figures.part import SHOWN, Part
from equipoise.theory.relu_dae import ReluDae, build_relu_dae
from equipoise.theory.stack import DaeStack, measure_nearest, sample_ddim, space_sigmas

STEPS = 400
"""Of each level of the generalizing stack, which starts from the level before."""


def build_sampling(nets: Networks, seed: int) -> Part:
    """Fig. 2: samples of a memorizing and of a generalizing stack beside their nearest image."""
    part = Part()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((200, nets.regimes["hybrid"].X.shape[1]), generator=generator)
    for name, stack in (("memorizing", _store(nets)), ("generalizing", _descend(nets, seed))):
        regime = nets.regimes[name]
        *_, samples = sample_ddim(stack, noise, stack.sigmas)
        nearest = measure_nearest(samples, regime.X)
        fresh = measure_nearest(regime.held_out[:200], regime.X)
        part.keep(f"{name}-samples", samples[:SHOWN])
        part.keep(f"{name}-nearest", regime.X[nearest.index[:SHOWN]])
        part.results[name] = {
            "samples": len(samples), "levels": len(stack.sigmas),
            "sine": _quantiles(nearest.sine), "distance": _quantiles(nearest.distance),
            "held_out_sine": _quantiles(fresh.sine),
            "on_a_ray": float((nearest.sine < 0.1).float().mean()),
        }  # fmt: skip
    return part


def _store(nets: Networks) -> DaeStack:
    """Memorizing weights at 200 levels, in closed form."""
    X, sigmas = nets.regimes["memorizing"].X, space_sigmas(20.0, 1e-4, count=200)
    daes = [
        build_relu_dae(memorizing_weights(X, sigma=sigma, weight_decay=0.0, num_units=len(X)).W)
        for sigma in sigmas
    ]
    return DaeStack(sigmas, tuple(daes), float(X.std()))


def _descend(nets: Networks, seed: int) -> DaeStack:
    """Trained generalizing networks at 12 levels, each started from the one before."""
    X, sigmas = nets.regimes["generalizing"].X, space_sigmas(20.0, 0.1, count=12)
    daes: list[ReluDae] = []
    for sigma in sigmas:
        daes.append(
            train_many(
                X, sigma=sigma, weight_decay=DECAY["generalizing"], seed=seed,
                start=daes[-1] if daes else None, steps=STEPS,
            )
        )  # fmt: skip
    return DaeStack(sigmas, tuple(daes), float(X.std()))


def _quantiles(values: Float[Tensor, " case"]) -> dict[str, float]:
    low, middle, high = values.double().quantile(torch.tensor([0.05, 0.5, 0.95]).double()).tolist()
    return {"low": low, "median": middle, "high": high}
