"""A small classifier that says which noun, in which vendor's style, a 64 px picture shows.

It is an instrument: trained on fresh emoji scenes of every caption, blurred and noisy as outputs
of small latent models are, and never on what it judges. Its accuracy on scenes it has not seen
stands in docs/emoji.md, also after such blur. Weights: `models/emoji/motif.safetensors`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.images import as_unit
from equipoise.sampling.noise import open_stream
from equipoise.zoo.distortion import spoil
from equipoise.zoo.emoji import SOURCES, VENDORS, list_nouns
from equipoise.zoo.rendering import render_scenes
from equipoise.zoo.scene import Scene, draw_scene, list_attributes

WEIGHTS = SOURCES / "motif.safetensors"
BATCH = 64
LEARNING_RATE = 4e-3
LABEL_SMOOTHING = 0.05


@dataclass(frozen=True)
class Motifs:
    """Per picture: the likeliest noun and vendor, positions in their lists, and all chances."""

    noun: Int[Tensor, " case"]
    vendor: Int[Tensor, " case"]
    noun_chances: Float[Tensor, "case noun"]
    vendor_chances: Float[Tensor, "case vendor"]

    @property
    def probability(self) -> Float[Tensor, " case"]:
        """Of the likeliest noun."""
        return self.noun_chances.amax(dim=1)


class MotifClassifier(nn.Module):
    """Four strided or plain convolutions, the maximum over places, two linear heads."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(3, 32, 5, 2), (32, 64, 3, 2), (64, 96, 3, 2), (96, 128, 3, 1)]
        self.body = nn.Sequential(*(_build_block(*numbers) for numbers in widths))
        self.noun = nn.Linear(128, len(list_nouns()))
        self.vendor = nn.Linear(128, len(VENDORS))

    def forward(
        self, pictures: Float[Tensor, "case 3 64 64"]
    ) -> tuple[Float[Tensor, "case noun"], Float[Tensor, "case vendor"]]:
        """Return the logits of noun and vendor for pictures in [0, 1]."""
        hidden = self.body(pictures - 0.5).amax(dim=(2, 3))
        return self.noun(hidden), self.vendor(hidden)


@torch.no_grad()
def classify_motifs(pictures: UInt8[Tensor, "case 3 64 64"]) -> Motifs:
    """Say what each picture shows."""
    network = _load_classifier()
    logits = [network(as_unit(chunk)) for chunk in pictures.split(256)]
    noun = torch.cat([one for one, _ in logits]).softmax(dim=1)
    vendor = torch.cat([other for _, other in logits]).softmax(dim=1)
    return Motifs(noun.argmax(dim=1), vendor.argmax(dim=1), noun, vendor)


def train_classifier(
    *, num_scenes: int, steps: int, seed: int
) -> Iterator[tuple[int, float, MotifClassifier]]:
    """Train on fresh scenes, one step a turn: the step, its loss and the network so far.

    Args:
        num_scenes: Scenes rendered once, before the first step.
        steps: Batches of `BATCH`.
        seed: Seed of scenes, batches, blur and starting weights.
    """
    scenes = draw_any_scenes(num_scenes, seed=seed, name="motif")
    pictures = render_scenes(scenes)
    nouns, vendors = number_motifs(scenes)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MotifClassifier().to(memory_format=torch.channels_last)  # pyright: ignore
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for step in range(1, steps + 1):
        chosen = torch.randint(num_scenes, (BATCH,), generator=generator)
        noun, vendor = network(spoil(as_unit(pictures[chosen]), generator))
        loss = F.cross_entropy(noun, nouns[chosen], label_smoothing=LABEL_SMOOTHING)
        loss = loss + F.cross_entropy(vendor, vendors[chosen], label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield step, loss.item(), network


def draw_any_scenes(count: int, *, seed: int, name: str) -> list[Scene]:
    """Draw scenes of captions drawn from all there are, seen or unseen."""
    every = list_attributes()
    chosen = open_stream(f"{seed}|{name}").integers(len(every), size=count)
    return [draw_scene(every[k], seed=seed, name=f"{name} {n}") for n, k in enumerate(chosen)]


def number_motifs(scenes: list[Scene]) -> tuple[Int[Tensor, " case"], Int[Tensor, " case"]]:
    """Return the position of each scene's noun and vendor in their lists."""
    words = [scene.attributes for scene in scenes]
    nouns = torch.tensor([list_nouns().index(one.noun) for one in words])
    return nouns, torch.tensor([VENDORS.index(one.vendor) for one in words])


def _build_block(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


@cache
def _load_classifier() -> MotifClassifier:
    network = MotifClassifier()
    network.load_state_dict(load_file(WEIGHTS))  # half precision on disk, single in memory
    return network.eval().requires_grad_(False)
