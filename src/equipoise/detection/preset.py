"""Recipes of others, by name, beside our default.

The paper scores a picture by the population standard deviation, over channels, of the spatial
maximum of one inner tensor, with one draw of noise and the empty prompt: one score a site. Its
notebook and its figure name the noise by the time of Stable Diffusion's schedule; here it is the
level of that time.

What differs from the published code: the latents are the mean of the encoder where that code
draws them, and the noise is keyed by the picture. From the same noisy latents the scores are the
same.
"""

from dataclasses import dataclass

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.spikiness import Spikiness
from equipoise.errors import BadInputError
from equipoise.representation import select_sites

PAPER_SITES = (
    "up_blocks.0.resnets.0.conv2:in",
    "up_blocks.0.resnets.1.conv2:in",
    "up_blocks.0.resnets.2.conv2:in",
    "up_blocks.1.resnets.0.conv2:in",
)
"""What leaves the last activation of a residual block enters its second convolution."""


@dataclass(frozen=True)
class Preset:
    """A published recipe: where it looks, at which noise level (data units), who wrote it."""

    sites: tuple[str, ...]
    sigma: float
    source: str


PAPER = "Zhang et al., 2026 | arXiv 2512.20963"
PRESETS = {
    "zhang-2026-notebook": Preset(PAPER_SITES, 0.098, f"{PAPER}, notebook for SD 1.4, time 10"),
    "zhang-2026-figure-5": Preset(PAPER_SITES, 0.226, f"{PAPER}, Fig. 5, time 50"),
}
"""Published recipes by name: sites, noise level, source."""


def build_preset(denoiser: Denoiser, name: str) -> tuple[Spikiness, ...]:
    """Build the detectors of a published recipe, one a site in the order of a forward.

    Args:
        denoiser: A model with the sites of the recipe, for example Stable Diffusion 1.x.
        name: "zhang-2026-notebook" (sigma .098) or "zhang-2026-figure-5" (sigma .226), snapped to
            the nearest level that the model knows.

    Raises:
        BadInputError: when there is no such preset.
        UnknownSiteError: when the model has not the sites of the recipe.
    """
    if name not in PRESETS:
        raise BadInputError(f'No preset is called "{name}"; there are {", ".join(PRESETS)}.')
    preset = PRESETS[name]
    sigma = denoiser.snap(preset.sigma)
    return tuple(
        Spikiness(sites=(site,), sigma=sigma, pooling="max", statistic="std", sign=1, draws=1)
        for site in select_sites(denoiser, preset.sites)
    )
