"""Monitor: a generator around any training loop that sees memorization begin.

    watched = Monitor(loop, model, training=..., held_out=..., every=500)
    for step, state in watched:
        if watched.stop:
            break

At each check a fixed probe of training images is held against held-out ones (`split.py`). The
rule says once, at `watched.stop`, that the training should end; whether it does is the caller's.
Between checks nothing is done, and a check leaves the training as it was: the weights of a
training with a monitor are those of the training without, bit for bit.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from torch import Tensor

from equipoise.bench.interval import Estimate, estimate_auroc
from equipoise.denoisers import Denoiser
from equipoise.detection import Spikiness
from equipoise.errors import BadInputError
from equipoise.monitoring.consistency import observe_icr
from equipoise.monitoring.probe import Evidence, build_detector, build_probe, look
from equipoise.monitoring.split import Naming, StopRule, combine_signals, name_images
from equipoise.monitoring.undisturbed import undisturbed
from equipoise.report import render_report
from equipoise.runs import Run, finish_run, start_run, update_run, write_check

State = TypeVar("State")


@dataclass(frozen=True)
class MonitorSpec:
    """Everything that was asked of a monitor.

    Args:
        every: Steps between two checks, at least.
        checks: Most checks that are made; each may spend an equal part of `false_stops`.
        false_stops: Chance of stopping a training whose images are exchangeable.
        fdr: Expected share of false names among the named images.
        probe: Training images that are looked at.
        budget: Largest share of the time that checks may take; None sets no limit.
        seed: Seed that chooses the probe and draws the relabellings.
    """

    every: int
    checks: int = 50
    false_stops: float = 0.05
    fdr: float = 0.05
    probe: int = 200
    budget: float | None = None
    seed: int = 0

    def check(self) -> None:
        """Refuse numbers out of their range.

        Raises:
            BadInputError: naming the number.
        """
        allowed = {
            "every": self.every >= 1,
            "checks": self.checks >= 1,
            "false_stops": 0 < self.false_stops < 1,
            "fdr": 0 < self.fdr < 1,
            "probe": self.probe >= 1,
            "budget": self.budget is None or 0 < self.budget < 1,
        }
        wrong = [name for name, fine in allowed.items() if not fine]
        if wrong:
            raise BadInputError(
                f"Cannot monitor with {wrong[0]}={getattr(self, wrong[0])}: counts are at least "
                "1, rates and the budget lie between 0 and 1."
            )


@dataclass(frozen=True)
class Check:
    """What was seen at one step.

    Args:
        step: The step after which it was made.
        spikiness: AUROC of the spikiness, training against held-out images; .5 is no split.
        residual: The same of the denoising residual.
        icr: Its minimum is where 2606.09718 stops; None where there are too few images for it.
        copies: Share of copies among fresh outputs; None when none were asked for.
        p_value: Of the stop rule.
        stops: Whether the rule stops here.
        onsets: Named images by their place in the training set, each with the step from which on
            it has been named without a break.
        seconds: What the check took.
    """

    step: int
    spikiness: Estimate
    residual: Estimate
    icr: float | None
    copies: float | None
    p_value: float
    stops: bool
    onsets: dict[int, int]
    seconds: float

    def describe(self) -> dict[str, Any]:
        """Return the check as a record holds it."""
        onsets = [{"index": index, "onset": step} for index, step in self.onsets.items()]
        return vars(self) | {"onsets": onsets}


@dataclass
class Monitor(Generic[State]):
    """A training loop that is watched; iterate over it once.

    Args:
        loop: What trains; yields something after every step.
        model: The denoiser to look into, whose network the loop changes in place; or a function
            from what the loop yields to the denoiser.
        training: Training images, 8 bits.
        held_out: Images like them that the model never sees, 8 bits.
        spec: How often, how many, and at which rates.
        detector: Where and how to look; default the paper's statistic at all default sites.
        count_copies: Called with the denoiser at each check; gives the share of copies among
            fresh outputs.
        keep: Called with step and state at each check up to the alarm, which is left out: what
            it saved last is the checkpoint before the onset.
        start: Steps that the loop has behind it.
        out: Run folder; None writes none.
        checks: What was seen so far.
    """

    loop: Iterable[State]
    model: Denoiser | Callable[[State], Denoiser]
    training: UInt8[Tensor, "case channel height width"]
    held_out: UInt8[Tensor, "other channel height width"]
    spec: MonitorSpec
    detector: Spikiness | None = None
    count_copies: Callable[[Denoiser], float] | None = None
    keep: Callable[[int, State], None] | None = None
    start: int = 0
    out: Path | None = None
    checks: list[Check] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spec.check()
        spec = self.spec
        self._probe = build_probe(self.training, self.held_out, size=spec.probe, seed=spec.seed)
        self._rule = StopRule(spec.false_stops, spec.checks, spec.seed)
        self._run: Run | None = None
        self._began = self._spent = 0.0

    @property
    def stop(self) -> Check | None:
        """The first check at which the rule stopped; None so far."""
        return next((check for check in self.checks if check.stops), None)

    def __iter__(self) -> Iterator[tuple[int, State]]:
        if self.out is not None:
            self._run = start_run(
                self.out, kind="monitor",
                spec=vars(self.spec) | {"start": self.start}
                | {"training": len(self._probe.indices)}
                | {"held_out": int((~self._probe.is_training).sum())},
                provenance={},
            )  # fmt: skip
        self._began = time.perf_counter()
        try:
            for step, state in enumerate(self.loop, self.start + 1):
                if step % self.spec.every == 0 and self._may_check():
                    self._check(step, state)
                yield step, state
        except GeneratorExit:  # the caller left the loop
            self._finish()
            raise
        self._finish()

    def _may_check(self) -> bool:
        """Whether a check is left, and the time for one as long as the last."""
        if len(self.checks) == self.spec.checks:
            return False
        if self.spec.budget is None or not self.checks:
            return True
        trained = time.perf_counter() - self._began - self._spent
        return self._spent + self.checks[-1].seconds <= self.spec.budget * trained

    def _check(self, step: int, state: State) -> None:
        began = time.perf_counter()
        denoiser = self.model if isinstance(self.model, Denoiser) else self.model(state)
        with undisturbed(denoiser.network):
            detector = self.detector or build_detector(denoiser)
            evidence = look(self._probe, denoiser, detector)
            trained = self._probe.pictures[: len(self._probe.indices)]
            icr = observe_icr(denoiser, trained, detector)
            copies = None if self.count_copies is None else self.count_copies(denoiser)
        check, naming = self._judge(step, evidence, icr=icr, copies=copies, began=began)
        self.checks.append(check)
        self._spent += check.seconds
        if self._run is not None:
            write_check(self._run, step, self._build_rows(evidence, naming, check))
            self._run = update_run(self._run, results=self._describe())
            render_report(self._run.path)
        if self.keep is not None and self.stop is None:
            self.keep(step, state)

    def _judge(
        self, step: int, evidence: Evidence, *, icr: float | None, copies: float | None,
        began: float,
    ) -> tuple[Check, Naming]:  # fmt: skip
        is_training, combined = self._probe.is_training, combine_signals(evidence)
        naming = name_images(combined, is_training, fdr=self.spec.fdr)
        before = self.checks[-1].onsets if self.checks else {}
        named = self._probe.indices[naming.named].tolist()
        p_value = self._rule.p_value(combined, is_training)
        check = Check(
            step=step,
            spikiness=_estimate_split(evidence.spikiness, is_training),
            residual=_estimate_split(evidence.residual, is_training),
            icr=icr, copies=copies, p_value=p_value,
            stops=self.stop is None and p_value <= self._rule.level,
            onsets={index: before.get(index, step) for index in named},
            seconds=time.perf_counter() - began,
        )  # fmt: skip
        return check, naming

    def _build_rows(self, evidence: Evidence, naming: Naming, check: Check) -> pa.Table:
        """Lay a check out image by image; held-out images have no p-value of their own."""
        training, is_training = len(self._probe.indices), self._probe.is_training
        others = len(is_training) - training
        padding = [None] * others
        onsets = [check.onsets.get(int(index)) for index in self._probe.indices]
        return pa.table(
            {
                "step": pa.array([check.step] * len(is_training), pa.int64()),
                "side": ["training"] * training + ["held_out"] * others,
                "index": pa.array(self._probe.indices.tolist() + padding, pa.int64()),
                "spikiness": evidence.spikiness,
                "residual": evidence.residual,
                "p_value": pa.array([*naming.p_values, *padding], pa.float64()),
                "q_value": pa.array([*naming.q_values, *padding], pa.float64()),
                "named": pa.array([*naming.named.tolist(), *padding], pa.bool_()),
                "onset": pa.array([*onsets, *padding], pa.int64()),
            }
        )

    def _describe(self) -> dict[str, Any]:
        stop = self.stop
        return {
            "checks": [check.describe() for check in self.checks],
            "stop": None if stop is None else stop.step,
            "level": self._rule.level,
            "relabellings": self._rule.relabellings,
        }

    def _finish(self) -> None:
        if self._run is not None:
            seconds = time.perf_counter() - self._began
            cost = {"seconds": seconds, "monitor_seconds": self._spent}
            self._run = finish_run(self._run, results=self._describe(), cost=cost)
            render_report(self._run.path)


def _estimate_split(values: np.ndarray, is_training: np.ndarray) -> Estimate:
    """Estimate the AUROC of training against held-out images, resampling images."""
    rows = np.flatnonzero(is_training)
    return estimate_auroc(values[rows], rows, values[~is_training])
