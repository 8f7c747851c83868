"""Noise as a function of (seed, item, draw): one counter-based generator an item.

Results then do not depend on batching, order, device count, engine or resuming. The stream is
Philox keyed by a hash, so any number of items can be drawn in any order without a collision
worth speaking of (a 32-bit seed would collide at 100,000 items).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor


def draw_noise(
    shape: tuple[int, ...], *, seed: int, item_id: str, draw: int
) -> Float32[Tensor, "..."]:
    """Draw standard normal noise of `shape` for one item and one draw."""
    generator = open_stream(f"{seed}|{item_id}|{draw}")
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def draw_noise_batch(
    shape: tuple[int, ...], *, seed: int, item_ids: Sequence[str], draws: Sequence[int]
) -> Float32[Tensor, "case ..."]:
    """Stack the noise of several (item, draw) pairs."""
    pairs = zip(item_ids, draws, strict=True)
    return torch.stack([draw_noise(shape, seed=seed, item_id=i, draw=d) for i, d in pairs])


def draw_choices(count: int, *, seed: int, item_ids: Sequence[str]) -> Int64[Tensor, " case"]:
    """Draw one of `count` choices for every item, evenly: what it is asked to show."""
    drawn = [int(open_stream(f"{seed}|{item}|choice").integers(count)) for item in item_ids]
    return torch.tensor(drawn)


def open_stream(name: str) -> np.random.Generator:
    """Open the stream of random numbers that belongs to a name."""
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
