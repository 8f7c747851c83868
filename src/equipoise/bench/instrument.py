"""The instrument of the dose-response: a classifier of real pictures, not the steered network.

A small convolutional network, trained on the first 4,000 training pictures of the Fashion models,
each time mirrored by chance and with noise of a random size added, because steered pictures are
noisier than real ones; its accuracy is that on the other 1,000, which also hold the references.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from equipoise.bench.interval import Estimate, exact_rate
from equipoise.errors import BadInputError
from equipoise.images import as_unit
from equipoise.zoo.fashion import CLASSES
from equipoise.zoo.package import ZooModel
from equipoise.zoo.scene_set import SceneSet

NUM_FITTED = 4000
EPOCHS, BATCH, RATE = 8, 50, 2e-3
NOISE = 0.2
"""Largest standard deviation of the noise added in training, values in [0, 1]."""
NUM_NOISE, SIDE = 100, 16
NAME = "small convolutional network, trained on 4,000 real pictures with noise added"


@dataclass(frozen=True)
class Instrument:
    """A trained classifier and how often it is right on pictures it was not trained on."""

    network: nn.Module
    accuracy: Estimate

    def judge_noise(self) -> dict[str, float]:
        """Return the mean probability of every class on pictures of uniform noise.

        A classifier knows no "none of these": what it takes noise for counts less as a target.
        """
        noise = np.random.default_rng(0).integers(0, 256, (NUM_NOISE, 1, SIDE, SIDE))
        chances = self.score(torch.from_numpy(noise.astype(np.uint8)))
        return dict(zip(CLASSES, chances.mean(axis=0).tolist(), strict=True))

    def score(
        self, pictures: UInt8[Tensor, "case channel height width"]
    ) -> Float[np.ndarray, "case label"]:
        """Return the probability of every class."""
        return _classify(self.network, pictures)


def get_classes(model: ZooModel) -> Int[Tensor, " original"]:
    """Return the class of every training picture of a Fashion model.

    Raises:
        BadInputError: for a model of other pictures.
    """
    if isinstance(model.training_set, SceneSet):
        raise BadInputError(
            f"zoo:{model.recipe.name} shows no classes that the instrument knows. Give a Fashion "
            "model, see `equipoise zoo list`."
        )
    return model.training_set.classes


def build_instrument(model: ZooModel) -> Instrument:
    """Train the instrument on the pictures of a Fashion model; the same for all of them."""
    pictures, classes = model.training_set.images[: model.recipe.num_images], get_classes(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _train(as_unit(pictures[:NUM_FITTED]), classes[:NUM_FITTED])
    found = _classify(network, pictures[NUM_FITTED:]).argmax(axis=1)
    right = found == classes[NUM_FITTED : len(pictures)].numpy()
    return Instrument(network, exact_rate(int(right.sum()), len(right)))


def _classify(
    network: nn.Module, pictures: UInt8[Tensor, "case channel height width"]
) -> Float[np.ndarray, "case label"]:
    with torch.no_grad():
        logits = torch.cat([network(as_unit(part)) for part in pictures.split(256)])
    return logits.double().softmax(dim=1).numpy()


def _train(images: Float32[Tensor, "case channel height width"], classes: Tensor) -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 16, 96), nn.ReLU(), nn.Linear(96, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    steps = EPOCHS * len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    network.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            loss = functional.cross_entropy(network(_vary(images[rows])), classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval().requires_grad_(False)


def _vary(images: Float32[Tensor, "case channel height width"]) -> Float32[Tensor, "..."]:
    """Mirror by chance, and add noise of a random size."""
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    size = NOISE * torch.rand(len(images), 1, 1, 1)
    return torch.where(mirrored, images.flip(-1), images) + size * torch.randn_like(images)
