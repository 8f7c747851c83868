"""Guard: judge every output while it is made, and act on what looks memorized.

    with Guard(source, calibration, action="resample") as checked:
        result = checked("a portrait", generator=generator)
    result.images, result.verdicts

Three modes, told by the calibration. *free* reads forwards that the sampler makes anyway: of a
guided one the half with the empty condition, or, where the detector is told, the other. *check*
adds noise to the final sample and looks once, with the empty condition, in a truncated forward.
*early* reads the sampler's forwards and takes the maximum over its looks; a batch ends as soon as
all of its outputs are flagged.

An output is memorized when its conformal p-value is at most the promised rate. Outputs are the
model's own, so none is "inconclusive" for lying outside the calibration's domain.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from jaxtyping import Float, Float64
from torch import Tensor

from equipoise.denoisers import Denoiser
from equipoise.detection import Calibration, Spikiness, Verdict
from equipoise.errors import BadInputError, CalibrationError
from equipoise.guarding.flagged import Flagged, append_flagged
from equipoise.guarding.source import Request, Source
from equipoise.guarding.watch import JudgingWatch

DEFAULT_ATTEMPTS = 3
ACTIONS = ("flag", "resample", "block")


@dataclass(frozen=True)
class CheckedImage:
    """One output with its verdict.

    Args:
        image: As the pipeline gave it; None where it was withheld, or stopped before its end.
        verdict: memorized or not_memorized; inconclusive where the score is not finite.
        p_value: Conformal p-value.
        score: Higher = more memorized.
        seed: What its noise came from; None where nobody knows.
        prompt: What it was asked to show; None where nothing was asked.
        attempt: 0 for the first draw; otherwise how often it was drawn again.
    """

    image: Any
    verdict: Verdict
    p_value: float
    score: float
    seed: str | None
    prompt: str | None
    attempt: int


@dataclass(frozen=True)
class Checked:
    """What a guarded call gave: one item an output, in the order of the call.

    Args:
        items: The outputs.
        evaluations: Truncated forwards of the network that the guard made itself.
    """

    items: tuple[CheckedImage, ...]
    evaluations: int

    @property
    def images(self) -> list[Any]:
        """The outputs; None where one was withheld."""
        return [item.image for item in self.items]

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict an output."""
        return [item.verdict for item in self.items]

    @property
    def p_values(self) -> list[float]:
        """One conformal p-value an output."""
        return [item.p_value for item in self.items]


Action = Literal["flag", "resample", "block"] | Callable[[CheckedImage], Any]


