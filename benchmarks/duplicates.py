"""Plant variants among real images and measure which of them `find_duplicates` finds.

    .venv/bin/python benchmarks/duplicates.py > docs/duplicates.md

The originals are images of Fashion-MNIST's test split, on which nothing was chosen; the rule was
chosen on the 5,000 training images of `zoo:edm-fashion`, whose row says how it does there.
"""

import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from machine import describe_machine
from PIL import Image, ImageFilter
from torch import Tensor

from equipoise.bench.interval import exact_rate
from equipoise.labels import Duplicates, find_duplicates
from equipoise.zoo.fashion import read_images, shrink
from equipoise.zoo.package import load_zoo
from equipoise.zoo.planting import build_variants

SIDE = 16  # px
ORIGINALS = 5000
PER_KIND = 100
TIMED = 10_000
SEED = 20
Change = Callable[[Tensor, np.random.Generator], Tensor]


def scale(factor: float) -> Change:
    """Multiply the pixels; what would be above 255 becomes 255."""
    return lambda image, _: (image.float() * factor).round().clamp(0, 255).to(torch.uint8)


def add_noise(spread: float) -> Change:
    """Add Gaussian noise to every pixel."""

    def change(image: Tensor, rng: np.random.Generator) -> Tensor:
        noise = torch.from_numpy(rng.normal(0, spread, image.shape))
        return (image + noise).round().clamp(0, 255).to(torch.uint8)

    return change


