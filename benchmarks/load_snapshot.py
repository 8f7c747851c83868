"""Load a snapshot of EDM at the size of CIFAR-10's networks, beside a plain `pickle.load`.

    .venv/bin/python benchmarks/load_snapshot.py > docs/loading-speed.md

Every load has a process of its own, with one thread, the file in the page cache, and the same
imports before the clock starts. Both end with a network's tensors in memory; `equipoise.load`
besides builds the network, fills it and checks every weight. The plain reader gets an empty
object for every module instead of running the source code in the file, which only makes it
faster.
"""

import argparse
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import torch
from edm_snapshot import spread, write_snapshot
from machine import describe_machine
from torch import nn

from equipoise.denoisers.song import SongSpec, SongUNet
from equipoise.loading import load

SPEC = {
    "img_resolution": 32, "in_channels": 3, "out_channels": 3, "label_dim": 0, "augment_dim": 9,
    "model_channels": 128, "channel_mult": [2, 2, 2], "channel_mult_emb": 4, "num_blocks": 4,
    "attn_resolutions": [16], "dropout": 0.13, "embedding_type": "positional",
    "channel_mult_noise": 1, "encoder_type": "standard", "decoder_type": "standard",
    "resample_filter": [1, 1],
}  # fmt: skip
READERS = ("pickle.load", "equipoise.load")


def write_file(path: Path) -> int:
    """Write the snapshot and return its number of parameters."""
    with torch.device("meta"):
        network = SongUNet(SongSpec.model_validate(SPEC))
    tensors = {f"model.{n}": t for n, t in spread(network.state_dict(), seed=0).items()}
    scalars = {"img_resolution": 32, "img_channels": 3, "label_dim": 0, "sigma_data": 0.5}
    path.write_bytes(write_snapshot("EDMPrecond", scalars, "SongUNet", SPEC, tensors))
    return sum(parameter.numel() for parameter in network.parameters())


def read_plainly(path: Path) -> object:
    """Load by the module of pickle, with an empty object for every persistent one."""
    persistence = types.ModuleType("torch_utils.persistence")

    def reconstruct(meta: dict[str, object]) -> nn.Module:
        module = nn.Module()
        module.__dict__.update(meta["state"])
        return module

    persistence._reconstruct_persistent_obj = reconstruct
    sys.modules["torch_utils"] = types.ModuleType("torch_utils")
    sys.modules[persistence.__name__] = persistence
    with path.open("rb") as file:
        return pickle.load(file)


def read_peak() -> int:
    """Return the highest memory of this process so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def measure_here(reader: str, path: Path) -> dict[str, float]:
    """Load once and say how long it took and what it needed at most."""
    torch.set_num_threads(1)
    before, start = read_peak(), time.perf_counter()
    kept = load(path) if reader == "equipoise.load" else read_plainly(path)
    seconds = time.perf_counter() - start
    del kept
    return {"seconds": seconds, "added": read_peak() - before, "peak": read_peak()}


def measure(reader: str, path: Path) -> dict[str, float]:
    """Load once in a process of its own."""
    command = [sys.executable, __file__, "--reader", reader, "--file", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def show(reader: str, key: str, runs: dict[str, list[dict[str, float]]], unit: float) -> str:
    """Write the median and the range of a column, in units."""
    values = [run[key] / unit for run in runs[reader]]
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def report(repeats: int) -> None:
    """Measure both readers in turn and print a page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network-snapshot.pkl"
        parameters = write_file(path)
        size = path.stat().st_size
        for reader in READERS:  # the file gets into the page cache
            measure(reader, path)
        runs: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
        for _ in range(repeats):
            for reader in READERS:
                runs[reader].append(measure(reader, path))
    lines = [
        "# Speed of loading",
        "",
        f"`python benchmarks/load_snapshot.py --repeats {repeats}`: an EDM snapshot (ddpm++) of "
        f"{parameters / 1e6:.1f} million parameters, {size / 1e6:.0f} MB.",
        f"Median and range of {repeats} loads, each in a process of its own, the two readers in "
        "turn.",
        "Memory: what the load added to the highest memory of the process, and that highest "
        "memory itself.",
        "",
        "| reader | seconds | memory added, MiB | highest memory, MiB |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{reader}` | {show(reader, 'seconds', runs, 1)} "
        f"| {show(reader, 'added', runs, 2**20)} | {show(reader, 'peak', runs, 2**20)} |"
        for reader in READERS
    ]
    ratios = [
        statistics.median(run[key] for run in runs["equipoise.load"])
        / statistics.median(run[key] for run in runs["pickle.load"])
        for key in ("seconds", "added", "peak")
    ]
    lines.append("| ratio of the medians | " + " | ".join(f"{r:.2f}" for r in ratios) + " |")
    lines += [
        "",
        "`equipoise.load` besides builds the network, fills it and checks that every weight is "
        "finite.",
        f"{describe_machine()}, one thread.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> None:
    """Measure in this process, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--reader", choices=READERS)
    parser.add_argument("--file", type=Path)
    words = parser.parse_args()
    if words.reader:
        sys.stdout.write(json.dumps(measure_here(words.reader, words.file)))
    else:
        report(words.repeats)


if __name__ == "__main__":
    main()
