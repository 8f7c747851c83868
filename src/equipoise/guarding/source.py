"""Where guarded outputs come from: one language for samplers and pipelines.

A source turns the arguments of a call into requests; a request is one batch that is generated
together, and can be asked again for some of its outputs with other noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.guarding.watch import Watch


@dataclass(frozen=True)
class Generation:
    """What a batch became: pictures and clean samples, or nothing where it was stopped."""

    images: list[Any]
    x0: Tensor | None


@runtime_checkable
class Request(Protocol):
    """One batch that is generated together."""

    @property
    def seeds(self) -> list[str | None]:
        """What each output's noise comes from; None where nobody knows."""
        ...

    @property
    def prompts(self) -> list[str | None]:
        """What each output is asked to show; None where nothing is asked."""
        ...

    def is_conditioned(self, *, told: bool) -> bool:
        """Whether the forwards that are read have the condition, not the empty one.

        Args:
            told: Whether of a guided forward the half with the condition is read.
        """
        ...

    def run(self, watch: Watch) -> Generation:
        """Generate under observation; ends early when `watch.done`."""
        ...

    def again(self, rows: Sequence[int], attempt: int) -> "Request":
        """Ask for some of the outputs with other noise."""
        ...


@runtime_checkable
class Source(Protocol):
    """What makes outputs."""

    @property
    def denoiser(self) -> Denoiser:
        """The model inside."""
        ...

    def ask(self, *args: Any, **words: Any) -> list[Request]:  # noqa: ANN401 - the source's own
        """Turn the arguments of a call into requests."""
        ...
