r"""The figures of the paper from real trainings, as a run folder (kind "theory").

One part a figure; each returns numbers for `results` and arrays for `tensors/`:

- `columns`     columns of W1 as images, three regimes x three noise levels (Figs. 3 and 6)
- `boundary`    trained loss over the closed form's, against beta: where the theorem stops
- `optimizers`  how sparse what they find is, at equal loss (a remark on Cor. 3.2)
- `contrast`    std of the representation, duplicates against held-out images (Figs. 4 and 5)
- `sampling`    DDIM through a memorizing and a generalizing stack (Fig. 2)
- `jacobian`    spectrum and top singular vector, hybrid network and a real denoiser (App. B.3)

The page is drawn from the folder by the room of reports.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize
from tqdm.auto import tqdm

from equipoise.denoisers import Denoiser, fingerprint
from equipoise.runs import Run, finish_run, start_run, write_tensors
from equipoise.theory.closed_forms import memorizing_weights
from equipoise.theory.contrast import measure_contrast
from equipoise.theory.jacobian import JacobianSpectrum, measure_jacobian
from equipoise.theory.objective import relu_loss
from equipoise.theory.regime import (
    Images,
    Regime,
    build_generalizing,
    build_hybrid,
    build_memorizing,
    draw_sets,
    measure_beta,
)
from equipoise.theory.relu_dae import ReluDae, ReluDaeDenoiser, build_relu_dae
from equipoise.theory.separability import separability
from equipoise.theory.stack import DaeStack, measure_nearest, sample_ddim, space_sigmas
from equipoise.theory.training import build_random_dae, fit_relu_dae, train_relu_dae

SIGMAS = (0.2, 1.0, 5.0)
"""Noise levels of the paper's figures, in data units (pixels from -1 to 1)."""
SHOWN = 15
"""Columns, samples and vectors kept for the page, of each kind."""
FEW_UNITS, MANY_UNITS = 20, 64
FEW_DECAY = 0.01
HYBRID_DECAY = 0.3
"""Weight decay chooses between few columns and many; at a lower one no column is a duplicate."""
BETAS = (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
COPY_COSINE = 0.95
"""A column is a stored image from this cosine on."""
OPTIMIZERS = (
    ("momentum", 0.005), ("adam", 0.01), ("adam", 0.05), ("adamw", 0.05), ("rmsprop", 0.003)
)  # fmt: skip
LOOKS = 8
"""Noise draws an image is looked at with."""


@dataclass(frozen=True)
class Subject:
    """A real denoiser, with samples it memorized and samples it never saw, in data units."""

    name: str
    denoiser: Denoiser
    memorized: Float[Tensor, "case ..."]
    held_out: Float[Tensor, "other ..."]
    sigma: float


@dataclass
class Part:
    """What one part of the job found."""

    results: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)

    def keep(self, name: str, tensor: Tensor) -> None:
        """Store an array for the page, in float32."""
        self.tensors[name] = tensor.detach().float().contiguous().numpy()


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
        "weight_decay": {"few": FEW_DECAY, "hybrid": HYBRID_DECAY},
    }  # fmt: skip
    run = start_run(
        out, kind="theory", spec=spec, provenance={"model": fingerprint(subject.denoiser)}
    )
    nets = _Networks(images, seed)
    parts: dict[str, Callable[[], Part]] = {
        "columns": lambda: build_columns(nets),
        "boundary": lambda: build_boundary(images, seed),
        "optimizers": lambda: build_optimizers(nets.regimes["memorizing"], seed),
        "contrast": lambda: build_contrast(nets),
        "sampling": lambda: build_sampling(nets, seed),
        "jacobian": lambda: build_jacobian(nets, subject),
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


class _Networks:
    """The networks that several parts look at, trained when they are first asked for."""

    def __init__(self, images: Images, seed: int) -> None:
        self.seed = seed
        built = (
            build_memorizing(images, seed=seed),
            build_generalizing(images),
            build_hybrid(images, seed=seed),
        )
        self.regimes = {regime.name: regime for regime in built}
        self._trained: dict[tuple[str, float, int], ReluDae] = {}

    def get(self, name: str, sigma: float, *, offset: int = 0) -> ReluDae:
        """Train a network of a regime at a noise level, once."""
        key = (name, sigma, offset)
        if key not in self._trained:
            train = train_few if name == "memorizing" else train_many
            decay = {"memorizing": FEW_DECAY, "generalizing": 1e-4, "hybrid": HYBRID_DECAY}[name]
            self._trained[key] = train(
                self.regimes[name].X, sigma=sigma, weight_decay=decay, seed=self.seed + offset
            )
        return self._trained[key]


def train_few(
    X: Float[Tensor, "case dim"], *, sigma: float, weight_decay: float, seed: int,
    optimizer: str = "adam", rate: float = 0.02, steps: int = 800,
) -> ReluDae:  # fmt: skip
    """Train a network on a few samples, with many noise draws a step."""
    start = build_random_dae(X.shape[1], FEW_UNITS, scale=0.05, seed=seed)
    states = train_relu_dae(
        start, X, sigma=sigma, weight_decay=weight_decay, steps=steps, rate=rate,
        optimizer=optimizer, batch=160, seed=seed,
    )  # fmt: skip
    return fit_relu_dae(states)


def train_many(
    X: Float[Tensor, "case dim"], *, sigma: float, weight_decay: float, seed: int,
    start: ReluDae | None = None, steps: int = 1500,
) -> ReluDae:  # fmt: skip
    """Train a network on many samples, in minibatches."""
    start = start or build_random_dae(X.shape[1], MANY_UNITS, scale=0.05, seed=seed)
    states = train_relu_dae(
        start, X, sigma=sigma, weight_decay=weight_decay, steps=steps, batch=256, seed=seed
    )
    return fit_relu_dae(states)


def build_columns(nets: _Networks) -> Part:
    """Figs. 3 and 6: what the columns of trained networks are, and what their loss is."""
    part = Part()
    rows = []
    for name, regime in nets.regimes.items():
        part.keep(f"{name}-stored", regime.stored)
        for sigma in SIGMAS:
            dae = nets.get(name, sigma)
            part.keep(f"{name}-{sigma:g}", pick_columns(dae.W1, regime.stored))
            rows.append(describe_network(dae, regime, sigma=sigma) | _compare(nets, name, sigma))
    part.results = {"networks": rows}
    return part


def describe_network(dae: ReluDae, regime: Regime, *, sigma: float) -> dict[str, Any]:
    """Measure one trained network: its columns, its loss, and how balanced it is."""
    found = {
        "regime": regime.name, "sigma": sigma, "n": len(regime.X), "units": dae.W1.shape[1],
        "training_units": _effective(dae, regime.X[-2000:]),
        "held_out_units": _effective(dae, regime.held_out[:2000]),
        "stored_columns": None, "stored_images": None, "stored_units": None,
        "beta": None, "margin": None,
    }  # fmt: skip
    if len(regime.stored):
        cosine = normalize(regime.stored, dim=1) @ normalize(_alive(dae.W1), dim=0)
        found["stored_columns"] = float((cosine.max(0).values > COPY_COSINE).float().mean())
        found["stored_images"] = int((cosine.max(1).values > COPY_COSINE).sum())
        found["stored_units"] = _effective(dae, regime.stored)
    if regime.name == "memorizing":
        measured = separability(regime.X)
        found |= {"beta": measured.beta, "margin": measured.margin}
    return found


def _compare(nets: _Networks, name: str, sigma: float) -> dict[str, Any]:
    """Compare three trainings on few samples with Eq. 9; nothing for the other regimes."""
    if name != "memorizing":
        return {"ratios": None}
    X = nets.regimes[name].X
    daes = [nets.get(name, sigma, offset=offset) for offset in range(3)]
    return {"ratios": [compare_loss(dae, X, sigma=sigma) for dae in daes]}


def compare_loss(dae: ReluDae, X: Float[Tensor, "case dim"], *, sigma: float) -> float:
    """Return the true ReLU loss of a network over that of Eq. 9, in float64."""
    X = X.double()
    W = memorizing_weights(X, sigma=sigma, weight_decay=FEW_DECAY, num_units=len(X)).W
    trained, closed = (
        relu_loss(net, X, sigma=sigma, weight_decay=FEW_DECAY).detach()
        for net in (build_relu_dae(dae.W1.double(), dae.W2.double()), build_relu_dae(W))
    )
    return float(trained / closed)


def pick_columns(
    W: Float[Tensor, "dim unit"], stored: Float[Tensor, "stored dim"]
) -> Float[Tensor, "shown dim"]:
    """Return the columns nearest to the stored samples first, then the longest of the rest."""
    columns = W.T
    cosine = normalize(stored, dim=1) @ normalize(columns, dim=1).T
    first = list(dict.fromkeys(cosine.argmax(1).tolist()))
    rest = [i for i in columns.norm(dim=1).argsort(descending=True).tolist() if i not in first]
    return columns[(first + rest)[:SHOWN]]


def build_boundary(images: Images, seed: int) -> Part:
    """Train on sets of five with rising beta: the closed form against what training finds."""
    sets = draw_sets(images.training, 2000, seed=seed)
    betas = torch.tensor([measure_beta(images.training[rows]) for rows in sets])
    sigma, points = SIGMAS[0], []
    for wanted in BETAS:
        chosen = int((betas - wanted).abs().argmin())
        X = images.training[sets[chosen]]
        X = X - X.mean(0)
        dae = train_few(X, sigma=sigma, weight_decay=FEW_DECAY, seed=seed, steps=600)
        ratio = compare_loss(dae, X, sigma=sigma)
        points.append({"beta": float(betas[chosen]), "ratio": ratio})
    return Part({"sigma": sigma, "points": points})


def build_optimizers(regime: Regime, seed: int) -> Part:
    """Count the units a stored sample excites, by the optimizer that found them."""
    rows = []
    for optimizer, rate in OPTIMIZERS:
        dae = train_few(
            regime.X, sigma=SIGMAS[0], weight_decay=FEW_DECAY, seed=seed, steps=1000,
            optimizer=optimizer, rate=rate,
        )  # fmt: skip
        units = _effective(dae, regime.X)
        ratio = compare_loss(dae, regime.X, sigma=SIGMAS[0])
        rows.append({"optimizer": optimizer, "rate": rate, "units": units, "ratio": ratio})
    return Part({"rows": rows})


def build_contrast(nets: _Networks) -> Part:
    """Figs. 4 and 5: the std of noisy representations, duplicates against held-out images."""
    part, rows = Part(), []
    regime = nets.regimes["hybrid"]
    groups = list(range(len(regime.stored))) * LOOKS
    for sigma in SIGMAS:
        dae = nets.get("hybrid", sigma)
        generator = torch.Generator().manual_seed(nets.seed)
        memorized = _look(dae, regime.stored.repeat(LOOKS, 1), sigma, generator)
        others = _look(dae, regime.held_out[:2000], sigma, generator)
        scores = [h.std(1, correction=0) for h in (memorized, others)]
        shares = [s / h.norm(dim=1) for s, h in zip(scores, (memorized, others), strict=True)]
        rows.append(
            {
                "sigma": sigma,
                "std": measure_contrast(*(s.numpy() for s in scores), groups=groups),
                "std_over_norm": measure_contrast(*(s.numpy() for s in shares), groups=groups),
            }
        )
        part.keep(f"memorized-{sigma:g}", scores[0])
        part.keep(f"others-{sigma:g}", scores[1])
        part.keep(f"profile-memorized-{sigma:g}", memorized[0])
        part.keep(f"profile-other-{sigma:g}", others[0])
    part.keep("picture-memorized", regime.stored[0])
    part.keep("picture-other", regime.held_out[0])
    part.results = {"rows": rows}
    return part


def build_sampling(nets: _Networks, seed: int) -> Part:
    """Fig. 2: samples of a memorizing and of a generalizing stack beside their nearest image."""
    part = Part()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((200, nets.regimes["hybrid"].X.shape[1]), generator=generator)
    for name, stack in (("memorizing", _store(nets)), ("generalizing", _descend(nets, seed))):
        regime = nets.regimes[name]
        *_, samples = sample_ddim(stack, noise, stack.sigmas)
        nearest = measure_nearest(samples, regime.X)
        fresh = measure_nearest(regime.held_out[:200], regime.X)
        part.keep(f"{name}-samples", samples[:SHOWN])
        part.keep(f"{name}-nearest", regime.X[nearest.index[:SHOWN]])
        part.results[name] = {
            "samples": len(samples), "levels": len(stack.sigmas),
            "sine": _quantiles(nearest.sine), "distance": _quantiles(nearest.distance),
            "held_out_sine": _quantiles(fresh.sine),
            "on_a_ray": float((nearest.sine < 0.1).float().mean()),
        }  # fmt: skip
    return part


def _store(nets: _Networks) -> DaeStack:
    """Memorizing weights at 200 levels, in closed form."""
    X, sigmas = nets.regimes["memorizing"].X, space_sigmas(20.0, 1e-4, count=200)
    daes = [
        build_relu_dae(memorizing_weights(X, sigma=sigma, weight_decay=0.0, num_units=len(X)).W)
        for sigma in sigmas
    ]
    return DaeStack(sigmas, tuple(daes), float(X.std()))


def _descend(nets: _Networks, seed: int) -> DaeStack:
    """Trained generalizing networks at 12 levels, each started from the one before."""
    X, sigmas = nets.regimes["generalizing"].X, space_sigmas(20.0, 0.1, count=12)
    daes: list[ReluDae] = []
    for sigma in sigmas:
        daes.append(
            train_many(
                X, sigma=sigma, weight_decay=1e-4, seed=seed, start=daes[-1] if daes else None,
                steps=400,
            )
        )  # fmt: skip
    return DaeStack(sigmas, tuple(daes), float(X.std()))


def build_jacobian(nets: _Networks, subject: Subject) -> Part:
    """App. B.3: spectra and top vectors at memorized and at new samples."""
    regime, sigma = nets.regimes["hybrid"], SIGMAS[-1]
    dae = nets.get("hybrid", sigma)
    lab = Subject(
        "hybrid ReLU-DAE", ReluDaeDenoiser(dae, (dae.W1.shape[0],), float(regime.X.std())),
        regime.stored, regime.held_out[: len(regime.stored)], sigma,
    )  # fmt: skip
    part, rows = Part(), []
    for key, looked in (("lab", lab), ("subject", subject)):
        for side, samples in (("memorized", looked.memorized), ("new", looked.held_out)):
            found = [_differentiate(looked, x) for x in samples]
            rows.append(
                {
                    "model": looked.name, "key": key, "side": side, "sigma": looked.sigma,
                    "cosines": [spectrum.cosine for spectrum in found],
                    "effective_ranks": [spectrum.effective_rank for spectrum in found],
                }
            )  # fmt: skip
            part.keep(f"{key}-{side}-x", samples.flatten(1))
            part.keep(f"{key}-{side}-values", torch.stack([f.singular_values for f in found]))
            part.keep(
                f"{key}-{side}-vectors", torch.stack([f.top_vector.flatten() for f in found])
            )
    part.results = {"rows": rows}
    return part


def _differentiate(subject: Subject, x: Tensor) -> JacobianSpectrum:
    count = min(12, prod(subject.denoiser.sample_shape) - 1)
    return measure_jacobian(subject.denoiser, x, sigma=subject.sigma, count=count)


def _look(
    dae: ReluDae, x0: Float[Tensor, "case dim"], sigma: float, generator: torch.Generator
) -> Float[Tensor, "case unit"]:
    return dae.representation(x0 + sigma * torch.randn(x0.shape, generator=generator))


def _effective(dae: ReluDae, x: Float[Tensor, "case dim"]) -> float:
    """Return the median number of units that share a clean sample's energy."""
    h = dae.representation(x)
    counts = h.square().sum(1) ** 2 / h.pow(4).sum(1).clamp_min(torch.finfo(h.dtype).tiny)
    return float(counts.median())


def _alive(W: Float[Tensor, "dim unit"]) -> Float[Tensor, "dim kept"]:
    """Drop columns that training left or made short: a hundredth of the longest, in norm."""
    length = W.norm(dim=0)
    return W[:, length > 0.01 * length.max()]


def _quantiles(values: Float[Tensor, " case"]) -> dict[str, float]:
    low, middle, high = values.double().quantile(torch.tensor([0.05, 0.5, 0.95]).double()).tolist()
    return {"low": low, "median": middle, "high": high}
