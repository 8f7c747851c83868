import pytest
from pydantic import ValidationError

from equipoise.denoisers.unet_spec import UNetSpec

WORDS = {
    "img_resolution": 32, "in_channels": 3, "out_channels": 3, "model_channels": 128,
    "channel_mult": (1, 2, 2), "num_blocks": 4, "attn_resolutions": (16,),
}  # fmt: skip


def test_levels_are_named_by_their_sides():
    spec = UNetSpec(**WORDS)
    assert spec.levels == ("32x32", "16x16", "8x8")
    assert [spec.width_at(level) for level in range(3)] == [128, 256, 256]
    assert [spec.attends(level) for level in range(3)] == [False, True, False]


@pytest.mark.parametrize(
    "words",
    [
        {"img_resolution": 10**6}, {"num_blocks": 0}, {"channel_mult": ()}, {"label_dim": -1},
        {"model_channels": 10**9}, {"img_resolution": 30}, {"unknown": 1},
        {"attn_resolutions": (1,) * 100}, {"channel_mult": (10**9,)},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_cannot_leave_the_bounds(words):
    with pytest.raises(ValidationError):
        UNetSpec(**WORDS | words)
