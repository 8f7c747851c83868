r"""Training of a ReLU-DAE by plain optimizers, as a generator of its states.

Eq. 6 is minimized with both weight matrices free (untied). The learning rate falls to zero along
a cosine, so that the last state has come to rest; everything random comes from one seed. The
loss is one of three (see `objective.py`): `sampled`, fresh noise at every step, as networks are
trained; `relu`, the exact expectation, deterministic in full batch; `fixed`, the closed form
with the active units of the clean samples.

The type of the network's weights is the type of the training: `build_random_dae(...,
dtype=torch.float64)`, or `dae.double()`.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory.objective import empirical_loss, relu_loss, sampled_loss
from equipoise.theory.relu_dae import ReluDae, build_relu_dae
from equipoise.theory.requirement import check_level, check_width

OPTIMIZERS: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "sgd": lambda weights, rate: torch.optim.SGD(weights, lr=rate),
    "momentum": lambda weights, rate: torch.optim.SGD(weights, lr=rate, momentum=0.9),
    "adam": lambda weights, rate: torch.optim.Adam(weights, lr=rate),
    "adamw": lambda weights, rate: torch.optim.AdamW(weights, lr=rate, weight_decay=0.0),
    "rmsprop": lambda weights, rate: torch.optim.RMSprop(weights, lr=rate),
}
"""By name. Weight decay is a term of the loss (Eq. 6), never of the optimizer."""
OBJECTIVES = ("sampled", "relu", "fixed")


@dataclass(frozen=True)
class TrainingState:
    """The state after a step."""

    step: int
    """Steps done, from 1."""
    loss: float
    """Loss of the step's batch, before the step."""
    dae: ReluDae
    """The network as it stands; it changes with the next step, so copy what is to be kept."""


def build_random_dae(
    dim: int, num_units: int, *, scale: float, seed: int, dtype: torch.dtype = torch.float32
) -> ReluDae:
    """Build a ReLU-DAE with independent normal weights of standard deviation `scale`.

    Raises:
        BadInputError: for no dim, no unit, or a scale that is not finite and positive.
    """
    if dim < 1 or num_units < 1 or not 0 < scale < inf:
        raise BadInputError(
            f"build_random_dae got dim={dim}, num_units={num_units}, scale={scale}. Pass 1 or "
            "more of each, and a positive, finite scale."
        )
    generator = torch.Generator().manual_seed(seed)
    W1, W2 = scale * torch.randn((2, dim, num_units), generator=generator, dtype=dtype)
    return build_relu_dae(W1, W2)


def train_relu_dae(
    dae: ReluDae,
    X: Float[Tensor, "case dim"],
    *,
    sigma: float,
    weight_decay: float,
    steps: int,
    rate: float = 0.01,
    optimizer: str = "adam",
    objective: str = "sampled",
    batch: int | None = None,
    seed: int = 0,
) -> Iterator[TrainingState]:
    """Train a copy of a ReLU-DAE and yield the state after every step.

    Args:
        dae: Where the training starts; it is not changed.
        X: The training samples, one a row.
        sigma: Standard deviation of the noise, in data units.
        weight_decay: `lambda` of Eq. 6.
        steps: Number of steps, at least 1.
        rate: Learning rate at the start.
        optimizer: A name of `OPTIMIZERS`.
        objective: A name of `OBJECTIVES`.
        batch: Samples a step, drawn with replacement, so it may exceed n; None: all, once each.
        seed: Seed of noise and batches.

    Raises:
        BadInputError: for an unknown name, a wrong level, number or rate, or samples of another
            dim; when the first state is asked for.
        NonFiniteError: when the loss is NaN or infinite: the rate is too high.
    """
    _check(dae, X, sigma, weight_decay, steps, rate, optimizer, objective, batch)
    dae = copy.deepcopy(dae).requires_grad_(True)
    X = X.to(dae.W1.dtype)
    generator = torch.Generator().manual_seed(seed)
    stepper = OPTIMIZERS[optimizer](list(dae.parameters()), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(stepper, steps)
    for step in range(1, steps + 1):
        x = X if batch is None else X[torch.randint(len(X), (batch,), generator=generator)]
        stepper.zero_grad()
        loss = _measure(objective, dae, x, generator, sigma=sigma, weight_decay=weight_decay)
        loss.backward()
        stepper.step()
        schedule.step()
        yield TrainingState(step, _finite(loss, step), dae)


def fit_relu_dae(states: Iterator[TrainingState]) -> ReluDae:
    """Run a training to its end and return the network, without gradients."""
    *_, last = states
    return last.dae.requires_grad_(False)


def _measure(
    objective: str,
    dae: ReluDae,
    x: Float[Tensor, "batch dim"],
    generator: torch.Generator,
    *,
    sigma: float,
    weight_decay: float,
) -> Float[Tensor, ""]:
    if objective == "sampled":
        return sampled_loss(dae, x, generator, sigma=sigma, weight_decay=weight_decay)
    expected = relu_loss if objective == "relu" else empirical_loss
    return expected(dae, x, sigma=sigma, weight_decay=weight_decay)


def _finite(loss: Float[Tensor, ""], step: int) -> float:
    value = float(loss.detach())
    if not torch.isfinite(loss):
        raise NonFiniteError(
            f"The training diverged: the loss is {value} at step {step}. It must stay finite; "
            "lower the rate."
        )
    return value


def _check(
    dae: ReluDae, X: Tensor, sigma: float, weight_decay: float, steps: int,
    rate: float, optimizer: str, objective: str, batch: int | None,
) -> None:  # fmt: skip
    check_level(sigma, weight_decay)
    check_width(X, len(dae.W1))
    for name, value, allowed in (
        ("optimizer", optimizer, OPTIMIZERS), ("objective", objective, OBJECTIVES)
    ):  # fmt: skip
        if value not in allowed:
            raise BadInputError(
                f'The training got {name}="{value}". Known: {", ".join(allowed)}; take one.'
            )
    for name, count in (("steps", steps), ("batch", 1 if batch is None else batch)):
        if count < 1:
            raise BadInputError(f"The training got {name}={count}. Pass 1 or more.")
    if not 0 < rate < inf:
        raise BadInputError(f"The training got rate={rate}. Pass a positive, finite rate.")
