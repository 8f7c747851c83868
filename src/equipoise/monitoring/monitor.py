"""Monitor: look at a training from outside and say when it begins to memorize.

A monitor is told of every step; when a check is due it holds a fixed probe of training images
against held-out ones (`split.py`). Who tells it: a generator around a loop (`loop.py`), or a
callback of transformers, Lightning or accelerate. Between checks nothing is done, and a check
leaves the training as it was: the weights of a training with a monitor are those of the training
without, bit for bit.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from equipoise.bench.interval import Estimate, estimate_auroc
from equipoise.denoisers import Denoiser
from equipoise.detection import Spikiness
from equipoise.errors import BadInputError, RunError
from equipoise.monitoring.check import Check, read_check
from equipoise.monitoring.consistency import observe_icr
from equipoise.monitoring.probe import Evidence, Probe, build_detector, build_probe, look
from equipoise.monitoring.rows import build_rows, read_evidence
from equipoise.monitoring.split import Naming, name_images, weigh_images
from equipoise.monitoring.stop_rule import Course, StopRule
from equipoise.monitoring.undisturbed import undisturbed
from equipoise.report import render_report
from equipoise.runs import (
    Run,
    drop_checks,
    finish_run,
    resume_run,
    start_run,
    update_run,
    write_check,
)

STOP_RULE = "alpha spending among relabelled courses, gain of the residual"
"""Part of the spec: checks made under another rule are not gone on with."""


@dataclass(frozen=True)
class MonitorSpec:
    """Everything that was asked of a monitor.

    Args:
        every: Steps between two checks, at least.
        checks: Most checks that are made; `false_stops` is spent evenly over them.
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
class _Tested:
    """Who is named, and what the stop rule goes by: it stops at a p-value down to the level."""

    naming: Naming
    p_value: float
    level: float


