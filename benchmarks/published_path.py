"""Time the published way of scoring a picture with Stable Diffusion 1.4 against ours.

    python -m benchmarks.published_path --json
    python -m benchmarks.published_path > docs/published-path.md

Both have the shapes of Stable Diffusion 1.4 and random weights, run in one process with the same
threads and the same memory allocator, and score the same pictures with the same noise.

- *Published*: one picture at a time, float32, the prompt encoded anew, the picture encoded anew
  for every draw, the whole U-Net, a hook on the second convolution of `up_blocks.1.resnets.0`.
- *Ours*: `Spikiness.score`, which encodes the empty prompt once and a picture once for all its
  draws, and stops at the site. *Exact* is that in float32; the ratios at one and four draws are
  in the precision and memory format that a short measurement at the start finds fastest here.

Agreement is measured at 256 px on random pictures of different contrast, whose scores spread
widely, because latents are scaled to unit variance as Stable Diffusion's are; what random weights
say of memorization is nothing.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from benchmarks.machine import describe_machine
from scipy import stats
from torch import Tensor

from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.level import NoiseGrid
from equipoise.denoisers.stable_diffusion import DEFAULT_SITES, _call
from equipoise.denoisers.timed import TimedDenoiser
from equipoise.detection import Spikiness
from equipoise.runs import build_provenance
from equipoise.sampling.noise import draw_noise

SITE = "up_blocks.1.resnets.0.conv2:in"
SIGMA = 0.226
CHANNELS = (320, 640, 1280, 1280)
SPREAD = 10
"""The scores must spread this many times wider than the tolerance of `relative_error`."""
TOLERANCE = 0.005
SCALED_ON = 12
"""Pictures whose latents are given unit variance."""


@dataclass(frozen=True)
class Parts:
    """The networks of Stable Diffusion, and the schedule's noise levels."""

    unet: Any
    vae: Any
    text: Any
    tokens: Tensor
    grid: NoiseGrid

    def build_denoiser(self, px: int) -> TimedDenoiser:
        """Make what equipoise makes of a pipeline of these parts."""
        with torch.no_grad():
            empty = self.text(self.tokens)[0]
        return TimedDenoiser(
            network=self.unet, call=_call, prediction="eps", grid=self.grid,
            codec=VaeCodec(self.vae), empty=empty, sample_shape=(4, px // 8, px // 8),
            image_shape=(3, px, px), data_std=1.0, default_sites=DEFAULT_SITES,
        )  # fmt: skip


def build_parts(*, divide: int = 1) -> Parts:
    """Build random networks of Stable Diffusion 1.4's shapes; `divide` makes them narrow."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    width = 768 // divide
    unet = UNet2DConditionModel(
        sample_size=64, cross_attention_dim=width,
        block_out_channels=[c // divide for c in CHANNELS], norm_num_groups=32 // divide,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=[c // divide for c in (128, 256, 512, 512)], layers_per_block=2,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        norm_num_groups=32 // divide, sample_size=512,
    )  # fmt: skip
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=12, num_attention_heads=12,
    )  # fmt: skip
    schedule = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    for network in (unet, vae, text := CLIPTextModel(config)):
        network.eval().requires_grad_(False)
    with torch.no_grad():
        latents = vae.encode(2 * draw_pictures(SCALED_ON, 64) - 1).latent_dist.mean
    vae.register_to_config(scaling_factor=1 / float(latents.std()))
    tokens = torch.zeros((1, 77), dtype=torch.long)
    return Parts(unet, vae, text, tokens, NoiseGrid.from_alphas(schedule.alphas_cumprod))


@torch.no_grad()
def score_as_published(parts: Parts, picture: Tensor, item: str, *, draws: int) -> float:
    """Score one picture, values in [0, 1], the published way; the mean over its draws."""
    kept: list[Tensor] = []
    module = parts.unet.up_blocks[1].resnets[0].conv2
    handle = module.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    sigma = torch.tensor([parts.grid.snap(SIGMA)])
    time_ = parts.grid.find_time(sigma)
    scores = []
    for draw in range(draws):
        prompt = parts.text(parts.tokens)[0]
        latents = parts.vae.encode(2 * picture[None] - 1).latent_dist.mean
        latents = latents * parts.vae.config.scaling_factor
        noise = draw_noise(tuple(latents.shape[1:]), seed=0, item_id=item, draw=draw)
        z = (latents + sigma * noise) / (1 + sigma**2).sqrt()
        parts.unet(z, time_, encoder_hidden_states=prompt)
        scores.append(float(kept.pop()[0].amax((1, 2)).double().std(correction=0)))
    handle.remove()
    return statistics.fmean(scores)


def draw_pictures(count: int, px: int) -> Tensor:
    """Draw coarse random pictures whose contrast and grain differ widely."""
    rng = np.random.default_rng(0)
    pictures = []
    for index in range(count):
        grain = 2 ** (1 + index % 6)
        coarse = torch.from_numpy(rng.random((1, 3, grain, grain), dtype=np.float32))
        image = torch.nn.functional.interpolate(coarse, size=(px, px), mode="bilinear")
        pictures.append(0.5 + (image - 0.5) * (0.1 + 0.9 * rng.random()))
    return torch.cat(pictures)


def clock(work: Callable[[], object]) -> float:
    """Say how many seconds something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def score(parts: Parts, pictures: Tensor, detector: Spikiness, ids: list[str]) -> np.ndarray:
    """Score pictures our way, one at a time as memory goes, encoded once."""
    denoiser = parts.build_denoiser(pictures.shape[-1])
    return detector.score(denoiser, pictures, ids, batch=1).values.numpy()


def choose_fastest(parts: Parts, picture: Tensor) -> tuple[str, str]:
    """Measure one picture in each precision and memory format; return the fastest."""
    found = {}
    for layout in ("contiguous", "channels_last"):
        set_layout(parts, layout)
        for precision in ("float32", "bfloat16"):
            detector = build_detector(parts, draws=1, precision=precision)
            found[precision, layout] = clock(lambda d=detector: score(parts, picture, d, ["a"]))
    return min(found, key=found.__getitem__)


def set_layout(parts: Parts, layout: str) -> None:
    """Lay the weights out in a memory format."""
    chosen = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    parts.unet.to(memory_format=chosen)
    parts.vae.to(memory_format=chosen)


def build_detector(parts: Parts, *, draws: int, precision: str = "float32") -> Spikiness:
    """Build the paper's statistic at its last site."""
    return Spikiness(sites=(SITE,), sigma=parts.grid.snap(SIGMA), draws=draws, precision=precision)


def compare(parts: Parts, *, px: int, timed: int, agreed_px: int, agreed: int) -> dict[str, Any]:
    """Time and compare both ways; `timed` pictures of `px`, `agreed` pictures of `agreed_px`."""
    pictures = draw_pictures(timed, px)
    ids = [f"timed-{i}" for i in range(timed)]

    def published(draws: int) -> float:
        return clock(
            lambda: [score_as_published(parts, p, i, draws=draws)
                     for p, i in zip(pictures, ids, strict=True)]
        )  # fmt: skip

    def ours(draws: int, precision: str = "float32") -> float:
        detector = build_detector(parts, draws=draws, precision=precision)
        return clock(lambda: score(parts, pictures, detector, ids))

    small = draw_pictures(agreed, agreed_px)
    names = [f"agreed-{i}" for i in range(agreed)]
    truth = np.array([score_as_published(parts, p, i, draws=1)
                      for p, i in zip(small, names, strict=True)])  # fmt: skip
    exact = score(parts, small, build_detector(parts, draws=1), names)
    one, four, exact_one = published(1), published(4), ours(1)
    precision, layout = choose_fastest(parts, small[:1])
    set_layout(parts, layout)
    fast = score(parts, small, build_detector(parts, draws=1, precision=precision), names)
    return {
        "ratio_one_draw": one / ours(1, precision),
        "ratio_four_draws": four / ours(4, precision),
        "ratio_exact": one / exact_one,
        "spearman": float(stats.spearmanr(truth, fast).statistic),
        "relative_error": float(np.abs(fast / truth - 1).max()),
        "n_images": agreed,
        "exact_error": float(np.abs(exact / truth - 1).max()),
        "spread": float(np.ptp(truth) / truth.mean()),
        "precision": precision,
        "layout": layout,
        "seconds_published": one / timed,
        "px": px,
        "n_timed": timed,
        "machine": build_provenance()["processor"],
    }


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--px", type=int, default=512, help="side of the timed pictures")
    parser.add_argument("--timed", type=int, default=4, help="pictures that are timed")
    parser.add_argument("--agreed", type=int, default=24, help="pictures of 256 px compared")
    parser.add_argument("--divide", type=int, default=1, help="narrower networks, for a trial")
    words = parser.parse_args()
    parts = build_parts(divide=words.divide)
    agreed_px = min(256, words.px)
    found = compare(
        parts, px=words.px, timed=words.timed, agreed_px=agreed_px, agreed=words.agreed
    )
    text = json.dumps(found, indent=1) if words.json else _describe(found)
    sys.stdout.write(text + "\n")


def _describe(found: dict[str, Any]) -> str:
    wide = found["spread"] >= SPREAD * TOLERANCE
    rows = {
        "one draw, in the fastest precision here": found["ratio_one_draw"],
        "four draws, in the fastest precision here": found["ratio_four_draws"],
        "one draw, float32": found["ratio_exact"],
    }
    return "\n".join(
        [
            "# The published way of scoring against ours",
            "",
            "`python -m benchmarks.published_path`: networks of Stable Diffusion 1.4's shapes "
            "with random weights, in one process. Published: one picture at a time, float32, the "
            "whole U-Net, prompt and picture encoded anew for every draw. Ours: "
            "`Spikiness.score`.",
            "",
            f"| {found['n_timed']} pictures of {found['px']} px | times as fast |",
            "|---|---|",
            *(f"| {name} | {ratio:.2f} |" for name, ratio in rows.items()),
            "",
            f"The fastest precision here is {found['precision']}, {found['layout']}. A picture "
            f"takes {found['seconds_published']:.1f} s the published way.",
            "",
            f"Agreement with the published scores over {found['n_images']} pictures of at most "
            f"256 px: Spearman {found['spearman']:.4f}, largest relative difference "
            f"{found['relative_error']:.2g}; in float32 {found['exact_error']:.2g}. The scores "
            f"spread over {found['spread']:.0%} of their mean"
            f"{'' if wide else ', too little to tell'}.",
            "",
            "Where a processor multiplies bfloat16 in tiles (AMX) the first two rows should be "
            "far larger; these were measured on the machine below, with "
            f"{torch.get_num_threads()} threads.",
            "",
            f"{describe_machine()}.",
        ]
    )


if __name__ == "__main__":
    main()
