"""Train a zoo model by its recipe, as a generator that yields its state and can be resumed."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from equipoise.denoisers import Denoiser
from equipoise.denoisers.edm import per_sample
from equipoise.zoo.network import ZooDenoiser
from equipoise.zoo.planting import TrainingSet
from equipoise.zoo.recipe import DitRecipe, Recipe


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


def train(
    state: TrainingState, training_set: TrainingSet, recipe: Recipe
) -> Iterator[TrainingState]:
    """Train in place from a state on, and yield it after every step; the caller owns the loop."""
    generator, optimizer = state.generator, state.optimizer
    denoiser = replace(state.average, network=state.network)
    for step in range(state.step, recipe.steps):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, recipe)
        picks = torch.randint(len(training_set.rows), (recipe.batch,), generator=generator)
        pictures = training_set.rows[picks]
        loss = denoising_loss(
            denoiser,
            denoiser.encode(training_set.images[pictures].float() / 255),
            generator,
            cond=_draw_condition(training_set, pictures, recipe, generator),
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


def learning_rate_at(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    return recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


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
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in moments.items()}
    tensors["generator"] = state.generator.get_state()
    tensors["step"] = torch.tensor(state.step)
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def restore_state(state: TrainingState, tensors: dict[str, Tensor]) -> TrainingState:
    """Go back to a state that was laid out, in a training just started by the same recipe."""
    state.average.network.load_state_dict(_strip(tensors, "average."))
    state.network.load_state_dict(_strip(tensors, "network."))
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in _strip(tensors, "optimizer.").items():
        index, key = name.split(".")
        moments.setdefault(int(index), {})[key] = tensor
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.generator.set_state(tensors["generator"])
    return replace(state, step=int(tensors["step"]))


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _draw_condition(
    training_set: TrainingSet,
    pictures: Int[Tensor, " batch"],
    recipe: Recipe,
    generator: torch.Generator,
) -> Int[Tensor, " batch"] | None:
    """Return the classes of pictures, some of them replaced by the null class."""
    if not isinstance(recipe, DitRecipe):
        return None
    classes = training_set.classes[training_set.group[pictures]]
    dropped = torch.rand(len(pictures), generator=generator) < recipe.label_dropout
    return classes.where(~dropped, recipe.num_classes)
