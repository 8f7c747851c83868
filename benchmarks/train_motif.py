"""Train the classifier of noun and vendor again, into the package.

    .venv/bin/python benchmarks/train_motif.py

About six minutes on one core. Weights are stored in half precision.
"""

import sys
import time

import torch
from safetensors.torch import save_file

from equipoise.zoo.motif import WEIGHTS, train_classifier

NUM_SCENES = 14_000
STEPS = 1450
SEED = 31


def main() -> None:
    """Train, and write what the last step leaves."""
    torch.set_num_threads(1)
    started = time.time()
    for step, loss, network in train_classifier(num_scenes=NUM_SCENES, steps=STEPS, seed=SEED):
        if step % 50 == 0:
            print(f"{step:5d}  {loss:.3f}  {time.time() - started:.0f} s", file=sys.stderr)
    weights = {
        name: value.half().contiguous()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }
    save_file(weights, WEIGHTS)


if __name__ == "__main__":
    main()
