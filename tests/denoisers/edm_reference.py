"""DDPM++, NCSN++ and ADM as plain functions of a state dict, in float64: slow, and another way.

Structure is read off the names and shapes of tensors; resampling is written as repetition, zero
insertion and sums; attention as one matrix an image and head. Only what published weights were
trained on stays in float32: the features of the noise label.
"""

import math

import torch
from torch.nn import functional


def run(state, x, c_noise, classes, kind):
    """Run a raw network.

    Args:
        state: Tensors by name.
        x: Scaled noisy pictures, float64.
        c_noise: Noise labels, float32.
        classes: Weights of classes, or None.
        kind: "ddpmpp", "ncsnpp" or "adm".
    """
    state = {name: tensor.double() for name, tensor in state.items()}
    embedding = embed(state, c_noise, classes, kind)
    x, skips = encode(state, x, embedding, kind)
    x, picture = decode(state, x, skips, embedding, kind)
    assert not skips
    if kind == "adm":
        return convolve(state, "out_conv", silu(norm(state, "out_norm", x, 1e-5)))
    return picture


def encode(state, x, embedding, kind):
    skips, pyramid = [], x
    for name in modules(state, "enc"):
        whole = f"enc.{name}"
        if name.endswith("_aux_down"):
            pyramid = resample(pyramid, state[f"{whole}.resample_filter"], "down")
        elif name.endswith("_aux_skip"):
            x = skips[-1] = x + convolve(state, whole, pyramid)
        elif name.endswith("_aux_residual"):
            x = skips[-1] = pyramid = (x + convolve_then_halve(state, whole, pyramid)) / 2**0.5
        elif name.endswith("_conv"):
            x = convolve(state, whole, x)
            skips.append(x)
        else:
            x = block(state, whole, x, embedding, kind, "down" if "_down" in name else None)
            skips.append(x)
    return x, skips


def decode(state, x, skips, embedding, kind):
    picture = None
    for name in modules(state, "dec"):
        whole = f"dec.{name}"
        if name.endswith("_aux_norm"):
            normalized = silu(norm(state, whole, x, 1e-6))
        elif name.endswith("_aux_up"):
            picture = resample(picture, state[f"{whole}.resample_filter"], "up")
        elif name.endswith("_aux_conv"):
            drawn = convolve(state, whole, normalized)
            picture = drawn if picture is None else picture + drawn
        else:
            if "_block" in name:
                x = torch.cat([x, skips.pop()], dim=1)
            x = block(state, whole, x, embedding, kind, "up" if name.endswith("_up") else None)
    return x, picture


def modules(state, part):
    return list(dict.fromkeys(n.split(".")[1] for n in state if n.startswith(f"{part}.")))


