import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import BadInputError
from equipoise.studio import lesson
from equipoise.studio.context import Studio
from equipoise.studio.lesson import _show_columns, _spread, train_lesson

FIELDS = {"n": 4, "p": 8, "sigma": 0.05, "copies": 3, "seed": 0}


def finish(work):
    told = []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return told, end.value


def test_a_lesson_trains_tells_and_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(lesson, "STEPS", 4)
    monkeypatch.setattr(lesson, "TOLD_EVERY", 2)
    told, page = finish(train_lesson(Studio(tmp_path), FIELDS))
    assert [one.done for one in told] == [2, 4]
    assert page.count('class="plot"') == 3
    assert "4 images" in page


def test_columns_that_are_images_are_counted(tmp_path):
    X = F.normalize(torch.randn(3, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    W1 = torch.cat([3 * X[:2].T, torch.zeros(64, 1), 0.1 * X[:1].T], dim=1)
    shown = _show_columns(W1, X)
    assert (shown["num_stored"], shown["num_alive"], shown["duplicate_stored"]) == (2, 2, True)


def test_chosen_images_point_further_apart_than_others():
    X = F.normalize(torch.randn(200, 6, generator=torch.Generator().manual_seed(0)), dim=1)

    def most_alike(rows):
        return float((rows @ rows.T - 2 * torch.eye(len(rows))).max())

    assert most_alike(_spread(X, 8)) < most_alike(X[:8]) - 0.2


@pytest.mark.parametrize(("name", "value"), [("n", 0), ("p", "many"), ("sigma", 9)])
def test_what_lies_outside_the_sliders_is_refused(tmp_path, name, value):
    with pytest.raises(BadInputError, match=f'"{name}"'):
        next(train_lesson(Studio(tmp_path), FIELDS | {name: value}))
