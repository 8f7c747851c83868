"""Small networks of every kind, and their snapshots."""

import torch
from edm_snapshot import spread, write_snapshot

DDPMPP = {
    "embedding_type": "positional", "encoder_type": "standard", "decoder_type": "standard",
    "channel_mult_noise": 1, "resample_filter": [1, 1],
}  # fmt: skip
NCSNPP = {
    "embedding_type": "fourier", "encoder_type": "residual", "decoder_type": "standard",
    "channel_mult_noise": 2, "resample_filter": [1, 3, 3, 1],
}  # fmt: skip
SMALL = {"model_channels": 8, "channel_mult": [1, 2], "num_blocks": 1, "attn_resolutions": [4]}
WIDE = {"model_channels": 32, "channel_mult": [1, 4], "num_blocks": 1, "attn_resolutions": [4]}

# kind of network, class, what it is made with, side in px, channels, classes
CASES = {
    "ddpm++": ("ddpmpp", "SongUNet", {**DDPMPP, **SMALL, "augment_dim": 9}, 8, 3, 0),
    "ddpm++ with classes": ("ddpmpp", "SongUNet", {**DDPMPP, **SMALL}, 8, 1, 5),
    "ncsn++": ("ncsnpp", "SongUNet", {**NCSNPP, **SMALL}, 8, 3, 0),
    "ncsn++ with classes": ("ncsnpp", "SongUNet", {**NCSNPP, **SMALL, "num_blocks": 2}, 8, 3, 4),
    "skips on both sides": (
        "ncsnpp", "SongUNet",
        {**NCSNPP, **SMALL, "channel_mult": [1, 1, 2], "encoder_type": "skip",
         "decoder_type": "skip", "attn_resolutions": [8, 4]}, 16, 2, 0,
    ),
    "one level": ("ddpmpp", "SongUNet", {**SMALL, "channel_mult": [1]}, 4, 3, 0),
    "adm": ("adm", "DhariwalUNet", WIDE, 8, 3, 0),
    "adm with classes": ("adm", "DhariwalUNet", {**WIDE, "augment_dim": 3}, 8, 3, 6),
}  # fmt: skip
PRECONDITIONINGS = ("EDMPrecond", "VPPrecond", "VEPrecond", "iDDPMPrecond")


def build_case(name, preconditioning):
    """Return the kind, the tensors and the bytes of a snapshot."""
    from equipoise.denoisers.dhariwal import DhariwalSpec, DhariwalUNet
    from equipoise.denoisers.song import SongSpec, SongUNet

    kind, model_class, words, side, channels, classes = CASES[name]
    out = 2 * channels if preconditioning == "iDDPMPrecond" else channels
    keywords = {
        "img_resolution": side, "in_channels": channels, "out_channels": out,
        "label_dim": classes, **words,
    }  # fmt: skip
    with torch.device("meta"):
        network = (
            SongUNet(SongSpec(**keywords))
            if model_class == "SongUNet"
            else DhariwalUNet(DhariwalSpec(**keywords))
        )
    tensors = {f"model.{n}": t for n, t in spread(network.state_dict(), seed=1).items()}
    scalars = {"img_resolution": side, "img_channels": channels, "label_dim": classes}
    scalars |= {"use_fp16": True, "sigma_min": 0, "sigma_max": float("inf")}
    if preconditioning == "EDMPrecond":
        scalars["sigma_data"] = 0.5
    if preconditioning == "VPPrecond":
        scalars |= {"beta_d": 19.9, "beta_min": 0.1, "M": 1000, "epsilon_t": 1e-5}
    if preconditioning == "iDDPMPrecond":
        scalars["M"] = 100
        tensors["u"] = build_levels(100)
    data = write_snapshot(preconditioning, scalars, model_class, keywords, tensors)
    return kind, tensors, data


def build_levels(count):
    """iDDPM's noise levels by their recursion, falling to 0."""
    steps = torch.arange(count + 1, dtype=torch.float64)
    abar = (0.5 * torch.pi * steps / count / 1.008).sin() ** 2
    levels = torch.zeros(count + 1, dtype=torch.float64)
    for j in range(count, 0, -1):
        ratio = max(float(abar[j - 1] / abar[j]), 0.001)
        levels[j - 1] = ((levels[j] ** 2 + 1) / ratio - 1).sqrt()
    return levels.float()