def embed(state, c_noise, classes, kind):
    width = state["map_layer0.weight"].shape[1]
    if kind == "ncsnpp":
        angles = c_noise[:, None] * (2 * math.pi * state["map_noise.freqs"].float())
    else:
        last = width // 2 - (1 if kind == "ddpmpp" else 0)
        exponents = torch.arange(width // 2, dtype=torch.float32) / last
        angles = c_noise[:, None] * torch.tensor(1 / 10000).pow(exponents)
    parts = [angles.sin(), angles.cos()] if kind != "adm" else [angles.cos(), angles.sin()]
    h = torch.cat(parts, dim=1).double()
    if kind != "adm" and classes is not None:
        h = h + linear(state, "map_label", classes.double() * classes.shape[1] ** 0.5)
    h = linear(state, "map_layer1", silu(linear(state, "map_layer0", h)))
    if kind == "adm" and classes is not None:
        h = h + classes.double() @ state["map_label.weight"].T
    return silu(h)


def block(state, name, x, embedding, kind, way):
    eps, gain = (1e-5, 1.0) if kind == "adm" else (1e-6, 0.5**0.5)
    h = resample_by(state, f"{name}.conv0", silu(norm(state, f"{name}.norm0", x, eps)), way)
    h = convolve(state, f"{name}.conv0", h)
    modulation = linear(state, f"{name}.affine", embedding)[:, :, None, None]
    if kind == "adm":
        scale, shift = modulation.chunk(2, dim=1)
        h = silu(norm(state, f"{name}.norm1", h, eps) * (1 + scale) + shift)
    else:
        h = silu(norm(state, f"{name}.norm1", h + modulation, eps))
    h = convolve(state, f"{name}.conv1", h)
    if any(n.startswith(f"{name}.skip.") for n in state):
        x = resample_by(state, f"{name}.skip", x, way)
        x = convolve(state, f"{name}.skip", x)
    x = (x + h) * gain
    if f"{name}.qkv.weight" in state:
        heads = x.shape[1] // 64 if kind == "adm" else 1
        h = attend(convolve(state, f"{name}.qkv", norm(state, f"{name}.norm2", x, eps)), heads)
        x = (x + convolve(state, f"{name}.proj", h)) * gain
    return x


def attend(qkv, heads):
    """Attend image by image and head by head; channels are head, unit, (query, key, value)."""
    batch, channels, height, width = qkv.shape
    units = channels // 3 // heads
    answers = []
    for image in qkv:
        for head in image.reshape(heads, units, 3, height * width):
            query, key, value = head[:, 0], head[:, 1], head[:, 2]
            answers.append(value @ torch.softmax(query.T @ key / units**0.5, dim=1).T)
    return torch.stack(answers).reshape(batch, channels // 3, height, width)


def resample_by(state, name, x, way):
    return resample(x, state[f"{name}.resample_filter"], way) if way else x


def resample(x, taps, way):
    if taps.shape[-1] == 2:
        if way == "down":
            return functional.avg_pool2d(x, 2)
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    if way == "down":
        return filtered(functional.pad(x, (1, 1, 1, 1)), taps)[..., ::2, ::2]
    spread = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    spread[..., ::2, ::2] = x
    return 4 * filtered(functional.pad(spread, (2, 1, 2, 1)), taps)


def filtered(x, taps):
    """Filter with symmetric taps by sums of shifted pictures."""
    size = taps.shape[-1]
    height, width = x.shape[2] - size + 1, x.shape[3] - size + 1
    return sum(
        taps[0, 0, i, j] * x[:, :, i : i + height, j : j + width]
        for i in range(size)
        for j in range(size)
    )


def convolve_then_halve(state, name, x):
    taps = state[f"{name}.resample_filter"]
    padding = 1 + (taps.shape[-1] - 1) // 2
    h = functional.conv2d(x, state[f"{name}.weight"], padding=padding)
    return filtered(h, taps)[..., ::2, ::2] + state[f"{name}.bias"][None, :, None, None]


def convolve(state, name, x):
    if f"{name}.weight" not in state:
        return x
    weight = state[f"{name}.weight"]
    return functional.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)


def norm(state, name, x, eps):
    groups = min(32, x.shape[1] // 4)
    flat = x.reshape(len(x), groups, -1)
    centred = flat - flat.mean(dim=2, keepdim=True)
    h = (centred / (centred.square().mean(dim=2, keepdim=True) + eps).sqrt()).reshape(x.shape)
    return h * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def silu(x):
    return x * torch.sigmoid(x)


def precondition(name, network, x, sigma, levels=None):
    """Make `D` of a raw network by Table 1, with c_noise in float32 and all else in float64."""
    s = sigma.double()[:, None, None, None]
    if name == "EDMPrecond":
        total = s**2 + 0.25
        F_x = network(x / total.sqrt(), sigma.log() / 4)
        return 0.25 / total * x + s * 0.5 / total.sqrt() * F_x
    if name == "VEPrecond":
        return x + s * network(x, (sigma / 2).log())
    if name == "VPPrecond":
        root = (0.1**2 + 2 * 19.9 * (1 + sigma**2).log()).sqrt()
        c_noise = 999 * ((root - 0.1) / 19.9)
    else:
        nearest = (levels[None] - sigma[:, None]).abs().argmin(dim=1)
        c_noise = len(levels) - 2 - nearest.float()
    return x - s * network(x / (1 + s**2).sqrt(), c_noise)[:, : x.shape[1]]
