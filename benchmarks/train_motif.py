"""Train the classifier of noun and vendor again, into the package.

    .venv/bin/python benchmarks/train_motif.py

About six minutes on one core. Weights are stored in half precision.
"""

import sys
import time
from collections.abc import Iterator

import torch
from safetensors.torch import save_file

from equipoise.zoo.motif import WEIGHTS, MotifClassifier, train_classifier

NUM_SCENES = 14_000
STEPS = 1450
SEED = 31


def report(training: Iterator[tuple[int, float, MotifClassifier]]) -> MotifClassifier:
    """Run a training to its end, saying how far it is, and return the network."""
    started = time.time()
    for step, loss, network in training:
        if step % 50 == 0:
            sys.stderr.write(f"{step:5d}  {loss:.3f}  {time.time() - started:.0f} s\n")
        if step == STEPS:
            return network
    raise AssertionError("no step was taken")


def main() -> None:
    """Train, and write what the last step leaves."""
    torch.set_num_threads(1)
    network = report(train_classifier(num_scenes=NUM_SCENES, steps=STEPS, seed=SEED))
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    save_file(weights, WEIGHTS)


if __name__ == "__main__":
    main()
