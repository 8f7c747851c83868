"""What a look costs in each family at its real shapes, counted on the meta device.

    .venv/bin/python benchmarks/family_costs.py > docs/family-costs.md

Networks of the published sizes are built without memory and called once on one sample; FLOPs are
those of torch's counter (a product and a sum are two), memory is that of every tensor alive. No
weights and no numbers: nothing is timed. Text encoders and autoencoders are left out.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from equipoise.denoisers.dit import list_late_sites
from equipoise.denoisers.flux2 import list_late_gated_sites
from equipoise.denoisers.stable_diffusion import DEFAULT_SITES
from equipoise.representation.site import _as_regex

DTYPE = torch.bfloat16


class Enough(Exception):
    """Ends a forward at the last site."""


class Memory(TorchDispatchMode):
    """Adds up the storages that are alive; the peak is what a forward needs besides weights."""

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.peak = 0, 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note what it made."""
        result = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.note(tensor.untyped_storage())
        return result

    def note(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is freed."""
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self.free, key, size)

    def free(self, key: int, size: int) -> None:
        """Forget a storage."""
        self.known.discard(key)
        self.alive -= size


@dataclass(frozen=True)
class Case:
    """A network of a published size, how it is called, and where it is looked into."""

    name: str
    build: Callable[[], nn.Module]
    call: Callable[[nn.Module], Any]
    sites: tuple[str, ...]


def empty(*shape: int) -> Tensor:
    """Return a tensor without memory."""
    return torch.empty(shape, device="meta", dtype=DTYPE)


def build_unet(**words: Any) -> nn.Module:
    """Build a U-Net of Stable Diffusion."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(in_channels=4, out_channels=4, **words)


SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048, "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip


def list_cases() -> list[Case]:
    """List the families at the sizes of their best-known models."""
    import diffusers

    time = torch.ones(1, device="meta", dtype=DTYPE)
    sd2 = {"attention_head_dim": (5, 10, 20, 20), "cross_attention_dim": 1024,
           "use_linear_projection": True}  # fmt: skip
    sd3 = {"sample_size": 128, "in_channels": 16, "out_channels": 16, "attention_head_dim": 64,
           "joint_attention_dim": 4096, "pooled_projection_dim": 2048,
           "pos_embed_max_size": 192}  # fmt: skip
    places = torch.zeros(64 * 64, 3, device="meta")

    def call_sd3(network: nn.Module) -> Any:
        return network(empty(1, 16, 128, 128), empty(1, 333, 4096), empty(1, 2048), time)

    def build_sd3(layers: int, heads: int, **more: Any) -> nn.Module:
        return diffusers.SD3Transformer2DModel(
            num_layers=layers, num_attention_heads=heads, caption_projection_dim=64 * heads,
            **sd3, **more,
        )  # fmt: skip

    return [
        Case("Stable Diffusion 1.5, 512 px", lambda: build_unet(cross_attention_dim=768),
             lambda n: n(empty(1, 4, 64, 64), time, empty(1, 77, 768)), DEFAULT_SITES),
        Case("Stable Diffusion 2.1, 768 px", lambda: build_unet(**sd2),
             lambda n: n(empty(1, 4, 96, 96), time, empty(1, 77, 1024)), DEFAULT_SITES),
        Case("Stable Diffusion XL, 1,024 px", lambda: build_unet(**SDXL),
             lambda n: n(empty(1, 4, 128, 128), time, empty(1, 77, 2048), added_cond_kwargs={
                 "text_embeds": empty(1, 1280), "time_ids": empty(1, 6)}), DEFAULT_SITES),
        Case("PixArt Sigma, 1,024 px", lambda: diffusers.PixArtTransformer2DModel(
                 caption_channels=4096, use_additional_conditions=False),
             lambda n: n(empty(1, 4, 128, 128), empty(1, 300, 4096), time,
                         {"resolution": None, "aspect_ratio": None}), list_late_sites(28)),
        Case("Stable Diffusion 3 medium, 1,024 px", lambda: build_sd3(24, 24), call_sd3,
             list_late_sites(24)),
        Case("Stable Diffusion 3.5 large, 1,024 px",
             lambda: build_sd3(38, 38, qk_norm="rms_norm"), call_sd3, list_late_sites(38)),
        Case("FLUX.1, 1,024 px", lambda: diffusers.FluxTransformer2DModel(guidance_embeds=True),
             lambda n: n(empty(1, 4096, 64), empty(1, 512, 4096), empty(1, 768), time, places,
                         torch.zeros(512, 3, device="meta"), time), list_late_sites(19)),
        Case("FLUX.2, 1,024 px", diffusers.Flux2Transformer2DModel,
             lambda n: n(empty(1, 4096, 128), empty(1, 512, 15360), time,
                         torch.zeros(4096, 4, device="meta"), torch.zeros(512, 4, device="meta"),
                         time), list_late_gated_sites(8)),
    ]  # fmt: skip


def find_stops(network: nn.Module, patterns: tuple[str, ...]) -> list[nn.Module]:
    """Return the modules whose input is a default site, in the order of the network."""
    regexes = [_as_regex(pattern) for pattern in patterns]
    return [
        module for name, module in network.named_modules()
        if any(regex.fullmatch(f"{name}:in") for regex in regexes)
    ]  # fmt: skip


def count(case: Case, network: nn.Module, *, stop: bool) -> tuple[float, float]:
    """Return FLOPs and peak bytes of activations of a forward, whole or to the last site."""

    def end(*_: Any) -> None:
        raise Enough

    last = find_stops(network, case.sites)[-1] if stop else None
    handle = last.register_forward_pre_hook(end) if last is not None else None
    with torch.no_grad(), FlopCounterMode(display=False) as flops, Memory() as memory:
        try:
            case.call(network)
        except Enough:
            pass
    if handle is not None:
        handle.remove()
    return flops.get_total_flops(), memory.peak


def main() -> None:
    """Print the page."""
    print("# What a look costs, by family\n")
    print(
        "`python benchmarks/family_costs.py`: networks of the published sizes on the meta device, one "
        "sample, bfloat16. FLOPs by torch's counter, a\nproduct and a sum are two; memory of all "
        "tensors alive in a forward. Counted, not timed; text encoders and autoencoders are left "
        "out.\nA look stops at the last default site ([families](families.md)).\n"
    )
    print(
        "| model | weights, GB | whole forward, GFLOP | a look, GFLOP | share | "
        "activations of a look, GB |"
    )
    print("|---|---|---|---|---|---|")
    for case in list_cases():
        with torch.device("meta"):
            network = case.build().to(DTYPE).eval()
        weights = 2 * sum(weight.numel() for weight in network.parameters()) / 1e9
        whole, _ = count(case, network, stop=False)
        look, peak = count(case, network, stop=True)
        print(
            f"| {case.name} | {weights:.1f} | {whole / 1e9:,.0f} | {look / 1e9:,.0f} | "
            f"{look / whole:.0%} | {peak / 1e9:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
