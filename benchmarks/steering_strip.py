"""Put the first outputs of a dose-response into one labelled picture, a column a strength.

    python benchmarks/steering_strip.py RUN docs/images/steering.png bag "ankle boot"

RUN is a run folder of `equipoise steer response`; of every concept named, in this order, come the
first two seeds.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from equipoise.runs import load_run
from equipoise.steering.strip import write_strip

ROWS = 2


def main(folder: str, out: str, names: list[str]) -> None:
    """Write the picture."""
    run = load_run(Path(folder))
    strips = run.read_tensors("strips")
    rows = np.concatenate([strips[name][:, :ROWS].swapaxes(0, 1) for name in names])
    labels = [f"{strength:g}" for strength in [0.0, *run.record.spec["strengths"]]]
    write_strip(Path(out), torch.from_numpy(rows), labels)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
