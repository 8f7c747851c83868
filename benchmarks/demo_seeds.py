"""Run the demo of a zoo model with several seeds and write its figures as a page.

    .venv/bin/python benchmarks/demo_seeds.py edm-fashion 1 2 3 4 5 > docs/figures.md
    .venv/bin/python benchmarks/demo_seeds.py dit-fashion 1 2 3 4 5 > docs/figures-dit.md
    .venv/bin/python benchmarks/demo_seeds.py sd-emoji 1 2 3 > docs/figures-sd.md

Every row is one run of `equipoise demo --seed N --json`; nothing is left out.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe_machine

HEAD = [
    "seed",
    "AUROC",
    "TPR at the threshold",
    "false positives",
    "kept",
    "told nothing",
    "paper's statistic",
    "denoising residual",
    "clean twin",
    "planted - twin",
    "grey as negative",
    "seconds",
]


def run_demo(model: str, seed: int, folder: Path) -> dict:
    """Run the demo in a process of its own and return its document and its provenance."""
    command = [Path(sys.executable).parent / "equipoise", "demo", "--seed", str(seed), "--json"]
    command += ["--model", f"zoo:{model}"]
    done = subprocess.run([*command, "--out", folder], capture_output=True, text=True, check=True)
    record = json.loads((folder / "run.json").read_text())
    return json.loads(done.stdout) | {"provenance": record["provenance"], "spec": record["spec"]}


def show(rate: dict) -> str:
    """Write a rate with its interval."""
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"


def describe_units(detector: dict) -> str:
    """Say how many units are read, and how."""
    if not detector["scaled_units"]:
        return "the units"
    axes = detector.get("axes")
    told = f"whitened by their covariance, {axes} axes" if axes else "scaled"
    return f"{detector['scaled_units']} units ({told})"


def build_row(seed: int, document: dict) -> list[str]:
    """Write the figures of one run."""
    fpr = document["fpr"]
    low, high = fpr["allowed"]
    return [
        str(seed),
        show(document["auroc"]),
        show(document["tpr_at_1pct_fpr"]),
        f"{fpr['false_positives']} of {fpr['n']} ({low} to {high} allowed)",
        "yes" if fpr["kept"] else "no",
        show(document["told_nothing"]) if document["told_nothing"] else "",
        show(document["paper_statistic"]),
        show(document["baselines"]["denoising_residual"]),
        show(document["clean_twin_auroc"]),
        show(document["planted_minus_twin"]),
        show(document["with_grey_as_negative"]["auroc"]),
        f"{document['seconds']:.0f}",
    ]


def main(model: str, seeds: list[int]) -> None:
    """Run all seeds and print the page."""
    with tempfile.TemporaryDirectory() as scratch:
        documents = {seed: run_demo(model, seed, Path(scratch) / str(seed)) for seed in seeds}
    rows = [HEAD, *(build_row(seed, document) for seed, document in documents.items())]
    untold = HEAD.index("told nothing")
    if not any(row[untold] for row in rows[1:]):  # the demo itself tells nothing
        rows = [row[:untold] + row[untold + 1 :] for row in rows]
    last = documents[seeds[-1]]
    provenance, detector = last["provenance"], last["spec"]["detector"]
    lines = [
        f"# Figures of zoo:{model}",
        "",
        f"`python benchmarks/demo_seeds.py {model} {' '.join(map(str, seeds))}`: "
        f"the demo of `zoo:{model}`, one row a seed, nothing left out.",
        "",
        f"Detector: {detector['statistic']} over {describe_units(detector)} of "
        + ", ".join(f"`{site}`" for site in detector["sites"])
        + f", {detector['pooling']} over positions, sigma {detector['sigma']:.3g}, "
        f"{detector['draws']} draws"
        + (
            "; the model is told what each output was asked for"
            * (detector.get("condition") == "own")
        )
        + ". All intervals are 95 %; those of areas and sensitivities allow "
        "for a planted image that nobody saw ([coverage](coverage.md)).",
        "",
        f"{describe_machine(provenance)}. "
        f"Model {provenance['fingerprint']}, twin {provenance['twin_fingerprint']}.",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---|" * len(rows[0]),
        *("| " + " | ".join(row) + " |" for row in rows[1:]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
