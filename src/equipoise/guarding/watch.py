"""What is read of one generation: the units at chosen sites, at chosen noise levels.

A sampler passes each of its noise levels once (DDIM) or twice (Heun); every passing is a visit.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from equipoise.detection import Calibration, Look, Mode, join_units
from equipoise.errors import CalibrationError
from equipoise.representation import Pooling

TOLERANCE = 1e-3
"""Relative distance up to which two noise levels are the same."""


class Watch:
    """A generation under observation.

    Args:
        sites: Where to look.
        pooling: Over space or tokens.
        sigmas: Noise levels that are read, data units; None reads all.
        told: Of a guided forward, whether the half with the condition is read, not the empty one.
    """

    def __init__(
        self,
        sites: Sequence[str],
        *,
        pooling: Pooling,
        sigmas: Sequence[float] | None,
        told: bool = False,
    ) -> None:
        self.sites = tuple(sites)
        self.told = told
        self.pooling: Pooling = pooling
        self.seen: dict[float, list[Float64[Tensor, "case unit"]]] = {}
        self._sigmas = sigmas

    def find(self, sigma: float) -> float | None:
        """Return the wanted noise level that `sigma` is; None for one that is not read."""
        if self._sigmas is None:
            return next((s for s in self.seen if math.isclose(s, sigma, rel_tol=TOLERANCE)), sigma)
        return next((s for s in self._sigmas if math.isclose(s, sigma, rel_tol=TOLERANCE)), None)

    def note(self, sigma: float, tensors: Mapping[str, Tensor]) -> None:
        """Keep what the sites showed in one forward at `sigma`."""
        found = self.find(sigma)
        if found is not None:
            units = join_units([tensors[site] for site in self.sites]).cpu()
            self.seen.setdefault(found, []).append(units)

    @property
    def reads(self) -> bool:
        """Whether any forward is read."""
        return self._sigmas is None or len(self._sigmas) > 0

    @property
    def done(self) -> bool:
        """Whether the generation may end here."""
        return False


class JudgingWatch(Watch):
    """A generation that is judged while it runs, and may end as soon as nothing can change.

    Args:
        calibration: Of mode "free" or "early"; in mode "check" nothing is read on the way.
    """

    def __init__(self, calibration: Calibration) -> None:
        detector = calibration.detector
        sigmas = [look.detector.sigma for look in calibration.looks]
        told = detector.condition == "own"
        super().__init__(detector.sites, pooling=detector.pooling, sigmas=sigmas, told=told)
        self._calibration = calibration

    @property
    def done(self) -> bool:
        """Whether every output is flagged already; a maximum over looks can only rise."""
        complete = self._list_complete()
        if self._calibration.mode != "early" or not complete:
            return False
        scores = combine_looks(complete, self.seen, mode="early")
        return bool((scores >= self._calibration.threshold).all())

    def score(self) -> Float64[Tensor, " case"]:
        """Score every output.

        Raises:
            CalibrationError: when the sampler passed other noise levels than the calibration's.
        """
        complete = self._list_complete()
        if not self.done and len(complete) < len(self._calibration.looks):
            missing = next(look for look in self._calibration.looks if look not in complete)
            sigma, wanted = missing.detector.sigma, missing.detector.draws
            raise CalibrationError(
                f"The calibration reads {wanted} forward(s) at noise level {sigma:.6g}, and this "
                f"generation had {len(self.seen.get(sigma, []))} there. Generate with the sampler "
                "and the number of steps it was fitted on, or fit one for these with "
                "equipoise.calibrate_guard."
            )
        return combine_looks(complete, self.seen, mode=self._calibration.mode)

    def _list_complete(self) -> list[Look]:
        return [
            look for look in self._calibration.looks
            if len(self.seen.get(look.detector.sigma, [])) == look.detector.draws
        ]  # fmt: skip


def score_look(
    look: Look, visits: Sequence[Float64[Tensor, "case unit"]]
) -> Float64[Tensor, " case"]:
    """Score every output at one look: the mean over its visits, in units of novel outputs."""
    raw = torch.stack([look.detector.measure_units(units) for units in visits]).mean(dim=0)
    return (raw - look.mean) / look.std


def combine_looks(
    looks: Sequence[Look],
    seen: Mapping[float, Sequence[Float64[Tensor, "case unit"]]],
    *,
    mode: Mode,
) -> Float64[Tensor, " case"]:
    """Put the looks together: their maximum in mode "early", their mean in mode "free"."""
    scores = torch.stack([score_look(look, seen[look.detector.sigma]) for look in looks])
    return scores.amax(dim=0) if mode == "early" else scores.mean(dim=0)
