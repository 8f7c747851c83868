"""Where the closed form stops: trained loss over that of Eq. 9, against beta; and by optimizer."""

from equipoise.theory.figures.network import (
    DECAY,
    compare_loss,
    count_units,
    train_few,
)
from equipoise.theory.figures.part import SIGMAS, Part
from equipoise.theory.regime import DRAWS, Images, Regime, draw_sets, measure_betas

BETAS = (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
OPTIMIZERS = (
    ("momentum", 0.005), ("adam", 0.01), ("adam", 0.05), ("adamw", 0.05), ("rmsprop", 0.003)
)  # fmt: skip
SET_STEPS, OPTIMIZER_STEPS = 600, 1000


def build_boundary(images: Images, seed: int) -> Part:
    """Train on sets of five with rising beta: the closed form against what training finds."""
    sets = draw_sets(images.training, DRAWS, seed=seed)
    betas = measure_betas(images.training, sets)
    sigma, points = SIGMAS[0], []
    for wanted in BETAS:
        chosen = int((betas - wanted).abs().argmin())
        X = images.training[sets[chosen]]
        X = X - X.mean(0)
        dae = train_few(
            X, sigma=sigma, weight_decay=DECAY["memorizing"], seed=seed, steps=SET_STEPS
        )
        ratio = compare_loss(dae, X, sigma=sigma)
        points.append({"beta": float(betas[chosen]), "ratio": ratio})
    return Part({"sigma": sigma, "points": points})


def build_optimizers(regime: Regime, seed: int) -> Part:
    """Count the units a stored sample excites, by the optimizer that found them."""
    rows = []
    for optimizer, rate in OPTIMIZERS:
        dae = train_few(
            regime.X, sigma=SIGMAS[0], weight_decay=DECAY["memorizing"], seed=seed,
            steps=OPTIMIZER_STEPS, optimizer=optimizer, rate=rate,
        )  # fmt: skip
        units = count_units(dae, regime.X)
        ratio = compare_loss(dae, regime.X, sigma=SIGMAS[0])
        rows.append({"optimizer": optimizer, "rate": rate, "units": units, "ratio": ratio})
    return Part({"rows": rows})
