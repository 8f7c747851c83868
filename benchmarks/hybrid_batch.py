"""Does the loss choose the one-hot representation? Hybrid networks by the size of their batch.

    .venv/bin/python benchmarks/hybrid_batch.py > docs/hybrid-batch.md

A unit that stores a duplicate can be split into parallel ones without any change of the loss, so a
network may reach the loss of Cor. 3.4 with a representation that is not one-hot. Every row is one
network on the duplicates and modes of the claims; nothing is left out.
"""

import sys

import torch
from machine import describe_machine

from equipoise.theory import ReluDae, build_relu_dae, relu_loss
from equipoise.theory.claims.example import count_effective
from equipoise.theory.claims.hybrid import (
    DUPLICATES,
    LEVEL,
    Hybrid,
    build_closed,
    build_clusters,
    measure_auroc,
    train_hybrid,
)

BATCHES = (64, 128, None)
SEEDS = (0, 1, 2)
SPLIT = 6


def build_case() -> Hybrid:
    """Return data and closed form, without trained networks."""
    clusters, fresh = build_clusters()
    return Hybrid((), build_closed().W, tuple(clusters), fresh)


def split_stored(W: torch.Tensor) -> ReluDae:
    """Replace every memorizing column by several parallel ones of equal total effect."""
    stored = (W[:, :DUPLICATES] / SPLIT**0.5).repeat(1, SPLIT)
    kept = W[:, DUPLICATES : W.shape[1] - DUPLICATES * (SPLIT - 1)]
    return build_relu_dae(torch.cat([stored, kept], dim=1))


def describe(name: str, case: Hybrid, dae: ReluDae) -> str:
    """Write a row: loss over the closed form's, AUROC with interval, units a sample excites."""
    dae.requires_grad_(False)
    X = torch.cat(case.clusters)
    loss, closed = (
        float(relu_loss(network, X, **LEVEL).detach())
        for network in (dae, build_relu_dae(case.closed))
    )
    auroc = measure_auroc(case, dae)
    stored = torch.stack([X_k[0] for X_k in case.clusters[:DUPLICATES]])
    units = [float(count_effective(dae.representation(x)).median()) for x in (stored, case.fresh)]
    return (
        f"| {name} | {100 * (loss / closed - 1):+.2f} % | {auroc['value']:.3f} "
        f"({auroc['low']:.3f} to {auroc['high']:.3f}; n {auroc['n']}) | {units[0]:.1f} | "
        f"{units[1]:.1f} |"
    )


def write(line: str) -> None:
    """Write a line as soon as it is known: a row takes a quarter of a minute."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Write the page."""
    torch.set_num_threads(1)
    case = build_case()
    X = torch.cat(case.clusters)
    write("# Hybrid networks by batch\n")
    write(
        f"`python benchmarks/hybrid_batch.py`: {len(X)} samples, {DUPLICATES} of them given 30 "
        f"times, sigma {LEVEL['sigma']}, Adam, 6,000 steps, a fresh draw of noise at every step. "
        f"{describe_machine()}, one thread. Intervals are 95 %, groups of copies resampled.\n"
    )
    write(
        "| network | true ReLU loss over the closed form's | AUROC of the std | units at a "
        "duplicate | at a fresh sample |\n|---|---|---|---|---|"
    )
    write(describe("closed form", case, build_relu_dae(case.closed)))
    split = f"closed form, each memorizing column split in {SPLIT}"
    write(describe(split, case, split_stored(case.closed)))
    for batch in BATCHES:
        for seed in SEEDS:
            name = f"{batch or 'full'} a batch, seed {seed}"
            write(describe(name, case, train_hybrid(X, seed=seed, batch=batch)))


if __name__ == "__main__":
    main()
