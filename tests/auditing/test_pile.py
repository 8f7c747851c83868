import dataclasses

import pytest
import torch
from PIL import Image

from equipoise.auditing import pile as pile_module
from equipoise.auditing.pile import (
    GeneratedPile,
    PicturePile,
    count_parts,
    encode_thumbnail,
    load_entry,
)
from equipoise.auditing.subject import Subject
from equipoise.denoisers import TimedDenoiser
from equipoise.denoisers.codec import PixelCodec
from equipoise.denoisers.level import NoiseGrid
from equipoise.errors import BadInputError
from equipoise.images import Entry, list_pictures, read_picture
from equipoise.sampling import SamplerSpec

pytestmark = pytest.mark.slow  # hundreds of files take seconds

SAMPLER = SamplerSpec(steps=3, batch=7)


@pytest.fixture
def subject(tiny_edm):
    return Subject("tiny", tiny_edm, SAMPLER, lambda *_: None, None)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(pile_module, "PART", 32)


def list_pixels(pile, parts):
    return [item.pixels for _, part in pile.read(parts) for item in part]


def test_a_folder_is_read_in_the_order_of_its_sources(folder, small_parts):
    pile = PicturePile(folder, (1, 8, 8))
    assert count_parts(pile) == 19
    numbers, parts = zip(*pile.read(range(19)), strict=True)
    assert numbers == tuple(range(19))
    assert [len(part) for part in parts] == [32] * 18 + [24]
    loaded = [item for part in parts for item in part]
    assert [item.source for item in loaded] == [entry.source for entry in pile.store.read(0, 600)]
    for item in loaded[::97]:
        assert torch.equal(item.pixels, read_picture(folder / item.source, (1, 8, 8)).pixels)
        assert (item.width, item.height, item.format, item.mode) == (8, 8, "PNG", "L")


def test_parts_can_be_asked_for_alone(folder, small_parts):
    pile = PicturePile(folder, (1, 8, 8))
    everything = list_pixels(pile, range(19))
    [(number, part)] = pile.read([5])
    assert number == 5
    assert all(torch.equal(a.pixels, b) for a, b in zip(part, everything[160:192], strict=True))
    assert list(pile.read([])) == []


def test_at_most_two_parts_are_read_ahead(folder, small_parts, monkeypatch):
    read = []
    load = pile_module.load_entry
    monkeypatch.setattr(
        pile_module, "load_entry", lambda entry, shape: (read.append(entry), load(entry, shape))[1]
    )
    parts = PicturePile(folder, (1, 8, 8)).read(range(19))
    next(parts)
    assert len(read) <= 64
    parts.close()
    assert len(read) <= 64


def test_what_cannot_be_read_has_its_reason(folder):
    (folder / "bad.png").write_text("%!PS-Adobe")
    entries = list_pictures(folder).entries
    [bad] = [load_entry(entry, (1, 8, 8)) for entry in entries if entry.source == "bad.png"]
    assert bad.pixels is None
    assert bad.thumbnail is None
    assert bad.error
    assert str(folder) not in bad.error
    known = dataclasses.replace(entries[0], error="link that leaves the folder")
    assert load_entry(known, (1, 8, 8)).error == "link that leaves the folder"


def test_single_items_are_read_by_their_row(folder):
    (folder / "0" / "0001.png").write_text("bad")
    found = PicturePile(folder, (1, 8, 8)).load([599, 0, 1, 599])
    assert {row: item.source for row, item in found.items()} == {
        0: "0/0000.png", 1: "0/0001.png", 599: "5/0599.png",
    }  # fmt: skip
    assert found[1].pixels is None
    assert found[0].pixels is not None


def test_of_large_encoded_pictures_few_are_held(folder, small_parts, monkeypatch):
    monkeypatch.setattr(pile_module, "HELD", 1000)
    pile = PicturePile(folder, (1, 8, 8))
    content = (folder / "0" / "0001.png").read_bytes()
    taken = []

    class Large:
        def read(self, start, stop):
            for row in range(start, stop):
                taken.append(row)
                yield Entry(f"t#{row}", content, None)

        def __len__(self):
            return 640

    pile.store = Large()
    parts = pile.read(range(20))
    next(parts)
    assert len(taken) <= 32 + 1000 // len(content) + 1
    assert [len(part) for _, part in parts] == [32] * 19


