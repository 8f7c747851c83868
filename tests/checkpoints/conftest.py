"""Tiny snapshots of EDM, and pickles made by hand."""

import pytest
import torch
from edm_snapshot import spread, write_snapshot

SPEC = {
    "img_resolution": 4, "in_channels": 1, "out_channels": 1, "label_dim": 0,
    "model_channels": 8, "channel_mult": [1], "channel_mult_emb": 1, "num_blocks": 1,
    "attn_resolutions": [],
}  # fmt: skip
SCALARS = {"img_resolution": 4, "img_channels": 1, "label_dim": 0, "sigma_data": 0.5}


@pytest.fixture(scope="session")
def tiny_tensors():
    from equipoise.denoisers.song import SongSpec, SongUNet

    with torch.device("meta"):
        network = SongUNet(SongSpec(**SPEC))
    return {f"model.{n}": t for n, t in spread(network.state_dict(), seed=0).items()}


@pytest.fixture(scope="session")
def tiny_snapshot(tiny_tensors):
    return write_snapshot("EDMPrecond", SCALARS, "SongUNet", SPEC, tiny_tensors)
