import pytest
import torch

from equipoise.errors import BadInputError, NonFiniteError
from equipoise.theory import regime, separability
from equipoise.theory.regime import (
    Images,
    build_crowded,
    build_generalizing,
    build_hybrid,
    build_memorizing,
    draw_sets,
    measure_betas,
)


def draw_images(count=120, dim=16, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.rand(count, dim, generator=generator) * 2 - 1
    return Images(X, X[:20].flip(1), "random numbers")


def test_the_side_is_that_of_the_square():
    assert draw_images().side == 4


def test_betas_are_those_of_separability():
    X = draw_images().training
    sets = draw_sets(X, 30, seed=1)
    for rows, beta in zip(sets, measure_betas(X, sets), strict=True):
        chosen = X[rows]
        if len(rows.unique()) == len(rows):
            expected = separability(chosen - chosen.mean(0)).beta
            assert float(beta) == pytest.approx(expected, abs=1e-5)
        else:
            assert float(beta) == pytest.approx(1.0, abs=1e-5)


def test_the_stored_five_are_the_most_separable_draw(monkeypatch):
    monkeypatch.setattr(regime, "DRAWS", 50)
    images = draw_images()
    few = build_memorizing(images, seed=1)
    best = float(measure_betas(images.training, draw_sets(images.training, 50, seed=1)).min())
    assert len(few.X) == 5
    assert separability(few.X).beta == pytest.approx(best, abs=1e-5)
    assert torch.equal(few.X, few.stored)


def test_every_regime_is_centred_and_its_held_out_images_move_along():
    images = draw_images()
    for built in (build_generalizing(images), build_hybrid(images, seed=0)):
        assert built.X.mean(0).abs().max() < 1e-6
        shift = images.held_out - built.held_out
        torch.testing.assert_close(shift, shift[:1].expand_as(shift))


def test_copies_fill_most_of_the_sets_that_repeat():
    images = draw_images()
    for built, count in ((build_hybrid(images, seed=0), 5), (build_crowded(images, seed=0), 10)):
        copies = sum(int((built.X == stored).all(1).sum()) - 1 for stored in built.stored)
        assert len(built.stored) == count
        assert copies / len(built.X) == pytest.approx(0.8, abs=0.01)
    assert len(build_generalizing(images).stored) == 0


def test_the_hybrid_set_repeats_what_the_memorizing_one_stores():
    images = draw_images()
    few, hybrid = build_memorizing(images, seed=3), build_hybrid(images, seed=3)
    moved = hybrid.stored - few.stored  # each set is centred on a mean of its own
    torch.testing.assert_close(moved, moved[:1].expand_as(moved))


@pytest.mark.parametrize(
    ("training", "held_out", "error"),
    [
        (torch.zeros(99, 16), torch.zeros(5, 16), BadInputError),
        (torch.zeros(120, 15), torch.zeros(5, 15), BadInputError),
        (torch.zeros(120, 16), torch.zeros(5, 25), BadInputError),
        (torch.zeros(120, 16), torch.zeros(0, 16), BadInputError),
        (torch.full((120, 16), torch.nan), torch.zeros(5, 16), NonFiniteError),
    ],
    ids=["too few", "not square", "two sizes", "none held out", "not a number"],
)
def test_images_that_make_no_regime_are_refused(training, held_out, error):
    with pytest.raises(error):
        Images(training, held_out, "nowhere")
