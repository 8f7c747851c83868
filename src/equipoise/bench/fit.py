"""Fit everything a zoo model ships besides its weights, on outputs of its recipe's own seed.

The outputs are split once:

- reference: the first novel outputs, which only measure the scale of the units;
- selection: copies of the *selection* half of the planted images, and the next novel outputs.
  Sigma, pooling, statistic, scale and sign of the detector, at the model's default sites
  together, are chosen here, and so are site, sigma and sign of the paper's statistic and of
  every baseline.
- calibration: the novel outputs that remain. They set the threshold.

Nothing is chosen on copies of the *report* half. Their scores are written into the calibration as
known copies, so that an audit knows what share of copies it finds; the demo reports on that half
from fresh seeds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm.auto import tqdm

from equipoise.bench.baselines import DenoisingResidual, score_pictures
from equipoise.bench.outputs import LabelledOutputs, generate_outputs
from equipoise.denoisers import Denoiser
from equipoise.detection import (
    Calibration,
    KnownCopies,
    Spikiness,
    SweepCell,
    calibrate_scores,
    choose_cell,
    sweep_cells,
    weighted_auroc,
)
from equipoise.errors import CalibrationError
from equipoise.images import as_unit
from equipoise.representation import select_sites
from equipoise.runs.atomic import write_atomic
from equipoise.zoo.package import ZooModel

NUM_OUTPUTS = 8500
NUM_REFERENCE = 1000
NUM_SELECTION_NOVEL = 1000
MIN_CALIBRATION = 4000
PROMISED = 0.01
SIGMA_SHARES = (0.1, 0.2, 0.4, 0.8)
SWEEP_BATCH = 128


class Rivals(BaseModel):
    """What the detector is compared with, chosen on the selection split; a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: Spikiness
    """The paper's own statistic, standard deviation of the maximum, at its best site and sigma."""
    residual: DenoisingResidual
    """The denoising residual at its best sigma."""
    picture_signs: dict[str, Literal[1, -1]]
    """Sign of every baseline that sees the picture alone."""

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_atomic(path, self.model_dump_json(indent=1).encode())


@dataclass(frozen=True)
class Fitted:
    """What fitting a zoo model leaves behind."""

    calibration: Calibration
    rivals: Rivals
    outputs: LabelledOutputs


def load_rivals(path: Path) -> Rivals:
    """Read the rivals of a zoo model."""
    try:
        return Rivals.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CalibrationError(
            f'"{path}" does not hold the rivals of a zoo model; make them with `zoo train`.'
        ) from error


def fit_zoo_model(model: ZooModel) -> Fitted:
    """Choose the detector and its rivals, and calibrate it.

    Raises:
        CalibrationError: when the model made too few copies or novel outputs.
    """
    outputs = draw_outputs(model)
    reference, selected, _ = split_outputs(outputs)
    planted = name_copies(outputs, selected)
    cells = sweep_outputs(model, outputs, selected=selected, reference=reference)
    # A few dozen planted images cannot choose among a thousand combinations; the default sites
    # together vary least from image to image, so sigma, statistic and sign are chosen there.
    joined = select_sites(model.denoiser, model.denoiser.default_sites)
    chosen = choose_cell([cell for cell in cells if cell.detector.sites == joined], planted)
    paper = choose_cell([cell for cell in cells if is_paper_recipe(cell.detector)], planted)
    calibration = calibrate_detector(
        model,
        chosen.detector,
        outputs,
        selection=describe_choice(chosen.auroc, planted, len(cells)),
    )
    rivals = Rivals(
        paper=paper.detector,
        residual=choose_residual(model, outputs, selected),
        picture_signs=_choose_signs(_pick(outputs, selected), planted),
    )
    return Fitted(calibration, rivals, outputs)


def draw_outputs(model: ZooModel) -> LabelledOutputs:
    """Draw the outputs that everything is fitted on."""
    return generate_outputs(model, NUM_OUTPUTS, seed=model.recipe.seed, stream="recipe")


def describe_choice(
    auroc: float, planted: torch.Tensor, cells: int
) -> dict[str, float | int | str]:
    """Say for the record how a detector was chosen, and on what."""
    return {
        "auroc": auroc,
        "copies": int((planted >= 0).sum()),
        "planted_images": len(planted[planted >= 0].unique()),
        "novel": int((planted < 0).sum()),
        "cells": cells,
    }


