"""The model that is audited or calibrated, and how fresh outputs of it are drawn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor

from equipoise.denoisers import Denoiser, Size, check_device, encode_prompts
from equipoise.detection import Calibration, load_calibration
from equipoise.errors import BadInputError
from equipoise.loading import load
from equipoise.sampling import SamplerSpec
from equipoise.zoo.package import CALIBRATION, MODELS, PREFIX, TOLD, load_zoo
from equipoise.zoo.recipe import RECIPES

DrawConditions = Callable[[Sequence[str], int], Tensor | None]

SIGMA_MIN, SIGMA_MAX = 0.004, 160.0  # of the standard deviation of the data
STEPS = 18


@dataclass(frozen=True)
class Subject:
    """A model under a name.

    Args:
        name: How it was asked for, for the record.
        denoiser: The model.
        sampler: How fresh outputs are drawn.
        draw_conditions: `draw_conditions(item_ids, seed)` says what each is asked to show.
        shipped: Where its own calibration lies, if one was shipped with it.
        told: Where that of a detector lies which is told what each output was asked for.
    """

    name: str
    denoiser: Denoiser
    sampler: SamplerSpec
    draw_conditions: DrawConditions
    shipped: Path | None
    told: Path | None = None

    def find_conditions(
        self, item_ids: Sequence[str], *, seed: int, prompts: Sequence[str] | None = None
    ) -> Shaped[Tensor, "case ..."] | None:
        """Say what each item is asked to show: its prompt, or what the model is sampled with."""
        if prompts is None:
            return self.draw_conditions(item_ids, seed)
        return encode_prompts(self.denoiser, prompts)

    def sample(
        self,
        item_ids: Sequence[str],
        *,
        seed: int,
        conditions: Shaped[Tensor, "case ..."] | None,
    ) -> Iterator[Float[Tensor, "batch ..."]]:
        """Sample one `x0` an item, batch by batch, see `find_conditions`."""
        return self.sampler.sample(self.denoiser, item_ids, seed=seed, conditions=conditions)

    def load_calibration(self, *, told: bool = False) -> Calibration | None:
        """Read its own calibration; None where none was shipped with it."""
        path = self.told if told else self.shipped
        return None if path is None else load_calibration(path)


def follow_prompts(subject: Subject) -> Subject:
    """Return a subject that is guided as its pipeline is; a zoo model already is.

    Raises:
        BadInputError: when the model takes no prompts.
    """
    encode_prompts(subject.denoiser, [""])  # told before hours of work, not after
    if subject.sampler.guidance != 1:
        return subject
    usual = getattr(subject.denoiser, "guidance", 1.0)
    guided = subject.sampler.model_copy(update={"guidance": usual})
    return replace(subject, sampler=guided)


def check_can_be_told(subject: Subject) -> None:
    """Refuse a model that can be asked for nothing.

    Raises:
        BadInputError: when it takes neither prompts nor classes.
    """
    if subject.denoiser.null_condition(1) is None:
        raise BadInputError(
            f'"{subject.name}" takes neither prompts nor classes, so there is nothing to tell it. '
            "Leave --told out."
        )


def open_subject(source: str, *, device: str = "cpu", size: Size | None = None) -> Subject:
    """Open a model of the zoo, or a file or folder as `equipoise.load` does.

    Outputs of a zoo model are drawn as its recipe says. Any other model is sampled with 18 steps
    over the noise levels of Karras et al. (2022, Table 1) in units of its data, and with the
    empty condition.

    Args:
        source: The model, see `equipoise.load`.
        device: Where it computes.
        size: Height and width of its pictures, pixels; None for those it was trained on.

    Raises:
        UnknownModelError: when the zoo has no such model.
        BadInputError, UnsafeFileError: when the source cannot be loaded.
    """
    plain = source.removeprefix(PREFIX)
    if source.startswith(PREFIX) or plain.partition("@")[0] in RECIPES:
        if size is not None:
            raise BadInputError(f'A model of the zoo has one size of picture, not "{size}".')
        return _open_zoo(plain, device)
    words: dict[str, Any] = {} if size is None else {"size": size}
    denoiser = load(source, device=device, **words)
    return Subject(source, denoiser, build_sampler(denoiser), lambda *_: None, None)


def build_sampler(denoiser: Denoiser) -> SamplerSpec:
    """Say how a model is sampled of which nothing but its data units is known."""
    scale = denoiser.data_std
    return SamplerSpec(steps=STEPS, sigma_min=SIGMA_MIN * scale, sigma_max=SIGMA_MAX * scale)


def _open_zoo(name: str, device: str) -> Subject:
    check_device(device)
    model = load_zoo(name).to(device)
    shipped, told = MODELS / name / CALIBRATION, MODELS / name / TOLD
    return Subject(
        name=PREFIX + name,
        denoiser=model.denoiser,
        sampler=model.recipe.sampler,
        draw_conditions=lambda item_ids, seed: model.draw_conditions(item_ids, seed=seed),
        shipped=shipped if shipped.is_file() else None,
        told=told if told.is_file() else None,
    )
