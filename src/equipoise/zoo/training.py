"""Train a zoo model by its recipe, as a generator that yields its state and can be resumed."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from equipoise.denoisers import Denoiser
from equipoise.denoisers.edm import per_sample
from equipoise.zoo.network import ZooDenoiser
from equipoise.zoo.recipe import DecoderRecipe, Recipe


@dataclass(frozen=True)
class Lesson:
    """What a training shows: pictures as samples, what each answers to, and how often."""

    samples: Float[Tensor, "picture channel height width"]
    """Every distinct picture as the model's `x0`."""
    conditions: Shaped[Tensor, "picture ..."] | None
    """The condition of each; None for a model that takes none."""
    rows: Int[Tensor, " row"]
    """The picture that every row of the multiset shows."""


@dataclass(frozen=True)
class TrainingState:
    """What one step leaves behind: everything that the next step depends on, and its loss."""

    step: int
    loss: float
    average: ZooDenoiser
    network: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator


def start_training(denoiser: ZooDenoiser, recipe: Recipe) -> TrainingState:
    """Return the state before the first step; the denoiser's network is what will be trained."""
    network = denoiser.network
    return TrainingState(
        step=0,
        loss=math.nan,
        average=replace(denoiser, network=copy.deepcopy(network).requires_grad_(False).eval()),
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=recipe.learning_rate),
        generator=torch.Generator().manual_seed(recipe.seed),
    )


def train(state: TrainingState, lesson: Lesson, recipe: Recipe) -> Iterator[TrainingState]:
    """Train in place from a state on, and yield it after every step; the caller owns the loop."""
    generator, optimizer = state.generator, state.optimizer
    denoiser = replace(state.average, network=state.network)
    for step in range(state.step, recipe.steps):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, recipe, cycles=recipe.cycles)
        picks = torch.randint(len(lesson.rows), (recipe.batch,), generator=generator)
        pictures = lesson.rows[picks]
        loss = denoising_loss(
            denoiser,
            lesson.samples[pictures],
            generator,
            cond=_draw_condition(denoiser, lesson, pictures, recipe, generator),
            log_sigma_mean=recipe.log_sigma_mean,
            log_sigma_std=recipe.log_sigma_std,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # A young average forgets its random start faster.
        decay = min(recipe.ema_decay, (1 + step) / (10 + step))
        update_average(state.average.network, state.network, decay)
        yield replace(state, step=step + 1, loss=loss.item())


def denoising_loss(
    denoiser: Denoiser,
    x0: Float[Tensor, "batch channel height width"],
    generator: torch.Generator,
    *,
    cond: Tensor | None,
    log_sigma_mean: float,
    log_sigma_std: float,
) -> Float[Tensor, ""]:
    """Weighted denoising error with log-normal sigma (Karras et al. 2022, Eq. 5 and Table 1).

    A model with discrete times is trained at those nearest to the drawn levels.
    """
    drawn = torch.exp(log_sigma_mean + log_sigma_std * torch.randn(len(x0), generator=generator))
    sigma = torch.tensor([denoiser.snap(level) for level in drawn.tolist()])
    eps = torch.randn(x0.shape, generator=generator)
    x = x0 + per_sample(sigma, x0) * eps
    weight = (sigma**2 + denoiser.data_std**2) / (sigma * denoiser.data_std) ** 2
    error = (denoiser.denoise(x, sigma, cond) - x0).square().mean(dim=(1, 2, 3))
    return (weight * error).mean()


def learning_rate_at(step: int, recipe: Recipe | DecoderRecipe, *, cycles: int = 1) -> float:
    """Linear warm-up, then a cosine to zero; the same again in every further cycle.

    References:
        SGDR: Stochastic Gradient Descent with Warm Restarts (Loshchilov and Hutter, 2017), Eq. 5
        | arXiv 1608.03983
    """
    period = recipe.steps // cycles
    place = step % period
    warm = min(1.0, (place + 1) / recipe.warmup)
    return recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * place / period))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's by `1 - decay`."""
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    for averaged, current in pairs:
        averaged.lerp_(current, 1 - decay)


def dump_state(state: TrainingState) -> dict[str, Tensor]:
    """Lay a state out as named tensors."""
    tensors = {f"average.{k}": v for k, v in state.average.network.state_dict().items()}
    tensors |= {f"network.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= dump_optimizer(state.optimizer)
    tensors["generator"] = state.generator.get_state()
    tensors["step"] = torch.tensor(state.step)
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def restore_state(state: TrainingState, tensors: dict[str, Tensor]) -> TrainingState:
    """Go back to a state that was laid out, in a training just started by the same recipe."""
    state.average.network.load_state_dict(strip(tensors, "average."))
    state.network.load_state_dict(strip(tensors, "network."))
    restore_optimizer(state.optimizer, tensors)
    state.generator.set_state(tensors["generator"])
    return replace(state, step=int(tensors["step"]))


def dump_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Lay the moments of an optimizer out as named tensors."""
    kept = optimizer.state_dict()["state"].items()
    return {
        f"optimizer.{index}.{key}": tensor
        for index, moments in kept
        for key, tensor in moments.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer back the moments that were laid out."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in strip(tensors, "optimizer.").items():
        index, key = name.split(".")
        weight = weights[int(index)]
        # A fused optimizer walks through memory: moments must lie as their weight does.
        laid = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
        moments.setdefault(int(index), {})[key] = laid
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose name begins with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _draw_condition(
    denoiser: Denoiser,
    lesson: Lesson,
    pictures: Int[Tensor, " batch"],
    recipe: Recipe,
    generator: torch.Generator,
) -> Shaped[Tensor, "batch ..."] | None:
    """Return the conditions of pictures, some of them replaced by the empty one."""
    empty = denoiser.null_condition(len(pictures))
    if lesson.conditions is None or empty is None:
        return None
    dropped = torch.rand(len(pictures), generator=generator) < recipe.condition_dropout
    asked = lesson.conditions[pictures]
    return torch.where(dropped.reshape(-1, *[1] * (asked.ndim - 1)), empty, asked)
