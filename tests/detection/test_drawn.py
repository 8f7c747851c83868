"""The frame: what a detector inherits, on a detector that tells what it was handed."""

import pytest
import torch

from equipoise.denoisers import GaussianDenoiser
from equipoise.detection import Card, DrawnDetector
from equipoise.errors import BadInputError, NonFiniteError
from equipoise.sampling import draw_noise_batch

MODEL = GaussianDenoiser(torch.zeros(3), torch.eye(3))
IMAGES = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
IDS = list("abcd")


class Noise(DrawnDetector):
    needs: tuple[str, ...] = ()

    @property
    def card(self):
        return Card("noise", "this test", "sum(sigma eps)", 2 * self.draws, "none", self.needs)

    def build_measure(self, denoiser):
        return lambda noisy: noisy.noise.sum(dim=1)


class Spread(Noise):
    def combine(self, values):
        return values.amax(dim=1, keepdim=True) - values.amin(dim=1, keepdim=True)


def test_a_column_is_a_draw_of_the_items_own_noise():
    scores = Noise(sigma=0.5, draws=2, seed=7).score(MODEL, IMAGES, IDS, batch=3)
    for draw in range(2):
        eps = draw_noise_batch((3,), seed=7, item_ids=IDS, draws=[draw] * 4)
        assert scores.per_draw[:, draw] == pytest.approx(0.5 * eps.sum(dim=1).double())
    assert scores.evaluations == 4 * 2 * 2


def test_draws_can_be_put_together_otherwise():
    apart = Noise(sigma=0.5, draws=3).score(MODEL, IMAGES, IDS).per_draw
    together = Spread(sigma=0.5, draws=3).score(MODEL, IMAGES, IDS)
    assert torch.equal(together.values, apart.amax(dim=1) - apart.amin(dim=1))


def test_what_cannot_be_scored_is_refused():
    broken = IMAGES.clone()
    broken[2, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="c"):
        Noise(sigma=0.5).score(MODEL, broken, IDS)
    with pytest.raises(BadInputError, match="takes none"):
        Noise(sigma=0.5, needs=("condition",)).score(MODEL, IMAGES, IDS)