def crop(low: float, high: float) -> Change:
    """Cut a random square window, a share of the side smaller, and enlarge it."""

    def change(image: Tensor, rng: np.random.Generator) -> Tensor:
        side = SIDE * (1 - rng.uniform(low, high))
        left, top = rng.uniform(0, SIDE - side, 2)
        box = (left, top, left + side, top + side)
        picture = as_picture(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
        return as_tensor(picture)

    return change


def shift(by: int) -> Change:
    """Move the image along one random axis; black comes in."""

    def change(image: Tensor, rng: np.random.Generator) -> Tensor:
        across, down = [(by, 0), (-by, 0), (0, by), (0, -by)][rng.integers(4)]
        moved = as_picture(image).transform(
            (SIDE, SIDE), Image.Transform.AFFINE, (1, 0, across, 0, 1, down)
        )
        return as_tensor(moved)

    return change


def cover(side: int) -> Change:
    """Lay a white square over a random place."""

    def change(image: Tensor, rng: np.random.Generator) -> Tensor:
        top, left = rng.integers(0, SIDE - side, 2)
        covered = image.clone()
        covered[:, top : top + side, left : left + side] = 255
        return covered

    return change


def save_jpeg(quality: int) -> Change:
    """Save as a JPEG and read again."""

    def change(image: Tensor, _: np.random.Generator) -> Tensor:
        buffer = io.BytesIO()
        as_picture(image).save(buffer, "JPEG", quality=quality)
        return as_tensor(Image.open(buffer))

    return change


def rotate(degrees: float) -> Change:
    """Turn about the centre."""
    return lambda image, _: as_tensor(as_picture(image).rotate(degrees, Image.Resampling.BICUBIC))


def as_picture(image: Tensor) -> Image.Image:
    """Return the one channel as a picture."""
    return Image.fromarray(image[0].numpy())


def as_tensor(picture: Image.Image) -> Tensor:
    """Return a grey picture with a channel axis."""
    return torch.from_numpy(np.asarray(picture).copy())[None]


CHANGES: dict[str, Change] = {
    "the same pixels": lambda image, _: image.clone(),
    "mirror image": lambda image, _: image.flip(-1),
    "2 of 16 px cut off right and bottom": lambda image, _: build_variants(image, "near")[0],
    "brightness x 0.75": lambda image, _: build_variants(image, "near")[1],
    "the crop, mirrored and x 0.75": lambda image, _: build_variants(
        build_variants(image, "near")[0].flip(-1), "near"
    )[1],
    "brightness x 0.5": scale(0.5),
    "brightness x 1.3, clipped": scale(1.3),
    "gamma 0.7": lambda image, _: (255 * (image / 255) ** 0.7).round().to(torch.uint8),
    "JPEG of quality 90": save_jpeg(90),
    "JPEG of quality 50": save_jpeg(50),
    "noise of 5 grey values": add_noise(5),
    "noise of 15 grey values": add_noise(15),
    "shift by 1 of 16 px": shift(1),
    "shift by 2 of 16 px": shift(2),
    "square crop, up to 1/8 of the side": crop(0, 1 / 8),
    "square crop, 1/8 to 1/4 of the side": crop(1 / 8, 1 / 4),
    "rotation by 3 degrees": rotate(3),
    "white square of 3 x 3 px": cover(3),
    "blur of radius 1 px": lambda image, _: as_tensor(
        as_picture(image).filter(ImageFilter.GaussianBlur(1))
    ),
    "negative": lambda image, _: 255 - image,
}


@dataclass(frozen=True)
class Planted:
    """Originals, then variants, `PER_KIND` of each change in the order of `CHANGES`."""

    pictures: Tensor
    own: list[int]

    def count_found(self, found: Duplicates, kind: int) -> int:
        """Count the variants of one change that are in the group of their original."""
        variants = range(kind * PER_KIND, (kind + 1) * PER_KIND)
        group = found.group.tolist()
        return sum(group[ORIGINALS + v] == group[self.own[v]] for v in variants)


def plant(originals: Tensor) -> Planted:
    """Give every drawn original one variant, so that no two changes help each other."""
    rng = np.random.default_rng(SEED)
    drawn = rng.permutation(ORIGINALS)[: PER_KIND * len(CHANGES)].tolist()
    changes = [change for change in CHANGES.values() for _ in range(PER_KIND)]
    variants = [change(originals[i], rng) for change, i in zip(changes, drawn, strict=True)]
    return Planted(torch.cat([originals, torch.stack(variants)]), drawn)


def show(hits: int, n: int) -> str:
    """Write a share with its exact interval."""
    rate = exact_rate(hits, n)
    return f"{hits} of {n}: {rate['value']:.2f} ({rate['low']:.2f} to {rate['high']:.2f})"


def describe_originals(name: str, originals: Tensor) -> list[str]:
    """Say which groups stand among images that nothing was planted in."""
    found = find_duplicates(originals)
    grouped = (found.sizes() > 1).nonzero().flatten().tolist()
    pairs = [
        f"{i} and {int(found.nearest[i])} ({found.kinds[i]}, {float(found.ratio[i]):.2f})"
        for i in grouped
        if int(found.nearest[i]) > i
    ]
    groups = len(found.group[grouped].unique())
    return [f"- {name}: {groups} groups, {len(grouped)} images: {'; '.join(pairs)}."]


def build_table(planted: Planted) -> list[str]:
    """Write one row a change, for the whole mixture searched at once."""
    found = find_duplicates(planted.pictures)
    return [
        "| variant | in the group of its original |",
        "|---|---|",
        *(
            f"| {name} | {show(planted.count_found(found, kind), PER_KIND)} |"
            for kind, name in enumerate(CHANGES)
        ),
    ]


def describe_many(originals: Tensor) -> str:
    """Say what happens to an image with far more variants than the rule takes the mean over."""
    rng = np.random.default_rng(SEED)
    many = [
        torch.stack([change(originals[0], rng) for _ in range(300)])
        for change in (add_noise(2), add_noise(15))
    ]
    words = []
    for variants, spread in zip(many, (2, 15), strict=True):
        found = find_duplicates(torch.cat([originals, variants]))
        inside = int((found.group[ORIGINALS:] == found.group[0]).sum())
        words.append(f"{inside} of 300 with noise of {spread} grey values")
    return " and ".join(words)


def main() -> None:
    """Measure and print the page."""
    torch.set_num_threads(1)
    test = shrink(read_images("test"), SIDE)
    chosen_on = load_zoo("edm-fashion").training_set.images[:ORIGINALS]
    originals = test[:ORIGINALS]
    started = time.process_time()
    find_duplicates(test[:TIMED])
    seconds = time.process_time() - started
    lines = [
        "# Duplicates: what is found",
        "",
        "`python benchmarks/duplicates.py`: real images of Fashion-MNIST at 16 px, "
        f"{ORIGINALS:,} of the test split, and one variant each of {PER_KIND * len(CHANGES):,} "
        "of them. The rule was chosen on other images. Intervals are exact, 95 %.",
        "",
        *build_table(plant(originals)),
        "",
        "Groups where nothing was planted; the pairs look alike to the rule, with their ratio. "
        "Fashion-MNIST has true near duplicates; nobody counted them, so these are an upper "
        "limit of what is wrong:",
        "",
        *describe_originals("the test images", originals),
        *describe_originals("the images the rule was chosen on", chosen_on),
        "",
        "One image with 300 variants, more than the 50 neighbours of the mean: "
        f"{describe_many(originals)} are in its group.",
        "",
        f"{TIMED:,} pictures take {seconds:.0f} s of one core. Time grows with the square of the "
        "number, memory in proportion to it.",
        "",
        f"{describe_machine()}.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
