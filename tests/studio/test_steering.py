import pytest
import torch

from equipoise.auditing.subject import Subject
from equipoise.errors import BadInputError
from equipoise.sampling import SamplerSpec
from equipoise.studio.context import Studio
from equipoise.studio.steering import _measure_moves, list_vectors, steer_outputs

FIELDS = {
    "model": "mine", "source": "class", "class": "bag", "strength": 1, "steps": 3, "seeds": 2,
    "seed": 0,
}  # fmt: skip


def finish(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.fixture
def studio(tiny_edm, tmp_path, monkeypatch):
    sampler = SamplerSpec(steps=2)
    subject = Subject("mine", tiny_edm, sampler, lambda *_: None, None)
    monkeypatch.setattr(Studio, "open", lambda self, name: subject)
    return Studio(tmp_path)


def test_the_vector_of_a_class_is_kept_and_can_be_taken_again(studio):
    page = finish(steer_outputs(studio, FIELDS))
    assert page.count("data:image/png") == 6
    assert list_vectors(studio) == ["bag"]
    again = finish(steer_outputs(studio, FIELDS | {"source": "kept", "vector": "bag"}))
    assert again == page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class": "opera"}, "no class"),
        ({"source": "kept", "vector": "../bag"}, "no vector"),
        ({"source": "files", "name": "x"}, 'No picture was given for "with"'),
        ({"steps": 1}, '"steps" must be'),
    ],
    ids=str,
)
def test_what_cannot_be_steered_is_told(studio, changes, words):
    with pytest.raises(BadInputError, match=words):
        finish(steer_outputs(studio, FIELDS | changes))


def test_moves_are_told_in_distances_between_outputs():
    drawn = torch.zeros(2, 2, 1, 2, 2, dtype=torch.uint8)
    drawn[1] += 10  # unsteered outputs lie 20 apart
    drawn[0, 1], drawn[1, 1] = 5, 15
    assert _measure_moves(drawn) == pytest.approx([0, 0.5])
