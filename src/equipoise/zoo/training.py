"""Train an EDM model by its recipe, as a generator that yields its state."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equipoise.denoisers.edm import EdmDenoiser, training_loss
from equipoise.denoisers.unet import UNet
from equipoise.zoo.planting import TrainingSet
from equipoise.zoo.recipe import EdmFashionRecipe


@dataclass(frozen=True)
class TrainingState:
    """What one step leaves behind: the step's number, its loss, the averaged denoiser."""

    step: int
    loss: float
    average: EdmDenoiser
    optimizer_state: dict[str, object]
    network_state: dict[str, Tensor]


def build_denoiser(recipe: EdmFashionRecipe, data_std: float) -> EdmDenoiser:
    """Build the untrained denoiser of a recipe, seeded by it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = UNet(1, patch=recipe.patch, channels=recipe.channels, depth=recipe.depth)
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return EdmDenoiser(
        network,
        sample_shape=(1, recipe.image_size, recipe.image_size),
        data_std=data_std,
        default_sites=("up_blocks.0.resnets.*.conv2:in", "up_blocks.1.resnets.0.conv2:in"),
    )


def learning_rate_at(step: int, recipe: EdmFashionRecipe) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    return recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's by `1 - decay`."""
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    for averaged, current in pairs:
        averaged.lerp_(current, 1 - decay)


def train(
    denoiser: EdmDenoiser, training_set: TrainingSet, recipe: EdmFashionRecipe
) -> Iterator[TrainingState]:
    """Train in place and yield the state after every step; the caller owns the loop."""
    generator = torch.Generator().manual_seed(recipe.seed)
    average = copy.deepcopy(denoiser)
    network = denoiser.network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    for step in range(recipe.steps):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, recipe)
        picks = torch.randint(len(training_set.rows), (recipe.batch,), generator=generator)
        pictures = training_set.images[training_set.rows[picks]]
        loss = training_loss(
            denoiser,
            denoiser.encode(pictures.float() / 255),
            generator,
            log_sigma_mean=recipe.log_sigma_mean,
            log_sigma_std=recipe.log_sigma_std,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # A young average forgets its random start faster.
        update_average(average.network, network, min(recipe.ema_decay, (1 + step) / (10 + step)))
        yield TrainingState(
            step + 1, loss.item(), average, optimizer.state_dict(), network.state_dict()
        )
