"""What takes part in a comparison: each detector with the variants one of which is chosen.

Variants differ in the noise level: shares of the data's standard deviation where the image is
looked at; where the condition is told they go up to levels at which little of it is left.
Detectors that look at pure noise start at the largest level that the model knows. The
spikiness, the paper's statistic and the denoising residual are those that the model ships; they
were chosen, on the same half of the planted images, when the model was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.bench.baselines import (
    PICTURE_STATISTICS,
    DenoisingResidual,
    PictureBaseline,
)
from equipoise.bench.demo import DemoParts
from equipoise.bench.fit import list_sigmas
from equipoise.bench.fit_told import TOLD_SHARES
from equipoise.bench.wording import PROMPT_STATISTICS, PromptBaseline
from equipoise.denoisers import Denoiser
from equipoise.detection import (
    Anisotropy,
    AttentionEntropy,
    Detector,
    IntrinsicDimension,
    NoiseGap,
    OneStepConfidence,
    OneStepSimilarity,
    ResidualGain,
    Sharpness,
    Spikiness,
    TiledDistance,
)
from equipoise.detection.start import SIGMA_MAX
from equipoise.errors import BadInputError, closest
from equipoise.representation import select_sites
from equipoise.sampling import SamplerSpec

DRAWS = 2
GAP_STEPS = 10
SIGMA_LOW = 0.1
"""Low noise of the anisotropy: the level of the paper's time 41 in Stable Diffusion is near .2."""


@dataclass(frozen=True)
class Entry:
    """A detector under the name it has in the table, with its variants."""

    name: str
    candidates: tuple[Detector | PromptBaseline, ...]
    baseline: bool = False

    @property
    def needs_no_words(self) -> bool:
        """Whether it can do with the picture alone: no condition, no words of a prompt."""
        return not {"condition", "words"} & set(self.candidates[0].card.needs)


def list_entries(parts: DemoParts) -> list[Entry]:
    """List everything that is shipped, for a model of the zoo."""
    denoiser, sampler, rivals = parts.model.denoiser, parts.model.recipe.sampler, parts.rivals
    return [
        Entry("spikiness", (parts.calibration.detector,)),
        Entry("told_spikiness", (parts.told.detector,) if parts.told else _list_told(denoiser)),
        Entry("paper_statistic", (rivals.paper,)),
        *_list_published(denoiser, sampler),
        Entry("denoising_residual", (rivals.residual,), baseline=True),
        *_list_trivial(),
    ]


def list_entries_of_others(denoiser: Denoiser, sampler: SamplerSpec) -> list[Entry]:
    """List everything for a model for which nothing was chosen yet.

    Args:
        denoiser: The model; its default sites are looked at, together and the first alone.
        sampler: How its outputs are drawn.
    """
    sites, sigmas = select_sites(denoiser, denoiser.default_sites), list_sigmas(denoiser)
    return [
        Entry("spikiness", tuple(Spikiness(sites=sites, sigma=sigma) for sigma in sigmas)),
        Entry("told_spikiness", _list_told(denoiser)),
        Entry("paper_statistic", tuple(Spikiness(sites=sites[:1], sigma=s) for s in sigmas)),
        *_list_published(denoiser, sampler),
        Entry(
            "denoising_residual",
            tuple(DenoisingResidual(sigma=sigma) for sigma in sigmas),
            baseline=True,
        ),
        *_list_trivial(),
    ]


def select_entries(entries: Sequence[Entry], names: Sequence[str]) -> list[Entry]:
    """Keep the entries of these names, and the denoising residual, which every table has.

    Raises:
        BadInputError: for an unknown name; names the closest.
    """
    known = [entry.name for entry in entries]
    for name in names:
        if name not in known:
            raise BadInputError(
                f'No detector is called "{name}". Closest: {closest(name, known)}. All: '
                f"{', '.join(known)}."
            )
    return [entry for entry in entries if entry.name in {*names, "denoising_residual"}]


def _list_wide(denoiser: Denoiser) -> list[float]:
    """List noise levels up to those at which little of a picture is left."""
    return [denoiser.snap(share * denoiser.data_std) for share in TOLD_SHARES]


def _list_told(denoiser: Denoiser) -> tuple[Spikiness, ...]:
    """List spikiness that is told the condition, at the default sites, units as they are."""
    sites = select_sites(denoiser, denoiser.default_sites)
    return tuple(
        Spikiness(sites=sites, sigma=sigma, condition="own") for sigma in _list_wide(denoiser)
    )


def _list_published(denoiser: Denoiser, sampler: SamplerSpec) -> list[Entry]:
    """List the detectors of others, each with its variants."""
    top, near = denoiser.snap(SIGMA_MAX), list_sigmas(denoiser)
    low = denoiser.snap(SIGMA_LOW * denoiser.data_std)
    groups: list[tuple[Detector, ...]] = [
        tuple(IntrinsicDimension(sigma=sigma, draws=DRAWS) for sigma in near),
        tuple(ResidualGain(sigma=sigma, draws=DRAWS) for sigma in _list_wide(denoiser)),
        (NoiseGap(sigma=top, draws=DRAWS),),
        (NoiseGap(sigma=top, steps=GAP_STEPS, draws=1),),
        tuple(NoiseGap(sigma=sigma, start="image", draws=DRAWS) for sigma in near),
        (OneStepSimilarity(sigma=top, draws=4),),
        (Sharpness(sigma=top),),
        tuple(Sharpness(sigma=sigma, start="image") for sigma in near),
        (AttentionEntropy(sigma=top, draws=DRAWS),),
        (Anisotropy(sigma=top, sigma_low=low, draws=DRAWS),),
        (OneStepConfidence(sigma=top, draws=DRAWS),),
        (TiledDistance(sampler=sampler, draws=3),),
    ]
    return [Entry(group[0].card.name, group) for group in groups]


def _list_trivial() -> list[Entry]:
    """List the baselines that see the picture alone, or the words alone."""
    pictures = [PictureBaseline(statistic=name) for name in PICTURE_STATISTICS]
    words = [PromptBaseline(statistic=name) for name in PROMPT_STATISTICS]
    return [Entry(one.card.name, (one,), baseline=True) for one in (*pictures, *words)]
