"""LoRA against base: which of 40 images does an adapter of `zoo:dit-fashion` learn, and reproduce?

    .venv/bin/python benchmarks/lora_fashion.py [--out runs/lora-fashion] [--steps 50 150 400]

A LoRA of rank 8 is trained on 40 pictures that the base never saw. At each stop fresh outputs say
which of the 40 it reproduces (nearest image, the base's training images among them), and the audit
of adapters names without knowing that: by the denoising residual at five noise levels, with the
least share of the error and without, and by the paper's statistic at the default sites together.
One JSON line a figure.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from equipoise.auditing.adapter import FDR, LEAST_GAIN, find_p_values
from equipoise.auditing.adapter_residual import LogResidual
from equipoise.checkpoints.lora import read_lora
from equipoise.denoisers import Denoiser
from equipoise.denoisers.adapter import apply_lora
from equipoise.detection import Detector, Spikiness, q_values
from equipoise.images import as_unit, content_ids, quantize
from equipoise.labels import label_by_nearest
from equipoise.representation import select_sites
from equipoise.sampling import sample_items
from equipoise.zoo.package import ZooModel, load_zoo
from equipoise.zoo.training import denoising_loss

BASE = "zoo:dit-fashion"
IMAGES = 40
RANK = 8
BATCH = 40
RATE = 3e-3
SEED = 5
SIGMA_SHARES = (0.2, 0.5, 1.0, 2.0, 4.0)


class Added(nn.Module):
    """A weight with the product of two thin matrices added; the second starts at zero."""

    def __init__(self, weight: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.randn(RANK, columns, generator=generator) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, RANK))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        return weight + self.up @ self.down


def add_lora(network: nn.Module) -> dict[str, Added]:
    """Put a trainable LoRA on the attention and the MLP of every block."""
    generator = torch.Generator().manual_seed(SEED)
    network.requires_grad_(False)
    added = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and (".attn1." in name or ".ff." in name):
            added[name] = Added(module.weight, generator)
            parametrize.register_parametrization(module, "weight", added[name])
    return added


def train_lora(
    model: ZooModel, x0: Tensor, classes: Tensor, steps: int
) -> Iterator[tuple[int, float, dict[str, Added]]]:
    """Train a LoRA on the base, which is changed in place, and yield it after every step."""
    added = add_lora(model.denoiser.network)
    weights = [weight for part in added.values() for weight in part.parameters()]
    optimizer = torch.optim.Adam(weights, lr=RATE)
    generator = torch.Generator().manual_seed(SEED)
    for step in range(1, steps + 1):
        rows = torch.randint(len(x0), (BATCH,), generator=generator)
        dropped = torch.rand(BATCH, generator=generator) < model.recipe.condition_dropout
        empty = model.denoiser.null_condition(BATCH)
        loss = denoising_loss(
            model.denoiser, x0[rows], generator, cond=torch.where(dropped, empty, classes[rows]),
            log_sigma_mean=model.recipe.log_sigma_mean, log_sigma_std=model.recipe.log_sigma_std,
        )  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield step, loss.item(), added


def save_lora(added: dict[str, Added], path: Path) -> None:
    """Write a LoRA as diffusers does."""
    tensors = {}
    for name, part in added.items():
        tensors[f"transformer.{name}.lora_A.weight"] = part.down.detach().clone()
        tensors[f"transformer.{name}.lora_B.weight"] = part.up.detach().clone()
    save_file(tensors, path)


def find_reproduced(base: ZooModel, denoiser: Denoiser, fine: Tensor, count: int) -> list[int]:
    """List which of the 40 pictures appear among fresh outputs."""
    ids = [f"lora/{row}" for row in range(count)]
    sampler, classes = base.recipe.sampler, base.draw_conditions(ids, seed=1)
    parts = sample_items(
        denoiser, ids, sampler.list_sigmas(denoiser), seed=1, batch=sampler.batch,
        conditions=classes,
    )  # fmt: skip
    outputs = quantize(denoiser.decode(torch.cat(list(parts))))
    known = torch.cat([fine, base.training_set.images])
    groups = torch.cat([torch.arange(len(fine)), len(fine) + base.training_set.group])
    found = label_by_nearest(outputs, known, groups)
    copies = [n for n, label in zip(found.nearest.tolist(), found.names(), strict=True)
              if label == "copy" and n < len(fine)]  # fmt: skip
    sys.stderr.write(f"{len(copies)} of {count} outputs copy one of the {len(fine)} pictures\n")
    return sorted(set(copies))


def list_detectors(denoiser: Denoiser) -> dict[str, Detector]:
    """List what is compared."""
    sites = select_sites(denoiser, denoiser.default_sites)
    levels = [denoiser.snap(share * denoiser.data_std) for share in SIGMA_SHARES]
    found: dict[str, Detector] = {}
    for sigma in levels:
        found[f"residual {sigma:.2g}"] = LogResidual(sigma=sigma)
    for sigma in levels[:2]:
        found[f"std of the maximum {sigma:.2g}"] = Spikiness(sites=sites, sigma=sigma)
    return found


def compare(
    detector: Detector, base: Denoiser, adapted: Denoiser, fine: Tensor, controls: Tensor
) -> dict[str, int]:
    """Count the pictures that are learned, and by the residual those that are named."""
    pictures = torch.cat([fine, controls])
    ids, images = content_ids(pictures), as_unit(pictures)
    scores = [detector.score(model, images, ids).values for model in (base, adapted)]
    moved = scores[1] - scores[0]
    learned = q_values(find_p_values(moved[: len(fine)], moved[len(fine) :])) <= FDR
    found = {"learned": int(learned.sum())}
    if isinstance(detector, LogResidual):
        gone = moved[: len(fine)] >= -math.log1p(-LEAST_GAIN)
        found["named"] = int((learned & gone).sum())
    return found


def main() -> None:
    """Train, sample, audit, and print what was found at every stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/lora-fashion"))
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 150, 400])
    parser.add_argument("--outputs", type=int, default=400)
    words = parser.parse_args()
    torch.set_num_threads(1)
    words.out.mkdir(parents=True, exist_ok=True)
    base, changed = load_zoo(BASE), load_zoo(BASE)
    fine, controls = base.held_out[:IMAGES], base.held_out[IMAGES : IMAGES + 500]
    classes = torch.arange(IMAGES) % 10
    x0 = base.denoiser.encode(fine.float() / 255)
    for step, loss, added in train_lora(changed, x0, classes, max(words.steps)):
        if step % 50 == 0:
            sys.stderr.write(f"{step:5d}  {loss:.3f}\n")
        if step in words.steps:
            save_lora(added, words.out / f"lora-{step}.safetensors")
    for step in words.steps:
        lora = read_lora(words.out / f"lora-{step}.safetensors")
        adapted = apply_lora(base.denoiser, lora)
        reproduced = find_reproduced(base, adapted, fine, words.outputs)
        print(json.dumps({"steps": step, "reproduced": reproduced}), flush=True)
        for name, detector in list_detectors(base.denoiser).items():
            found = compare(detector, base.denoiser, adapted, fine, controls)
            print(json.dumps({"steps": step, "detector": name} | found), flush=True)


if __name__ == "__main__":
    main()
