"""Pipelines of diffusers as a source of outputs: the stock call, observed.

What diffusers does by class is known, see `denoisers/family.py`, and not guessed: which argument
names the outputs, and which half of a guided batch has the empty condition (the second of DiT, the
first of the others; FLUX has no halves). A guidance scale of at most 1 makes no pair.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equipoise.denoisers import Denoiser, TimedDenoiser, find_family
from equipoise.denoisers.codec import VaeCodec
from equipoise.denoisers.network_call import read_call
from equipoise.errors import BadInputError
from equipoise.guarding.source import Generation, Request
from equipoise.guarding.watch import Watch
from equipoise.representation import capture

# Arguments that fix an output besides its seed: with them it cannot be drawn anew.
FIXING = ("latents", "prompt_embeds", "negative_prompt_embeds", "ip_adapter_image_embeds")
# Further texts of an output: one for all, or one each.
TEXTS = ("prompt_2", "prompt_3", "negative_prompt", "negative_prompt_2", "negative_prompt_3")


class _StopGeneration(BaseException):
    """Ends a pipeline that has no interrupt flag; not an Exception, so that nobody keeps it."""


class PipelineSource:
    """A live pipeline; call it as the pipeline itself.

    Raises:
        BadInputError: for a pipeline of another class; names those that are known.
    """

    def __init__(self, pipeline: Any) -> None:  # noqa: ANN401 - diffusers is optional
        self.pipeline = pipeline
        self.family = find_family(pipeline)
        denoiser = self.family.build(pipeline)
        if not isinstance(denoiser, TimedDenoiser):
            raise BadInputError(
                f"Cannot guard a {type(pipeline).__name__}: its network is told no time. Guard "
                "the sampler of this package instead."
            )
        self.timed = denoiser

    @property
    def denoiser(self) -> Denoiser:
        """The model inside."""
        return self.timed

    def ask(self, *args: Any, **words: Any) -> list[Request]:  # noqa: ANN401 - the pipeline's own
        """Ask for what one call of the pipeline makes."""
        bound = signature(type(self.pipeline).__call__).bind(self.pipeline, *args, **words)
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        return [PipelineRequest(self, given | given.pop("kwargs", {}))]


@dataclass(frozen=True)
class PipelineRequest:
    """One call of a pipeline, with its arguments by name."""

    source: PipelineSource
    words: dict[str, Any]

    @property
    def prompts(self) -> list[str | None]:
        """What each output is asked to show."""
        wanted, family = self.words[self.source.family.wanted], self.source.family
        if family.wanted == "batch_size":
            return [None] * wanted
        if family.wanted == "class_labels":
            return [str(int(label)) for label in wanted]
        if wanted is None:
            wanted = [None] * len(self.words["prompt_embeds"])
        listed = [wanted] if isinstance(wanted, str) else list(wanted)
        return [one for one in listed for _ in range(self.words["num_images_per_prompt"])]

    @property
    def seeds(self) -> list[str | None]:
        """The seed of each output's generator, with its place where they share one."""
        given, count = self.words.get("generator"), len(self.prompts)
        if given is None:
            return [None] * count
        if isinstance(given, torch.Generator):
            told = str(given.initial_seed())
            return [told if count == 1 else f"{told}#{row}" for row in range(count)]
        return [str(one.initial_seed()) for one in given]

    @property
    def guided(self) -> bool:
        """Whether each forward holds a pair: with the condition and without."""
        config: Any = self.source.timed.network.config
        return (
            self.source.family.empty_half is not None
            and self.words["guidance_scale"] > 1
            and getattr(config, "time_cond_proj_dim", None) is None
        )

    def is_conditioned(self, *, told: bool) -> bool:
        """Whether what is read has the condition, not the empty one."""
        return self.source.timed.empty is not None and (told or not self.guided)

    def run(self, watch: Watch) -> Generation:
        """Call the pipeline; ends at the step at which `watch.done`."""
        pipeline, latents = self.source.pipeline, []
        with ExitStack() as stack:
            stack.enter_context(self._observed(watch))
            if hasattr(pipeline, "vae"):
                stack.enter_context(_decoded(pipeline.vae, latents))
            try:
                answer = pipeline(**self.words)
            except _StopGeneration:
                return Generation([None] * len(self.prompts), None)
            finally:
                interrupted = bool(getattr(pipeline, "_interrupt", False)) and watch.done
                if interrupted:
                    pipeline._interrupt = False
        if interrupted:
            return Generation([None] * len(self.prompts), None)
        images = answer[0] if isinstance(answer, tuple) else answer.images
        return Generation(list(images), self._get_samples(images, latents))

    def again(self, rows: Sequence[int], attempt: int) -> "PipelineRequest":
        """Ask for some outputs with new generators; their seeds are drawn by chance.

        Raises:
            BadInputError: when an argument fixes the outputs whatever the seed.
        """
        fixed = [name for name in FIXING if self.words.get(name) is not None]
        if fixed:
            raise BadInputError(
                f"A flagged output cannot be drawn again: {', '.join(fixed)} was given, which "
                'fixes it whatever the seed. Leave it out, or take action="block".'
            )
        prompts, wanted = self.prompts, self.source.family.wanted
        chosen = [prompts[row] for row in rows]
        if wanted == "class_labels":
            chosen = [int(label) for label in chosen if label is not None]
        device = self.words.get("generator")
        device = device[0].device if isinstance(device, list) else getattr(device, "device", "cpu")
        words = self.words | {
            wanted: len(rows) if wanted == "batch_size" else chosen,
            "generator": [torch.Generator(device).manual_seed(secrets.randbits(63)) for _ in rows],
        }
        if "num_images_per_prompt" in words:
            words["num_images_per_prompt"] = 1
            each = self.words["num_images_per_prompt"]
            lists = {name: words[name] for name in TEXTS if isinstance(words.get(name), list)}
            words |= {name: [texts[row // each] for row in rows] for name, texts in lists.items()}
        return PipelineRequest(self.source, words)

    @contextmanager
    def _observed(self, watch: Watch) -> Iterator[None]:
        """Note what the sites show in each forward of the network."""
        if not watch.reads:
            yield
            return
        source, count = self.source, len(self.prompts)
        half = source.family.empty_half if self.guided else 0
        assert half is not None
        if self.guided and watch.told:
            half = 1 - half
        rows = slice(half * count, (half + 1) * count)

        def note(module: nn.Module, args: tuple, words: dict[str, Any], _: object) -> None:
            call = read_call(source.timed, args, words)
            assert call is not None, "networks of pipelines take a sample and a time"
            watch.note(float(call.sigma[0]), {site: tape[site][rows] for site in watch.sites})
            if watch.done:
                if not hasattr(source.pipeline, "interrupt"):
                    raise _StopGeneration
                source.pipeline._interrupt = True

        with capture(source.timed, watch.sites, pooling=watch.pooling, stop=False) as tape:
            handle = source.timed.network.register_forward_hook(note, with_kwargs=True)
            try:
                yield
            finally:
                handle.remove()

    def _get_samples(self, images: Any, latents: list[Tensor]) -> Tensor:  # noqa: ANN401
        """Return the final samples: what the VAE decoded, or the pictures themselves."""
        if latents:
            codec = self.source.timed.codec
            assert isinstance(codec, VaeCodec)
            return codec.scale(torch.cat(latents))
        if self.words.get("output_type") == "latent":
            return images
        return self.source.timed.encode(_as_tensor(images))


@contextmanager
def _decoded(vae: Any, latents: list[Tensor]) -> Iterator[None]:  # noqa: ANN401
    """Keep what the VAE is asked to decode."""
    decode, outer = vae.decode, vars(vae).get("decode")

    def keep(z: Tensor, *args: Any, **words: Any) -> Any:  # noqa: ANN401
        latents.append(z.detach().float())
        return decode(z, *args, **words)

    vae.decode = keep
    try:
        yield
    finally:
        del vae.decode
        if outer is not None:  # a guard around this one
            vae.decode = outer


def _as_tensor(images: Any) -> Tensor:  # noqa: ANN401 - PIL, arrays or tensors
    """Bring the pictures of a pipeline to (case, channel, height, width), values in [0, 1]."""
    if isinstance(images, Tensor):
        return images.float()
    if isinstance(images, np.ndarray):
        return torch.from_numpy(images).permute(0, 3, 1, 2).float()
    arrays = [np.asarray(image, dtype=np.float32) / 255 for image in images]
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)
