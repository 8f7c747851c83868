"""All figures of the paper from real trainings, as a run folder (kind "theory").

One part a figure; each leaves numbers in `results` and arrays in `tensors/`:

- `columns`     columns of W1 as images, four regimes x three noise levels (Figs. 3 and 6)
- `boundary`    trained loss over the closed form's, against beta: where the theorem stops
- `optimizers`  how sparse what they find is, at equal loss (a remark on Cor. 3.2)
- `spread`      std of the representation, duplicates against held-out images (Figs. 4 and 5)
- `sampling`    DDIM through a memorizing and a generalizing stack (Fig. 2)
- `spectrum`    Jacobian spectrum and top vector, hybrid network and a real denoiser (App. B.3)

The page is drawn from the folder by the room of reports.
"""

import time
from collections.abc import Callable
from pathlib import Path

from tqdm.auto import tqdm

from equipoise.denoisers import fingerprint
from equipoise.runs import Run, finish_run, start_run, write_tensors
from equipoise.theory.figures.boundary import build_boundary, build_optimizers
from equipoise.theory.figures.columns import build_columns
from equipoise.theory.figures.network import DECAY, FEW_UNITS, MANY_UNITS, Networks
from equipoise.theory.figures.part import SIGMAS, Part
from equipoise.theory.figures.sampling import build_sampling
from equipoise.theory.figures.spectrum import Subject, build_spectrum
from equipoise.theory.figures.spread import build_spread
from equipoise.theory.regime import Images


def run_figures(images: Images, subject: Subject, out: Path, *, seed: int) -> Run:
    """Train, measure and write everything the figures show.

    Args:
        images: Real images to train on.
        subject: A real denoiser for the Jacobian view.
        out: Run folder to write.
        seed: Seed of draws, weights and noise.

    Raises:
        RunError: when `out` holds a run already.
    """
    spec = {
        "source": images.source, "images": len(images.training), "side": images.side,
        "held_out": len(images.held_out), "sigmas": SIGMAS, "seed": seed, "subject": subject.name,
        "units": {"few": FEW_UNITS, "many": MANY_UNITS},
        "weight_decay": DECAY,
    }  # fmt: skip
    run = start_run(
        out, kind="theory", spec=spec, provenance={"model": fingerprint(subject.denoiser)}
    )
    nets = Networks(images, seed)
    parts: dict[str, Callable[[], Part]] = {
        "columns": lambda: build_columns(nets),
        "boundary": lambda: build_boundary(images, seed),
        "optimizers": lambda: build_optimizers(nets.regimes["memorizing"], seed),
        "spread": lambda: build_spread(nets),
        "sampling": lambda: build_sampling(nets, seed),
        "spectrum": lambda: build_spectrum(nets, subject),
    }
    results, cost = {}, {}
    for name, build in tqdm(parts.items(), desc="figures", leave=False):
        started = time.perf_counter()
        part = build()
        write_tensors(run, name, part.tensors)
        results[name] = part.results
        cost[name] = {"seconds": time.perf_counter() - started}
    seconds = sum(entry["seconds"] for entry in cost.values())
    return finish_run(run, results=results, cost={"parts": cost, "seconds": seconds})
