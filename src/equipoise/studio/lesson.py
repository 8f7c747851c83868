"""Theory: train the paper's small network on real pictures, and look at what it keeps.

The pictures are images of Fashion-MNIST at 8 x 8 px less their mean, and of norm 1, so that the
noise level is a share of an image's length in every direction. They are chosen to point apart: the
theorem asks for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from markupsafe import Markup
from torch import Tensor
from torch.nn import functional as F

from equipoise.report.picture import build_picture
from equipoise.report.plot import render_profile
from equipoise.studio.context import Studio, get_count, get_number
from equipoise.studio.page import render_result
from equipoise.studio.task import Progress, Work
from equipoise.theory import build_random_dae, train_relu_dae
from equipoise.zoo.package import load_pictures

SIDE = 8  # px
STEPS, RATE = 600, 0.02
DECAY = 0.03
TOLD_EVERY = 50
STORED = 0.95
"""Cosine from which on a column is an image."""
BATCH = 160
SHOWN = 48
POOL = 2000  # images from which those that point apart are chosen


@dataclass(frozen=True)
class Answer:
    """What an image excites."""

    name: str
    picture: str
    spread: float
    plot: Markup


def train_lesson(studio: Studio, fields: Mapping[str, Any]) -> Work:
    """Train a network on n images, one of them repeated, and show columns and representations."""
    del studio  # nothing of it is needed
    n = get_count(fields, "n", low=1, high=100)
    p = get_count(fields, "p", low=1, high=64)
    sigma = get_number(fields, "sigma", low=0.005, high=0.5)
    copies = get_count(fields, "copies", low=1, high=500)
    seed = get_count(fields, "seed", low=0, high=2**31)
    X, held_out = _draw_pictures(n, seed)
    rows = torch.cat([X[:1].expand(copies - 1, -1), X])
    W1 = None
    states = train_relu_dae(
        build_random_dae(SIDE**2, p, scale=0.05, seed=seed), rows, sigma=sigma,
        weight_decay=DECAY, steps=STEPS, rate=RATE, batch=BATCH, seed=seed,
    )  # fmt: skip
    for state in states:
        W1 = state.dae.W1.detach()
        if state.step % TOLD_EVERY == 0:
            yield Progress(state.step, STEPS, "training")
    assert W1 is not None, "a training without steps"
    return render_result(
        "theory", n=n, p=p, sigma=sigma, copies=copies, **_show_columns(W1, X),
        answers=_show_answers(W1, X, held_out),
    )  # fmt: skip


def _draw_pictures(
    n: int, seed: int
) -> tuple[Float[Tensor, "case 64"], Float[Tensor, "other 64"]]:
    """Draw training images that point apart, and one that the network never sees."""
    known = load_pictures()
    order = torch.randperm(len(known.originals), generator=torch.Generator().manual_seed(seed))
    pool, unseen = (_shrink(p) for p in (known.originals[order[:POOL]], known.held_out[:1]))
    centre = pool.mean(dim=0)
    return _spread(F.normalize(pool - centre, dim=1), n), F.normalize(unseen - centre, dim=1)


def _shrink(pictures: Tensor) -> Float[Tensor, "case 64"]:
    return F.adaptive_avg_pool2d(pictures.float(), SIDE).flatten(1)


def _spread(X: Float[Tensor, "pool dim"], n: int) -> Float[Tensor, "case dim"]:
    """Choose images that point apart: each the one least alike to those before."""
    rows = [0]
    nearest = X @ X[0]
    for _ in range(n - 1):
        nearest[rows] = torch.inf
        rows.append(int(nearest.argmin()))
        nearest = torch.maximum(nearest, X @ X[rows[-1]])
    return X[rows]


def _show_columns(W1: Float[Tensor, "dim unit"], X: Float[Tensor, "case dim"]) -> dict[str, Any]:
    """Draw the columns, the longest first, and count which images are among them."""
    order = W1.norm(dim=0).argsort(descending=True)
    alive = W1[:, order].T[W1[:, order].norm(dim=0) > 0.05 * W1.norm(dim=0).max()]
    cosine = F.normalize(alive, dim=1) @ X.T  # (unit, image)
    best, image = cosine.max(dim=1)
    stored = cosine.max(dim=0).values >= STORED
    return {
        "columns": [
            {"picture": _draw(column), "image": _draw(X[place]), "cosine": value}
            for column, place, value in zip(
                alive[:SHOWN], image.tolist(), best.tolist(), strict=False
            )
        ],
        "num_alive": len(alive),
        "num_stored": int(stored.sum()),
        "duplicate_stored": bool(stored[0]),
        "threshold": STORED,
    }


def _show_answers(
    W1: Float[Tensor, "dim unit"],
    X: Float[Tensor, "case dim"],
    held_out: Float[Tensor, "other dim"],
) -> list[Answer]:
    """Draw the units of the repeated image, of another one, and of one never seen."""
    shown = {
        "the first image": X[0],
        "another training image": X[-1],
        "never seen": held_out[0],
    }
    units = {name: (x @ W1).relu().double().numpy() for name, x in shown.items()}
    top = max(1e-6, *(float(np.max(one)) for one in units.values()))
    return [
        Answer(
            name, _draw(shown[name]), float(one.std() / max(np.linalg.norm(one), 1e-9)),
            render_profile(one, tone="cool" if place == 2 else "warm", limits=(0.0, 1.05 * top),
                           name=f"answer-{place}"),
        )
        for place, (name, one) in enumerate(units.items())
    ]  # fmt: skip


def _draw(column: Float[Tensor, " dim"]) -> str:
    """Draw a vector as the picture it is, from its lowest to its highest value."""
    low, high = column.min(), column.max()
    grey = 255 * (column - low) / (high - low).clamp(min=1e-9)
    return build_picture(grey.round().byte().reshape(1, SIDE, SIDE).numpy())
