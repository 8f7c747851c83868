"""Opening whatever people have: told by content, said in one line, refused in one sentence."""

import logging

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import equipoise as eq
from equipoise.errors import BadInputError, EquipoiseError, NonFiniteError, UnsafeFileError


def test_zoo_names_and_denoisers_are_taken(tiny_edm):
    assert eq.load("zoo:edm-fashion").sample_shape == (1, 16, 16)
    assert eq.load(tiny_edm) is tiny_edm
    with pytest.raises(BadInputError, match="abacus"):
        eq.load("zoo:edm-fashion", device="abacus")


def test_loading_leaves_the_zoo_weights_frozen():
    assert not any(w.requires_grad for w in eq.load("zoo:edm-fashion").network.parameters())


def test_one_line_of_the_log_says_what_was_found(caplog):
    with caplog.at_level(logging.INFO, logger="equipoise"):
        eq.load("zoo:edm-fashion")
    [told] = caplog.messages
    assert "\n" not in told
    assert "16 x 16" in told


def test_a_module_needs_its_words_and_no_others():
    module = nn.Conv2d(1, 1, 3, padding=1)
    with pytest.raises(BadInputError, match="without sample_shape, data_std"):
        eq.load(module)
    with pytest.raises(BadInputError, match="with vae"):
        eq.load("zoo:edm-fashion", vae="somewhere")


def test_another_family_than_the_one_asked_for_is_refused():
    with pytest.raises(BadInputError, match='"zoo", and "edm" was asked'):
        eq.load("zoo:edm-fashion", family="edm")


def test_a_name_that_is_nowhere_says_what_is_allowed(tmp_path):
    with pytest.raises(BadInputError, match="zoo:NAME"):
        eq.load(str(tmp_path / "nothing.pkl"))
    with pytest.raises(BadInputError, match="hf download CompVis/stable-diffusion-v1-4"):
        eq.load("CompVis/stable-diffusion-v1-4")


WRONG_FILES = {
    "empty": (b"", BadInputError, "empty"),
    "a page": (b"<!DOCTYPE html><html></html>", BadInputError, "page"),
    "a pointer of Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\n", BadInputError, "git lfs pull",
    ),
    "a text": (b"hello, this is no checkpoint at all\n" * 9, BadInputError, "checkpoint"),
    "a number": (b"\x80\x04K\x01.", BadInputError, "ema"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path, name):
    content, kind, words = WRONG_FILES[name]
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(kind, match=words) as caught:
        eq.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_file_that_ends_early_is_told(tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    weights = {"layer.weight": torch.zeros(100)}
    (save_file if suffix == "safetensors" else torch.save)(weights, path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UnsafeFileError, match=r"ends early|truncated|damaged"):
        eq.load(path)


def test_weights_of_no_known_family_name_the_way_out(tmp_path):
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(BadInputError, match=r"layer\.weight.*equipoise\.wrap"):
        eq.load(tmp_path / "x.safetensors")


def test_a_single_file_without_its_configuration_asks_for_it(tmp_path):
    mark = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({mark: torch.zeros(2)}, tmp_path / "sd.safetensors")
    with pytest.raises(BadInputError, match="config=FOLDER"):
        eq.load(tmp_path / "sd.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    from equipoise.denoisers.peebles import PeeblesDiT, PeeblesSpec

    spec = PeeblesSpec(
        channels=4, out_channels=8, grid=2, patch=2, width=24, depth=1, heads=2, hidden=8,
        classes=3,
    )  # fmt: skip
    weights = PeeblesDiT(spec).state_dict()
    weights["final_layer.linear.bias"][0] = torch.nan
    torch.save(weights, tmp_path / "dit.pt")
    with pytest.raises(NonFiniteError, match=r"final_layer\.linear\.bias"):
        eq.load(tmp_path / "dit.pt", heads=2)


def test_a_folder_without_an_index_is_no_pipeline(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EquipoiseError, match="load the folder above it"):
        eq.load(tmp_path)