class Guard:
    """A source of outputs under a guard; call it inside a `with` as the source itself.

    Args:
        source: What makes outputs.
        calibration: Fitted on generations of this source, see `equipoise.calibrate_guard`.
        action: "flag" leaves every output and tells; "block" withholds what is memorized;
            "resample" draws it anew with other seeds and withholds it when all fail; a function
            gets the item and returns the image to give instead.
        attempts: New seeds an output that "resample" tries.
        log: Parquet file of what was flagged, with seed and prompt; None keeps no log.

    Raises:
        CalibrationError: when the calibration is of another model, or was fitted on finished
            pictures.
        BadInputError: for an unknown action, or fewer than one attempt.
    """

    def __init__(
        self,
        source: Source,
        calibration: Calibration,
        *,
        action: Action = "flag",
        attempts: int = DEFAULT_ATTEMPTS,
        log: Path | None = None,
    ) -> None:
        if not callable(action) and action not in ACTIONS:
            raise BadInputError(
                f'Cannot guard with the action "{action}": {", ".join(ACTIONS)}, or a function '
                "of the flagged item."
            )
        if attempts < 1:
            raise BadInputError(f"Cannot draw anew {attempts} times: give attempts=1 or more.")
        if calibration.mode == "image":
            raise CalibrationError(
                "This calibration was fitted on finished pictures and cannot judge a generation. "
                "Fit one with equipoise.calibrate_guard, on generations of this source."
            )
        calibration.check_model(source.denoiser, mode=calibration.mode)
        self._source = source
        self._calibration = calibration
        self._action: Action = action
        self._attempts = attempts
        self._log = log
        self._open = False

    def __enter__(self) -> "Guard":
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False

    def __call__(self, *args: Any, **words: Any) -> Checked:  # noqa: ANN401 - the source's own
        """Generate as the source does, judge, and act.

        Raises:
            BadInputError: outside the `with`.
            CalibrationError: when the sampler is not the one that was calibrated.
        """
        if not self._open:
            raise BadInputError("A guard is called inside its `with` block, and it is closed.")
        parts = [self._check(request) for request in self._source.ask(*args, **words)]
        items = [item for part in parts for item in part.items]
        return Checked(tuple(items), sum(part.evaluations for part in parts))

    def _check(self, request: Request) -> Checked:
        first = self._observe(request, attempt=0)
        items, evaluations = list(first.items), first.evaluations
        flagged = _find_memorized(items)
        rows = [self._tell(items[row]) for row in flagged]
        for attempt in range(1, self._attempts + 1 if self._action == "resample" else 1):
            if not flagged:
                break
            again = self._observe(request.again(flagged, attempt), attempt=attempt)
            evaluations += again.evaluations
            for row, item in zip(flagged, again.items, strict=True):
                items[row] = item
            flagged = [row for row in flagged if items[row].verdict == "memorized"]
            rows += [self._tell(items[row]) for row in flagged]
        for row in flagged:
            items[row] = replace(items[row], image=self._act(items[row]))
        if self._log is not None:
            append_flagged(self._log, rows)
        return Checked(tuple(items), evaluations)

    def _observe(self, request: Request, *, attempt: int) -> Checked:
        """Generate a batch and judge it."""
        calibration = self._calibration
        watch = JudgingWatch(calibration)
        if calibration.looks and calibration.conditioned != request.is_conditioned(
            told=watch.told
        ):
            wanted = "the condition" if calibration.conditioned else "the empty condition"
            raise CalibrationError(
                f"The calibration reads forwards with {wanted}, and this call has none. Call with "
                "the guidance it was fitted with, or fit one for calls like this."
            )
        generation = request.run(watch)
        if calibration.mode == "check":
            assert generation.x0 is not None
            scores = score_final(calibration.detector, self._source.denoiser, generation.x0)
            evaluations = len(scores) * calibration.detector.draws
        else:
            scores, evaluations = watch.score(), 0
        columns = zip(
            generation.images, scores.tolist(), calibration.p_values(scores).tolist(),
            request.seeds, request.prompts, strict=True,
        )  # fmt: skip
        items = [
            CheckedImage(image, self._judge(score), p_value, score, seed, prompt, attempt)
            for image, score, p_value, seed, prompt in columns
        ]
        return Checked(tuple(items), evaluations)

    def _judge(self, score: float) -> Verdict:
        if score >= self._calibration.threshold:
            return "memorized"
        return "not_memorized" if score < self._calibration.threshold else "inconclusive"

    def _act(self, item: CheckedImage) -> Any:  # noqa: ANN401 - whatever the pipeline gives
        if callable(self._action):
            return self._action(item)
        return item.image if self._action == "flag" else None

    def _tell(self, item: CheckedImage) -> Flagged:
        return Flagged(
            item.seed, item.prompt, item.attempt, item.score, item.p_value,
            self._calibration.mode, "call" if callable(self._action) else self._action,
        )  # fmt: skip


def score_final(
    detector: Spikiness, denoiser: Denoiser, x0: Float[Tensor, "case ..."]
) -> Float64[Tensor, " case"]:
    """Score final samples with the empty condition; their own numbers key the noise."""
    samples = x0.detach().float()
    return detector.score_samples(denoiser, samples, name_samples(samples)).values


def name_samples(x0: Float[Tensor, "case ..."]) -> list[str]:
    """Hash every sample to 32 hexadecimal digits."""
    arrays = [sample.cpu().contiguous().numpy() for sample in x0]
    return [hashlib.blake2b(array.data, digest_size=16).hexdigest() for array in arrays]


def _find_memorized(items: Sequence[CheckedImage]) -> list[int]:
    return [row for row, item in enumerate(items) if item.verdict == "memorized"]
