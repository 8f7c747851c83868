r"""Calibration: from scores to decisions with an error rate.

Fitted on items known not to be memorized. With `n` calibration scores, a new item's conformal
p-value is

    p = (1 + #{calibration scores >= score}) / (n + 1)

and "memorized" means `p <= alpha`. For exchangeable novel items the chance of a false positive is
at most `alpha`; given this calibration it is Beta(k + 1, n - k) distributed with
`k = floor(alpha (n + 1)) - 1`, and the number of false positives among `m` novel items is
beta-binomial.

References:
    Algorithmic Learning in a Random World (Vovk, Gammerman, Shafer, 2005)
    Testing for Outliers with Conformal p-values (Bates et al., 2023) | arXiv 2104.08279
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy import stats
from torch import Tensor

from equipoise.denoisers.protocol import Denoiser, fingerprint
from equipoise.detection.draws import Scores
from equipoise.detection.look import Look
from equipoise.detection.sensitivity import KnownCopies, Sensitivity, measure_sensitivity
from equipoise.detection.spikiness import Spikiness
from equipoise.errors import CalibrationError
from equipoise.images import find_outside, measure_domain
from equipoise.runs.atomic import write_atomic
from equipoise.runs.hub import (
    build_card,
    find_in_repository,
    push_repository,
    write_repository,
)

VERSION = 1
FILE = "calibration.json"
"""Name of the file in a repository."""
Null = Literal["generated and novel", "held-out real", "own outputs"]
Verdict = Literal["memorized", "not_memorized", "inconclusive"]
Mode = Literal["image", "free", "check", "early"]
"""What scores are measured on: finished pictures, or a generation as a guard reads it."""


class Calibration(BaseModel):
    """A detector with a threshold for one model; a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    """Version of this layout."""
    detector: Spikiness
    """What was scored, sign included."""
    fingerprint: str
    """The only model it is valid for."""
    null: Null
    """What the calibration items are."""
    promised: float
    """Promised false-positive rate, alpha."""
    scores: tuple[float, ...]
    """Scores of the calibration items, ascending."""
    domain: dict[str, tuple[float, float]]
    """Range of simple features over the calibration items; outside it nothing is cleared."""
    selection: dict[str, float | int | str] = {}
    """How site, sigma, statistic and sign were chosen; empty when nothing was chosen."""
    copies: tuple[KnownCopies, ...] = ()
    """Scores of known copies that nothing was chosen on; empty where no truth is known."""
    mode: Mode = "image"
    """What the scores were measured on."""
    looks: tuple[Look, ...] = ()
    """Noise levels of the sampler that are read, falling; empty for finished pictures."""
    conditioned: bool = False
    """Whether the forwards that are read had the condition of the output, not the empty one."""
    picture_shape: tuple[int, ...] | None = None
    """Channels, height and width of the calibration items; None where nobody recorded them."""

    @property
    def n(self) -> int:
        """Number of calibration items."""
        return len(self.scores)

    @property
    def allowed_above(self) -> int:
        """Calibration scores that may lie at or above the threshold, k."""
        return _allowed_above(self.promised, self.n)

    @property
    def threshold(self) -> float:
        """The smallest score that is called memorized."""
        # Just above the (k+1)-th largest calibration score, so that `score >= threshold` and
        # `p <= promised` say the same.
        return float(np.nextafter(self.scores[self.n - 1 - self.allowed_above], np.inf))

    def achieved(self, level: float = 0.95) -> tuple[float, float]:
        """Exact interval of the false-positive rate that this threshold has on novel items."""
        k = self.allowed_above
        tail = (1 - level) / 2
        low, high = stats.beta.ppf([tail, 1 - tail], k + 1, self.n - k)
        return float(low), float(high)

    def allowed_false_positives(self, novel: int, level: float = 0.95) -> tuple[int, int]:
        """Beta-binomial prediction interval of the false positives among `novel` items."""
        k = self.allowed_above
        tail = (1 - level) / 2
        low, high = stats.betabinom.ppf([tail, 1 - tail], novel, k + 1, self.n - k)
        return int(low), int(high)

    def sensitivity(self) -> Sensitivity | None:
        """Share of the known copies that this threshold finds; None where none are known."""
        return measure_sensitivity(self.copies, self.threshold)

    def p_values(self, scores: Float64[Tensor, " case"]) -> Float64[Tensor, " case"]:
        """Conformal p-value of every score."""
        calibration = torch.tensor(self.scores, dtype=torch.float64)
        below = torch.searchsorted(calibration, scores.contiguous(), side="left")
        return (1 + self.n - below).double() / (self.n + 1)

    def check_model(self, denoiser: Denoiser, *, mode: Mode = "image") -> None:
        """Refuse a model other than the one calibrated, and scores measured on something else.

        Raises:
            CalibrationError: naming both fingerprints, modes or sizes of pictures.
        """
        if self.mode != mode:
            raise CalibrationError(
                f'This calibration was fitted in mode "{self.mode}" and is asked to judge in '
                f'mode "{mode}": their scores cannot be compared. Finished pictures need '
                "equipoise.calibrate, generations equipoise.calibrate_guard."
            )
        found = fingerprint(denoiser)
        if found != self.fingerprint:
            raise CalibrationError(
                f"This calibration belongs to the model {self.fingerprint}, the model given is "
                f"{found}. Thresholds do not move between models, not even of one recipe: "
                "calibrate this model with `equipoise calibrate`."
            )
        if self.picture_shape not in (None, denoiser.image_shape):
            raise CalibrationError(
                f"This calibration was fitted on pictures of the shape {self.picture_shape}, and "
                f"the model is open for {denoiser.image_shape}. Scores of two sizes cannot be "
                "compared: open it with the size of the calibration, or calibrate again."
            )

    def save(self, path: Path) -> None:
        """Write the calibration as JSON."""
        write_atomic(path, self.model_dump_json(indent=1).encode())

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the calibration and a card into a folder, as `from_pretrained` reads it."""
        write_repository(Path(folder), FILE, self.save, self._describe())

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, token: str | None = None
    ) -> str:
        """Upload the calibration and a card to the Hugging Face hub.

        Args:
            repo_id: NAME/REPOSITORY; made when it is not there.
            private: Whether a new repository is private; None is the hub's default.
            token: Token that may write; None is the one of `hf auth login`.

        Returns:
            The address of the commit.

        Raises:
            BadInputError: when the hub refuses, or cannot be reached.
        """
        return push_repository(repo_id, self.save_pretrained, private=private, token=token)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, revision: str | None = None, token: str | None = None
    ) -> "Calibration":
        """Read a calibration from a folder, or fetch it from the Hugging Face hub.

        Args:
            source: Folder that `save_pretrained` wrote, or NAME/REPOSITORY.
            revision: Branch, tag or commit of the repository.
            token: Token for a private one; None is that of `hf auth login`.

        Raises:
            BadInputError: when there is none, or the hub cannot be reached.
            CalibrationError: when the file is damaged or of a later version.
        """
        return load_calibration(find_in_repository(source, FILE, revision=revision, token=token))

    def _describe(self) -> str:
        low, high = self.achieved()
        facts = {
            "fingerprint of the model": self.fingerprint,
            "promised false-positive rate": f"{self.promised:g}",
            "rate it has on novel items": f"{low:.2%} to {high:.2%} (95 %, n = {self.n})",
            "calibration items": self.null,
            "judges": "finished pictures"
            if self.mode == "image"
            else f"generations ({self.mode})",
            "sites": ", ".join(self.detector.sites),
            "noise level, data units": f"{self.detector.sigma:.4g}",
            "statistic": f"{self.detector.statistic} of {self.detector.pooling}",
        }
        return build_card(
            "calibration", facts,
            "A threshold does not move between models, not even between two trainings of one "
            "recipe: equipoise refuses it for any other model.",
        )  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """What a calibration says of items: one p-value and one verdict an item."""

    p_values: Float64[Tensor, " case"]
    verdicts: tuple[Verdict, ...]


def calibrate_scores(
    detector: Spikiness,
    denoiser: Denoiser,
    scores: Float64[Tensor, " case"],
    pictures: UInt8[Tensor, "case channel height width"] | None,
    *,
    fpr: float,
    null: Null,
    selection: dict[str, float | int | str] | None = None,
    copies: tuple[KnownCopies, ...] = (),
    mode: Mode = "image",
    looks: tuple[Look, ...] = (),
    conditioned: bool = False,
) -> Calibration:
    """Set the threshold for a false-positive rate from the scores of non-memorized items.

    Args:
        detector: What made the scores.
        denoiser: The model they belong to.
        scores: Scores of the calibration items.
        pictures: The items themselves, for the recorded domain; None leaves it open.
        fpr: Wanted false-positive rate, between 1/(n+1) and 1.
        null: What the items are.
        selection: How the detector was chosen, for the record.
        copies: Scores of known copies, made by the same detector and model.
        mode: What the scores were measured on.
        looks: Noise levels of the sampler that were read.
        conditioned: Whether those forwards had the condition of the output.

    Raises:
        CalibrationError: when the rate is finer than n items can promise.
    """
    _check_rate(fpr, len(scores))
    if not bool(torch.isfinite(scores).all()):
        raise CalibrationError(
            f"{int((~torch.isfinite(scores)).sum())} of {len(scores)} calibration scores are not "
            "finite; the statistic is undefined there. Choose another site or statistic."
        )
    domain = {} if pictures is None else measure_domain(pictures)
    return Calibration(
        detector=detector, fingerprint=fingerprint(denoiser), null=null, promised=fpr,
        scores=tuple(sorted(scores.tolist())), domain=domain,
        selection=selection or {}, copies=copies,
        mode=mode, looks=looks, conditioned=conditioned,
        picture_shape=None if pictures is None else tuple(pictures.shape[1:]),
    )  # fmt: skip


def load_calibration(path: Path) -> Calibration:
    """Read a calibration file.

    Raises:
        CalibrationError: when the file is missing, damaged or of a later version.
    """
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CalibrationError(
            f'The calibration "{path}" cannot be read ({error.strerror}).'
        ) from error
    except ValidationError as error:
        raise CalibrationError(
            f'"{path}" is not a calibration file: {error.error_count()} field(s) are wrong. '
            "Make one with `equipoise calibrate`."
        ) from error
    if calibration.version > VERSION:
        raise CalibrationError(
            f'"{path}" has layout {calibration.version}, this equipoise reads up to {VERSION}.'
        )
    return calibration


def judge(
    calibration: Calibration,
    scores: Scores,
    pictures: UInt8[Tensor, "case channel height width"],
) -> Judgement:
    """Give every item its p-value and verdict.

    memorized: `p <= promised`. inconclusive: otherwise, when the interval over draws straddles the
    threshold or the picture lies outside the recorded domain. not_memorized: the rest.
    """
    values = scores.values
    interval = scores.interval()
    straddles = (interval[:, 0] < calibration.threshold) & (
        interval[:, 1] >= calibration.threshold
    )
    outside = find_outside(pictures, calibration.domain)
    flagged = (values >= calibration.threshold).tolist()
    rows = zip(flagged, straddles.tolist(), outside, strict=True)
    verdicts: tuple[Verdict, ...] = tuple(_verdict(f, doubtful=s or o) for f, s, o in rows)
    return Judgement(calibration.p_values(values), verdicts)


def q_values(p_values: Float64[Tensor, " case"]) -> Float64[Tensor, " case"]:
    """Benjamini-Hochberg q-values."""
    return torch.from_numpy(stats.false_discovery_control(p_values.numpy(), method="bh"))


def _verdict(flagged: bool, *, doubtful: bool) -> Verdict:
    if flagged:
        return "memorized"
    return "inconclusive" if doubtful else "not_memorized"


def _allowed_above(fpr: float, n: int) -> int:
    # The tiny slack keeps .01 * 100 from falling below 1 in floating point.
    return math.floor(fpr * (n + 1) + 1e-9) - 1


def _check_rate(fpr: float, n: int) -> None:
    if not 0 < fpr < 1:
        raise CalibrationError(f"A false-positive rate of {fpr} was asked for: give 0 < fpr < 1.")
    if _allowed_above(fpr, n) < 0:
        raise CalibrationError(
            f"A false-positive rate of {fpr:g} cannot be promised from {n} calibration items: the "
            f"finest is 1/(n+1) = {1 / (n + 1):.3g}. Give at least "
            f"{math.ceil(1 / fpr - 1e-9) - 1} items."
        )
