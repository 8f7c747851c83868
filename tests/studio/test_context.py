import base64
import io

import pytest
import torch
from PIL import Image

from equipoise.auditing.subject import Subject
from equipoise.errors import BadInputError, UnreadablePictureError
from equipoise.sampling import SamplerSpec
from equipoise.studio.context import Studio, get_count, get_number, get_pictures, get_text


def encode(content):
    return base64.b64encode(content).decode()


def draw(level):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "PNG")
    return buffer.getvalue()


def test_numbers_lie_between_their_bounds():
    fields = {"a": "0.5", "b": "x", "c": "nan", "d": None, "e": "7.0"}
    assert get_number(fields, "a", low=0, high=1) == 0.5
    assert get_count(fields, "e", low=0, high=9) == 7
    assert get_text(fields, "d") == ""
    for name in ("b", "c", "d", "e"):
        with pytest.raises(BadInputError, match=f'"{name}" must be a number from 0 to 1'):
            get_number(fields, name, low=0, high=1)


def test_uploads_are_read_by_the_rule_of_all_pictures():
    pictures = get_pictures({"files": [encode(draw(9)), encode(draw(200))]}, "files", (1, 4, 4))
    assert torch.equal(pictures[:, 0, 0, 0], torch.tensor([9, 200], dtype=torch.uint8))


@pytest.mark.parametrize("uploads", [None, [], "text", {"a": 1}])
def test_missing_pictures_are_named(uploads):
    with pytest.raises(BadInputError, match='No picture was given for "files"'):
        get_pictures({"files": uploads}, "files", (1, 4, 4))


@pytest.mark.parametrize("content", ["!!", encode(b"no picture"), encode(draw(9)[:40])])
def test_damaged_pictures_are_refused(content):
    with pytest.raises((UnreadablePictureError, BadInputError)):
        get_pictures({"files": [content]}, "files", (1, 4, 4))


def test_few_models_stay_open(tiny_edm, tmp_path, monkeypatch):
    opened = []

    def open_subject(name, device):
        opened.append(name)
        return Subject(name, tiny_edm, SamplerSpec(), lambda *_: None, None)

    monkeypatch.setattr("equipoise.studio.context.open_subject", open_subject)
    studio = Studio(tmp_path)
    for name in ("a", "a", "b", "c", "a"):
        assert studio.open(name).name == name
    assert opened == ["a", "b", "c", "a"]
