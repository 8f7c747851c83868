"""Train the decoder of an autoencoder whose encoder is written down, as a generator.

The latents never change, so they are computed once and the encoder costs nothing. The loss is the
mean squared error of pixels in [-1, 1]; a little noise on the latents teaches the decoder to bear
the errors of a sampler.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from equipoise.images import as_unit
from equipoise.zoo.autoencoder import build_autoencoder, encode_pictures
from equipoise.zoo.patch_basis import fit_patch_basis
from equipoise.zoo.recipe import DecoderRecipe
from equipoise.zoo.training import dump_optimizer, learning_rate_at, restore_optimizer, strip

MAX_NORM = 1.0


@dataclass(frozen=True)
class DecoderState:
    """What one step leaves behind, and its loss."""

    step: int
    loss: float
    vae: Any
    optimizer: torch.optim.Optimizer
    generator: torch.Generator


def start_decoder(
    pictures: UInt8[Tensor, "case 3 height width"], recipe: DecoderRecipe
) -> DecoderState:
    """Build the autoencoder of these training pictures, its decoder untrained."""
    basis = fit_patch_basis(pictures[: recipe.num_pictures], recipe.num_latents)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        vae: Any = build_autoencoder(basis, channels=recipe.channels)
    vae = vae.to(memory_format=torch.channels_last)
    vae.encoder.requires_grad_(False)
    return DecoderState(
        step=0,
        loss=math.nan,
        vae=vae,
        optimizer=torch.optim.Adam(_list_trained(vae), betas=(0.9, 0.99), fused=True),
        generator=torch.Generator().manual_seed(recipe.seed),
    )


def train_decoder(
    state: DecoderState, pictures: UInt8[Tensor, "case 3 height width"], recipe: DecoderRecipe
) -> Iterator[DecoderState]:
    """Train in place from a state on, and yield it after every step."""
    vae, generator, optimizer = state.vae, state.generator, state.optimizer
    trained = _list_trained(vae)
    with torch.no_grad():
        latents = encode_pictures(vae, pictures)
    for step in range(state.step, recipe.steps):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, recipe)
        picks = torch.randint(len(latents), (recipe.batch,), generator=generator)
        z = latents[picks]
        noisy = z + recipe.noise * torch.randn(z.shape, generator=generator)
        decoded = vae.decode(noisy.to(memory_format=torch.channels_last)).sample
        loss = (decoded - (pictures[picks].float() / 127.5 - 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, MAX_NORM)
        optimizer.step()
        yield replace(state, step=step + 1, loss=loss.item())


@torch.no_grad()
def measure_psnr(
    vae: Any,  # noqa: ANN401 - diffusers is optional
    pictures: UInt8[Tensor, "case 3 height width"],
) -> Float[Tensor, " case"]:
    """Return the peak signal-to-noise ratio of each picture after encoding and decoding, dB."""
    decoded = torch.cat(
        [vae.decode(encode_pictures(vae, chunk)).sample for chunk in pictures.split(100)]
    )
    error = (decoded.clamp(-1, 1) + 1) / 2 - as_unit(pictures)
    return -10 * error.square().mean(dim=(1, 2, 3)).log10()


def dump_decoder(state: DecoderState) -> dict[str, Tensor]:
    """Lay a state out as named tensors."""
    tensors = {f"vae.{name}": weights for name, weights in state.vae.state_dict().items()}
    tensors |= dump_optimizer(state.optimizer)
    tensors["generator"] = state.generator.get_state()
    tensors["step"] = torch.tensor(state.step)
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def restore_decoder(state: DecoderState, tensors: dict[str, Tensor]) -> DecoderState:
    """Go back to a state that was laid out, in a training just started by the same recipe."""
    state.vae.load_state_dict(strip(tensors, "vae."))
    restore_optimizer(state.optimizer, tensors)
    state.generator.set_state(tensors["generator"])
    return replace(state, step=int(tensors["step"]))


def _list_trained(vae: Any) -> list[nn.Parameter]:  # noqa: ANN401
    return [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
