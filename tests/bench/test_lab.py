import pytest
import torch

from equipoise.bench import lab
from equipoise.bench.lab import build_images, build_subject
from equipoise.errors import BadInputError
from equipoise.zoo.package import load_zoo


def test_without_the_data_set_the_shipped_images_are_taken_and_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "DEBIAN_FOLDER", tmp_path)
    images = build_images(None)
    assert "5,000 images that ship" in images.source
    assert (len(images.training), images.side) == (5000, 16)
    assert float(images.training.min()) >= -1
    assert float(images.training.max()) <= 1


def test_a_folder_that_is_given_must_hold_the_files(tmp_path):
    with pytest.raises(BadInputError, match="train-images"):
        build_images(tmp_path)


def test_the_subject_is_looked_at_where_it_copies_and_where_it_never_looked():
    model, subject = load_zoo("edm-fashion"), build_subject()
    assert len(subject.memorized) == len(subject.held_out) == 5
    planted = model.denoiser.encode(model.training_set.images[list(model.planted)].float() / 255)
    for x in subject.memorized:
        assert float((planted - x).abs().flatten(1).amax(1).min()) < 1e-6
    assert torch.equal(subject.held_out, model.denoiser.encode(model.held_out[:5].float() / 255))
