import torch

from equipoise.denoisers import Denoiser
from equipoise.guarding.watch import Watch
from equipoise.guarding.watched import WatchedDenoiser
from equipoise.representation import observe


def test_it_answers_as_the_denoiser_inside_and_notes_what_observe_sees(tiny_edm):
    site = "up_blocks.0.resnets.0.conv2:in"
    watch = Watch((site,), pooling="mean", sigmas=[0.3])
    watched = WatchedDenoiser(tiny_edm, watch)
    assert isinstance(watched, Denoiser)
    x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    for sigma in (0.3, 2.0):
        level = torch.full((3,), sigma)
        with torch.no_grad():
            assert torch.equal(watched.denoise(x, level), tiny_edm.denoise(x, level))
    seen = observe(tiny_edm, x, torch.full((3,), 0.3), (site,), pooling="mean")[site].tensor
    assert list(watch.seen) == [0.3]
    torch.testing.assert_close(watch.seen[0.3][0], seen.double())
    assert not any(module._forward_pre_hooks for module in tiny_edm.network.modules())


def test_everything_else_is_passed_on(tiny_edm):
    watched = WatchedDenoiser(tiny_edm, Watch((), pooling="max", sigmas=()))
    for name in ("network", "sample_shape", "image_shape", "data_std", "default_sites"):
        assert getattr(watched, name) == getattr(tiny_edm, name)
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(watched.decode(watched.encode(images)), tiny_edm.decode(2 * images - 1))
    assert watched.snap(0.3) == 0.3
    assert watched.null_condition(2) is None