@dataclass
class Monitor:
    """What watches a training; `begin`, then `observe` after every step, then `finish`.

    Args:
        training: Training images, 8 bits; None without them.
        held_out: Images like them that the model never sees, 8 bits.
        spec: How often, how many, and at which rates.
        detector: Where and how to look; default the paper's statistic at all default sites.
        count_copies: Called with the denoiser at each check; gives the share of copies among
            fresh outputs.
        out: Run folder; None writes none.
        generate: In place of training images: called with the denoiser at each check, gives fresh
            outputs, 8 bits. They are no sample of what is held out, so nothing is tested or
            named; what memorization does to the curves is to lift them.
        checks: What was seen so far.
    """

    training: UInt8[Tensor, "case channel height width"] | None
    held_out: UInt8[Tensor, "other channel height width"]
    spec: MonitorSpec
    detector: Spikiness | None = None
    count_copies: Callable[[Denoiser], float] | None = None
    out: Path | None = None
    generate: Callable[[Denoiser], UInt8[Tensor, "case channel height width"]] | None = None
    checks: list[Check] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spec.check()
        spec = self.spec
        if (self.training is None) == (self.generate is None):
            raise BadInputError(
                "Cannot monitor: give either training=, images the model is trained on, or "
                "generate=, a function of the denoiser that gives fresh outputs."
            )
        self._probe = (
            None if self.training is None
            else build_probe(self.training, self.held_out, size=spec.probe, seed=spec.seed)
        )  # fmt: skip
        self._rule = StopRule(spec.false_stops, spec.checks, spec.seed)
        self._course: Course | None = None
        self._seen: list[Evidence] = []
        self._run: Run | None = None
        self._began: float | None = None
        self._spent = self._last = 0.0

    @property
    def stop(self) -> Check | None:
        """The first check at which the rule stopped; None so far."""
        return next((check for check in self.checks if check.stops), None)

    def begin(self, step: int = 0) -> None:
        """Begin, or go on with a training that has `step` steps behind it.

        Checks that the record holds up to there count as made, later ones are forgotten.

        Raises:
            RunError: when the folder holds a run already and the training is at its beginning,
                or a run of another spec or of other images, or when what a check saw is damaged.
        """
        if self.out is not None:
            self._run = self._open_run(self.out, step)
        if self._probe is not None:
            self._course, self._seen = Course(self._rule, self._probe.is_training), []
        if self._course is not None and self._run is not None:
            self._repeat(self._course, self._run)
        self._began, self._spent, self._last = time.perf_counter(), 0.0, 0.0

    def observe(self, step: int, find_denoiser: Callable[[], Denoiser]) -> Check | None:
        """Make a check after this step if one is due.

        Args:
            step: Steps made so far.
            find_denoiser: Gives the denoiser to look into, when it is needed.

        Raises:
            BadInputError: when the monitor has not begun.
        """
        if self._began is None:
            raise BadInputError(
                "This monitor has not begun: call begin(), or enter its with block, before the "
                "first step."
            )
        if step % self.spec.every or not self._may_check():
            return None
        began = time.perf_counter()
        denoiser = find_denoiser()
        with undisturbed(denoiser.network):
            probe = self._probe or self._draw_probe(denoiser)
            detector = self.detector or build_detector(denoiser)
            evidence = look(probe, denoiser, detector)
            icr = observe_icr(denoiser, probe.pictures[: len(probe.indices)], detector)
            copies = None if self.count_copies is None else self.count_copies(denoiser)
        tested = self._test(evidence)
        naming = None if tested is None else tested.naming
        check = Check(
            step=step,
            spikiness=_estimate_split(evidence.spikiness, probe.is_training),
            residual=_estimate_split(evidence.residual, probe.is_training),
            icr=icr, copies=copies,
            p_value=None if tested is None else tested.p_value,
            level=None if tested is None else tested.level,
            stops=tested is not None and self.stop is None and tested.p_value <= tested.level,
            onsets=self._continue_onsets(probe, naming, step),
            seconds=time.perf_counter() - began,
        )  # fmt: skip
        self.checks.append(check)
        if self._run is not None:
            write_check(self._run, step, build_rows(probe, evidence, naming, check))
            self._run = update_run(self._run, results=self._describe())
            render_report(self._run.path)
        self._last = time.perf_counter() - began
        self._spent += self._last
        return check

    def finish(self) -> None:
        """Close the run folder; nothing more is observed."""
        if self._run is not None and self._began is not None:
            seconds = time.perf_counter() - self._began
            cost = {"seconds": seconds, "monitor_seconds": self._spent}
            self._run = finish_run(self._run, results=self._describe(), cost=cost)
            render_report(self._run.path)

    def _open_run(self, folder: Path, step: int) -> Run:
        """Open the run folder, with the checks up to a step and no others."""
        watched = {"images": "generated"} if self._probe is None else self._probe.describe()
        spec = vars(self.spec) | watched | {"stop_rule": STOP_RULE}
        open_run = resume_run if step else start_run
        run = open_run(folder, kind="monitor", spec=spec, provenance={})
        known = [read_check(entry) for entry in run.record.results.get("checks", [])]
        self.checks = [check for check in known if check.step <= step]
        drop_checks(run, keep={check.step for check in self.checks})
        return update_run(run, results=self._describe()) if self.checks else run

    def _repeat(self, course: Course, run: Run) -> None:
        """Bring the relabellings to where the checks of the run folder left them.

        Raises:
            RunError: when the file of a check is damaged or missing.
        """
        seen = [*read_evidence(run)]
        if len(seen) != len(self.checks):
            raise RunError(
                f'"{run.path}" has {len(self.checks)} checks in its record and {len(seen)} of '
                "their files: the stop rule cannot go on without them. Give another out=."
            )
        self._seen = seen
        for check in range(1, len(seen) + 1):
            course.look(weigh_images(seen[:check]))

    def _may_check(self) -> bool:
        """Whether a check is left, and the time for one as long as the last."""
        if len(self.checks) == self.spec.checks:
            return False
        if self.spec.budget is None or not self._last:
            return True
        assert self._began is not None
        trained = time.perf_counter() - self._began - self._spent
        return self._spent + self._last <= self.spec.budget * trained

    def _draw_probe(self, denoiser: Denoiser) -> Probe:
        """Put fresh outputs in the place of training images."""
        assert self.generate is not None
        outputs = self.generate(denoiser)[: self.spec.probe]
        return Probe(torch.cat([outputs, self.held_out]), np.arange(len(outputs)))

    def _test(self, evidence: Evidence) -> _Tested | None:
        """Name images and test the split; neither is possible of outputs."""
        if self._probe is None or self._course is None:
            return None
        self._seen.append(evidence)
        weights, is_training = weigh_images(self._seen), self._probe.is_training
        naming = name_images(weights, is_training, fdr=self.spec.fdr)
        ruling = self._course.look(weights)
        p_value = float(ruling.find_p_values(weights[None, is_training].sum(axis=1))[0])
        return _Tested(naming, p_value, ruling.level)

    def _continue_onsets(self, probe: Probe, naming: Naming | None, step: int) -> dict[int, int]:
        if naming is None:
            return {}
        before = self.checks[-1].onsets if self.checks else {}
        named = probe.indices[naming.named].tolist()
        return {index: before.get(index, step) for index in named}

    def _describe(self) -> dict[str, Any]:
        stop = self.stop
        return {
            "checks": [check.describe() for check in self.checks],
            "stop": None if stop is None else stop.step,
            "relabellings": self._rule.relabellings,
        }


def _estimate_split(values: np.ndarray, is_training: np.ndarray) -> Estimate:
    """Estimate the AUROC of training against held-out images, resampling images."""
    rows = np.flatnonzero(is_training)
    return estimate_auroc(values[rows], rows, values[~is_training])
