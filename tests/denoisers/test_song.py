"""Answers are compared with an independent network in `test_snapshot`."""

import torch

from equipoise.denoisers.song import SongSpec, SongUNet


def build(**words):
    with torch.device("meta"):
        return SongUNet(
            SongSpec(img_resolution=32, in_channels=3, out_channels=3, augment_dim=9, **words)
        )


def test_the_published_cifar_network_has_its_number_of_weights():
    """Karras et al. (2022), Table 7: 55.7 million."""
    network = build(channel_mult=(2, 2, 2))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 1) == 55.7


def test_names_are_those_of_published_weights():
    names = set(build(channel_mult=(1, 1), encoder_type="residual").state_dict())
    assert {
        "map_augment.weight", "map_layer0.bias", "enc.32x32_conv.weight",
        "enc.32x32_block0.norm0.weight", "enc.16x16_down.conv0.resample_filter",
        "enc.16x16_aux_residual.resample_filter", "enc.16x16_block3.qkv.weight",
        "dec.16x16_in0.proj.bias", "dec.16x16_in1.affine.weight", "dec.32x32_up.skip.weight",
        "dec.32x32_block4.skip.bias", "dec.32x32_aux_norm.weight", "dec.32x32_aux_conv.bias",
    } <= names  # fmt: skip
    assert not any("block3.qkv" in name for name in names if "dec.16x16" in name)
