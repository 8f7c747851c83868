"""A strip: outputs of a model at several strengths, as one labelled picture, a row a seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from equipoise.denoisers import Denoiser, device_of, encode_prompts
from equipoise.errors import BadInputError
from equipoise.images import quantize
from equipoise.sampling import SamplerSpec, draw_noise_batch
from equipoise.steering.application import steer
from equipoise.steering.arithmetic import Mode
from equipoise.steering.session import Window
from equipoise.steering.vector import ConceptVector

SIDE, GAP, HEAD = 64, 4, 16  # px


def draw_strip(
    denoiser: Denoiser,
    vector: ConceptVector,
    *,
    sampler: SamplerSpec,
    strengths: Sequence[float],
    num_seeds: int,
    seed: int,
    window: Window | None = None,
    mode: Mode = "add",
    cond: Tensor | None = None,
) -> UInt8[Tensor, "seed strength channel height width"]:
    """Draw every seed at every strength, from the same noise; one call a seed.

    Args:
        denoiser: The model, guided or not.
        vector: What to steer with.
        sampler: How outputs are drawn.
        strengths: In units of the vector, a column each.
        num_seeds: Rows.
        seed: Seed of the noise.
        window: Where to act, see `steer`.
        mode: What to do, see `steer`.
        cond: Condition of one sample, with a batch axis of 1; None is the empty one.
    """
    sigmas, count = sampler.list_sigmas(denoiser), len(strengths)
    rows = []
    for index in range(num_seeds):
        noise = draw_noise_batch(
            denoiser.sample_shape, seed=seed, item_ids=[f"strip/{index:06d}"], draws=[0]
        ).to(device_of(denoiser))
        many = None if cond is None else cond.expand(count, *cond.shape[1:])
        with steer(denoiser, vector, strength=list(strengths), window=window, mode=mode):
            *_, last = sampler.solver(denoiser, noise.repeat(count, 1, 1, 1), sigmas, cond=many)
        rows.append(quantize(denoiser.decode(last.x)))
    return torch.stack(rows)


def choose_condition(
    denoiser: Denoiser, *, label: int | None = None, prompt: str | None = None
) -> Tensor | None:
    """Return the condition that is asked for, with a batch axis of 1; None: nothing is.

    Raises:
        BadInputError: when a class is asked of a model without classes, or both are asked for.
    """
    if label is not None and prompt is not None:
        raise BadInputError("A label and a prompt were given: give one of them.")
    if prompt is not None:
        return encode_prompts(denoiser, [prompt])
    if label is None:
        return None
    empty = denoiser.null_condition(1)
    if empty is None or empty.ndim > 2:
        raise BadInputError("This model knows no classes by number: leave the label out.")
    return torch.full((1,), label, device=device_of(denoiser))


def write_strip(
    path: Path,
    drawn: UInt8[Tensor, "seed strength channel height width"],
    labels: Sequence[str],
) -> None:
    """Write the strip with a label above every column."""
    seeds, count = drawn.shape[:2]
    sheet = Image.new("RGB", (count * (SIDE + GAP), HEAD + seeds * (SIDE + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, label in enumerate(labels):
        left = column * (SIDE + GAP)
        pen.text((left + 2, 2), label, fill="black")
        for row in range(seeds):
            sheet.paste(_enlarge(drawn[row, column]), (left, HEAD + row * (SIDE + GAP)))
    sheet.save(path)


def _enlarge(picture: UInt8[Tensor, "channel height width"]) -> Image.Image:
    pixels = np.moveaxis(picture.numpy(), 0, -1)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3])
    small = max(image.size) < SIDE
    method = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return image.convert("RGB").resize((SIDE, SIDE), method)