def calibrate_detector(
    model: ZooModel,
    detector: Spikiness,
    outputs: LabelledOutputs,
    *,
    selection: dict[str, float | int | str],
) -> Calibration:
    """Set the threshold on the novel outputs that remain; score the copies of the report half."""
    remaining, copied = split_outputs(outputs)[2], np.flatnonzero(outputs.copies_of("report"))

    def score(rows: np.ndarray) -> torch.Tensor:
        part = _pick(outputs, rows)
        told = detector.condition == "own"
        conditions = draw_conditions(model, outputs, rows) if told else None
        return detector.score(
            model.denoiser, as_unit(part.pictures), part.ids, conditions=conditions
        ).values

    images, scores = outputs.nearest[copied], score(copied) if len(copied) else torch.zeros(0)
    return calibrate_scores(
        detector, model.denoiser, score(remaining), outputs.pictures[torch.from_numpy(remaining)],
        fpr=PROMISED, null="generated and novel", selection=selection,
        copies=tuple(
            KnownCopies(image=int(image), scores=tuple(scores[images == image].tolist()))
            for image in np.unique(images)
        ),
    )  # fmt: skip


def draw_conditions(
    model: ZooModel, outputs: LabelledOutputs, rows: np.ndarray
) -> torch.Tensor | None:
    """Draw again what outputs of `draw_outputs` were asked for."""
    return model.draw_conditions([outputs.sources[row] for row in rows], seed=model.recipe.seed)


def sweep_outputs(
    model: ZooModel, outputs: LabelledOutputs, *, selected: np.ndarray, reference: np.ndarray
) -> list[SweepCell]:
    """Sweep the zoo's sites and sigmas; the cells hold the scores of the selected rows."""
    part = _pick(outputs, np.concatenate([reference, selected]))
    is_reference = torch.arange(len(part.ids)) < len(reference)
    singles = select_sites(model.denoiser, model.recipe.swept_sites)
    cells = sweep_cells(
        model.denoiser, as_unit(part.pictures), part.ids,
        site_sets=[*((site,) for site in singles), model.denoiser.default_sites],
        sigmas=list_sigmas(model.denoiser),
        reference=is_reference, batch=SWEEP_BATCH,
    )  # fmt: skip
    shown = tqdm(cells, desc="sweep", unit="cell", leave=False)
    return [SweepCell(cell.detector, cell.scores[~is_reference]) for cell in shown]


def list_sigmas(denoiser: Denoiser) -> list[float]:
    """List the noise levels that are tried, as the model knows them."""
    return [denoiser.snap(share * denoiser.data_std) for share in SIGMA_SHARES]


def name_copies(outputs: LabelledOutputs, rows: np.ndarray) -> torch.Tensor:
    """Return the planted image each row copies, or -1 where it is no copy."""
    copied = outputs.labels[rows] == "copy"
    return torch.from_numpy(np.where(copied, outputs.nearest[rows], -1))


def is_paper_recipe(detector: Spikiness) -> bool:
    """Say whether a detector is the paper's: std of the maximum at one site, units as they are."""
    recipe = (detector.pooling, detector.statistic, detector.scale, len(detector.sites))
    return recipe == ("max", "std", None, 1)


@dataclass(frozen=True)
class _Part:
    pictures: torch.Tensor
    ids: list[str]


def _pick(outputs: LabelledOutputs, rows: np.ndarray) -> _Part:
    return _Part(outputs.pictures[torch.from_numpy(rows)], [outputs.ids[row] for row in rows])


def split_outputs(outputs: LabelledOutputs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of the reference, of the selection and of the calibration.

    Raises:
        CalibrationError: when the model made too few copies or novel outputs.
    """
    novel = np.flatnonzero(outputs.novel)
    copies = np.flatnonzero(outputs.copies_of("selection"))
    reference, others, remaining = np.split(
        novel, [NUM_REFERENCE, NUM_REFERENCE + NUM_SELECTION_NOVEL]
    )
    if not len(copies) or len(remaining) < MIN_CALIBRATION:
        raise CalibrationError(
            f"The model made {len(copies)} copies of selection images and {len(novel)} novel "
            f"outputs among {NUM_OUTPUTS}: at least one copy and "
            f"{NUM_REFERENCE + NUM_SELECTION_NOVEL + MIN_CALIBRATION} novel outputs are needed. "
            "Train it longer, or draw more outputs."
        )
    return reference, np.concatenate([copies, others]), remaining


def choose_residual(
    model: ZooModel, outputs: LabelledOutputs, rows: np.ndarray
) -> DenoisingResidual:
    """Choose noise level and sign of the denoising residual on some outputs."""
    part, planted = _pick(outputs, rows), name_copies(outputs, rows)
    candidates = []
    for sigma in list_sigmas(model.denoiser):
        residual = DenoisingResidual(sigma=sigma)
        scores = residual.score(model.denoiser, as_unit(part.pictures), part.ids).values
        candidates.append((weighted_auroc(scores, planted), residual))
    area, best = max(candidates, key=lambda candidate: abs(candidate[0] - 0.5))
    return best if area >= 0.5 else best.model_copy(update={"sign": -best.sign})


def _choose_signs(part: _Part, planted: torch.Tensor) -> dict[str, Literal[1, -1]]:
    signs: dict[str, Literal[1, -1]] = {}
    for name, values in score_pictures(part.pictures).items():
        signs[name] = 1 if weighted_auroc(values, planted) >= 0.5 else -1
    return signs