def test_outputs_do_not_depend_on_the_parts_asked_for(subject, small_parts):
    pile = GeneratedPile(subject, count=70, seed=3, stream="audit")
    assert pile.sources[1] == "audit/3/000001"
    everything = list_pixels(pile, range(count_parts(pile)))
    assert len(everything) == 70
    [(_, last)] = pile.read([2])
    for item, pixels in zip(last, everything[64:], strict=True):
        difference = (item.pixels.int() - pixels.int()).abs().max()
        assert int(difference) <= 1
    other = GeneratedPile(subject, count=70, seed=3, stream="calibrate")
    assert not torch.equal(list_pixels(other, [0])[0], everything[0])


@pytest.fixture
def asked():
    """A model that answers a prompt with its length as brightness, when guided at scale 1."""

    def call(network, z, time, cond):
        return cond.reshape(-1, 1, 1, 1).expand_as(z)

    denoiser = TimedDenoiser(
        network=torch.nn.Conv2d(1, 1, 1), call=call, prediction="x0",
        grid=NoiseGrid.from_alphas(torch.linspace(0.99, 0.01, 20)), codec=PixelCodec(),
        empty=torch.zeros(1), sample_shape=(1, 8, 8), image_shape=(1, 8, 8), data_std=1.0,
        default_sites=(),
        text_encoder=lambda prompts: torch.tensor([len(one) / 100 for one in prompts]),
        guidance=7.5,
    )  # fmt: skip
    return Subject("asked", denoiser, SAMPLER, lambda *_: None, None)


def test_output_k_is_asked_for_prompt_k_and_guided(asked, small_parts):
    prompts = ["a", "bb", "ccc"]
    pile = GeneratedPile(asked, count=70, seed=3, stream="audit", prompts=prompts)
    assert pile.sources[4] == "audit/3/000004 bb"
    levels = [float(pixels.double().mean()) for pixels in list_pixels(pile, range(3))]
    expected = [127.5 * (1 + 7.5 * len(prompts[k % 3]) / 100) for k in range(70)]
    assert levels == pytest.approx(expected, abs=1)
    assert pile.describe()["sampler"]["guidance"] == 7.5


def test_a_model_with_a_guidance_of_its_own_keeps_it(asked):
    own = dataclasses.replace(asked, sampler=SAMPLER.model_copy(update={"guidance": 2.0}))
    pile = GeneratedPile(own, count=2, seed=0, stream="audit", prompts=["a"])
    assert pile.describe()["sampler"]["guidance"] == 2.0


def test_other_prompts_are_another_pile(asked):
    def describe(*prompts):
        return GeneratedPile(asked, count=4, seed=0, stream="audit", prompts=prompts).describe()

    assert describe("a", "b")["prompts"] != describe("a", "c")["prompts"]
    assert describe()["prompts"] is None


def test_prompts_for_a_model_that_takes_none_are_refused_before_anything_is_drawn(subject):
    with pytest.raises(BadInputError, match="takes no prompts"):
        GeneratedPile(subject, count=2, seed=0, stream="audit", prompts=["a"])


def test_the_record_of_a_pile_tells_it_from_others(subject, folder):
    one = GeneratedPile(subject, count=70, seed=3, stream="audit").describe()
    assert (one["generate"], one["items"], one["seed"]) == (70, 70, 3)
    assert one["sampler"]["steps"] == 3
    assert PicturePile(folder, (1, 8, 8)).describe()["items"] == 600


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_thumbnails_are_small_and_true(channels, mode, tmp_path):
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (channels, 20, 10), generator=generator, dtype=torch.uint8)
    (tmp_path / "a.png").write_bytes(encode_thumbnail(picture))
    with Image.open(tmp_path / "a.png") as image:
        assert (image.mode, image.size) == (mode, (10, 20))
    assert torch.equal(read_picture(tmp_path / "a.png", (channels, 20, 10)).pixels, picture)
    (tmp_path / "b.png").write_bytes(encode_thumbnail(picture.repeat(1, 10, 10)))
    with Image.open(tmp_path / "b.png") as image:
        assert max(image.size) == 64
