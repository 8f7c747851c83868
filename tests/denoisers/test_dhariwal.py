"""Answers are compared with an independent network in `test_snapshot`."""

import torch

from equipoise.denoisers.dhariwal import DhariwalSpec, DhariwalUNet


def test_the_published_imagenet_network_has_its_number_of_weights():
    """Karras et al. (2022), Table 7: 295.9 million at 64 px with 1,000 classes."""
    spec = DhariwalSpec(
        img_resolution=64, in_channels=3, out_channels=3, label_dim=1000, augment_dim=0
    )
    with torch.device("meta"):
        network = DhariwalUNet(spec)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 1) == 295.9


def test_skips_that_only_resample_have_no_weights():
    spec = DhariwalSpec(img_resolution=32, in_channels=3, out_channels=6, channel_mult=(1, 2))
    with torch.device("meta"):
        names = set(DhariwalUNet(spec).state_dict())
    assert "enc.16x16_down.skip.resample_filter" in names
    assert "enc.16x16_down.skip.weight" not in names
    assert "out_norm.weight" in names
