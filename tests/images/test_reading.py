import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from equipoise.errors import BadInputError
from equipoise.images import reading
from equipoise.images.reading import read_folder, read_picture

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2 + 40], axis=-1)


def save(path, pixels, mode=None, **words):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **words)
    return path


def mode_of(path):
    with Image.open(path) as image:
        return image.mode


def luma(rgb):
    """ITU-R 601, as the docs say."""
    return np.round(np.asarray(rgb, dtype=float) @ [0.299, 0.587, 0.114])


def assert_near(found, expected, *, off=1):
    assert found.dtype == torch.uint8
    np.testing.assert_allclose(found.numpy().astype(int), expected, atol=off)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "gif", "webp"])
def test_grey_pixels_come_through_unchanged(tmp_path, suffix):
    words = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", GREY, **words)
    found = read_picture(path, (1, 4, 6))
    assert found.is_contiguous()
    assert torch.equal(found, torch.from_numpy(GREY)[None])
    in_colour = read_picture(path, (3, 4, 6))
    assert torch.equal(in_colour, torch.from_numpy(GREY).expand(3, 4, 6))


def test_colour_pixels_come_through_unchanged_and_become_luma(tmp_path):
    path = save(tmp_path / "a.png", COLOUR)
    found = read_picture(path, (3, 4, 6))
    assert torch.equal(found, torch.from_numpy(COLOUR).permute(2, 0, 1))
    assert_near(read_picture(path, (1, 4, 6))[0], luma(COLOUR))


def test_the_content_and_not_the_name_tells_the_format(tmp_path):
    path = save(tmp_path / "a.jpg", GREY, format="PNG")
    assert torch.equal(read_picture(path, (1, 4, 6))[0], torch.from_numpy(GREY))


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_transparency_is_laid_over_black(tmp_path, alpha):
    rgba = np.dstack([COLOUR, np.full((4, 6), alpha, dtype=np.uint8)])
    path = save(tmp_path / "a.png", rgba)
    expected = COLOUR * (alpha / 255)
    assert_near(read_picture(path, (3, 4, 6)), expected.transpose(2, 0, 1))
    assert_near(read_picture(path, (1, 4, 6))[0], luma(expected), off=2)
    with_grey = save(tmp_path / "b.png", np.dstack([GREY, rgba[:, :, 3]]))
    assert mode_of(with_grey) == "LA"
    assert_near(read_picture(with_grey, (1, 4, 6))[0], GREY * (alpha / 255))


def test_a_transparent_palette_entry_is_black_whatever_its_colour(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), mode="P")
    image.putpalette([255, 255, 255, 10, 200, 30, 90, 80, 70])
    path = tmp_path / "a.png"
    image.save(path, transparency=0)
    expected = [[[0, 10], [90, 10]], [[0, 200], [80, 200]], [[0, 30], [70, 30]]]
    assert read_picture(path, (3, 2, 2)).tolist() == expected
    image.save(path, transparency=bytes([0, 128, 255]))
    half = [[[0, 5], [90, 5]], [[0, 100], [80, 100]], [[0, 15], [70, 15]]]
    assert_near(read_picture(path, (3, 2, 2)), half)
    image.save(tmp_path / "b.gif", transparency=1)
    assert read_picture(tmp_path / "b.gif", (1, 2, 2)).tolist() == [[[255, 0], [82, 0]]]


def test_a_transparent_colour_of_a_picture_without_alpha_is_black(tmp_path):
    pixels = np.array([[[255, 0, 255], [9, 8, 7]]], dtype=np.uint8)
    save(tmp_path / "a.png", pixels, transparency=(255, 0, 255))
    assert read_picture(tmp_path / "a.png", (3, 1, 2)).flatten(1).T.tolist() == [
        [0, 0, 0], [9, 8, 7],
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, suffix):
    wide = np.array([[0, 257, 10 * 257, 128 * 257, 254 * 257, 65535]], dtype=np.uint16)
    path = save(tmp_path / f"a.{suffix}", wide)
    assert read_picture(path, (1, 1, 6)).flatten().tolist() == [0, 1, 10, 128, 254, 255]
    assert read_picture(path, (3, 1, 6))[2].flatten().tolist() == [0, 1, 10, 128, 254, 255]


def test_inks_become_colours(tmp_path):
    cmyk = np.zeros((32, 32, 4), dtype=np.uint8)
    cmyk[:, :16] = [0, 255, 255, 0]  # red
    cmyk[:, 16:] = [0, 0, 0, 255]  # black
    path = tmp_path / "a.jpg"
    Image.fromarray(cmyk, mode="CMYK").save(path, quality=95)
    assert mode_of(path) == "CMYK"
    found = read_picture(path, (3, 32, 32))
    assert_near(found[:, 4, 4], [255, 0, 0], off=6)
    assert_near(found[:, 4, 28], [0, 0, 0], off=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied(tmp_path, orientation):
    upright = GREY
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright.T, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    assert torch.equal(read_picture(path, (1, 4, 6))[0], torch.from_numpy(upright))


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.fromarray(np.full((4, 6), v, dtype=np.uint8)) for v in (50, 100, 200)]
    for suffix in ("gif", "webp", "tiff", "png"):
        words = {"lossless": True} if suffix == "webp" else {}
        path = tmp_path / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **words)
        with Image.open(path) as image:
            assert image.n_frames == 3
        assert read_picture(path, (1, 4, 6)).unique().tolist() == [50], suffix


def test_one_bit_pictures_are_black_and_white(tmp_path):
    path = save(tmp_path / "a.png", GREY > 100, mode="1")
    expected = torch.from_numpy(GREY > 100).to(torch.uint8) * 255
    assert torch.equal(read_picture(path, (1, 4, 6))[0], expected)


def test_a_large_picture_is_averaged_and_not_sampled(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = read_picture(save(tmp_path / "a.png", board), (1, 8, 8))
    assert_near(found, np.full((1, 8, 8), 127.5), off=3)
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, axis=0)
    found = read_picture(save(tmp_path / "b.png", ramp), (1, 8, 8))
    means = ramp.reshape(64, 8, 8).mean((0, 2))
    assert_near(found[0], np.tile(means, (8, 1)), off=3)
    assert read_picture(tmp_path / "b.png", (1, 3, 5)).shape == (1, 3, 5)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"Hello, I am a text.\n", POSTSCRIPT, b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg/>"],
    ids=["nothing", "text", "PostScript", "the head of a PNG", "the head of a GIF", "SVG"],
)
def test_what_is_no_picture_is_refused_by_its_path(tmp_path, content):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r'picture\.png" cannot be read.*PNG, JPEG'):
        read_picture(path, (1, 4, 4))


def test_formats_that_are_not_allowed_are_refused_though_pillow_reads_them(tmp_path):
    for suffix in ("eps", "ico", "ppm", "tga", "pcx"):
        path = save(tmp_path / f"a.{suffix}", COLOUR).rename(tmp_path / f"{suffix}.png")
        assert mode_of(path)
        with pytest.raises(BadInputError, match="cannot be read"):
            read_picture(path, (1, 4, 4))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "missing.png", tmp_path):
        with pytest.raises(BadInputError, match="cannot be read"):
            read_picture(path, (1, 4, 4))


def noisy():
    return np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_truncated_picture_is_refused(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", noisy())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadInputError, match=rf"a\.{suffix}"):
        read_picture(path, (3, 8, 8))


def test_the_size_is_checked_before_a_pixel_is_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", noisy())
    path.write_bytes(path.read_bytes()[:700])  # the head and little else
    monkeypatch.setattr(reading, "MAX_PIXELS", 1599)
    with pytest.raises(BadInputError, match="40 x 40 px; at most 1,599"):
        read_picture(path, (3, 8, 8))
    monkeypatch.setattr(reading, "MAX_PIXELS", 1600)
    with pytest.raises(BadInputError, match="cannot be read"):
        read_picture(path, (3, 8, 8))


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_text_that_inflates_to_megabytes_is_refused(tmp_path):
    content = save(tmp_path / "a.png", GREY).read_bytes()
    bomb = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22)))
    path = tmp_path / "bomb.png"
    path.write_bytes(content[:33] + bomb + content[33:])  # after the header
    with pytest.raises(BadInputError, match=r"bomb\.png"):
        read_picture(path, (1, 4, 6))


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_a_damaged_picture_is_read_or_refused_and_nothing_else(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    words = {} if suffix in ("gif", "bmp") else {"exif": exif}
    content = save(tmp_path / f"a.{suffix}", noisy()[:9, :9], **words).read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / f"b.{suffix}"
    refused = 0
    for trial in range(150):
        broken = bytearray(content)
        for place in rng.integers(0, min(len(content), 400), size=1 + trial % 3):
            broken[place] = rng.integers(256)
        path.write_bytes(broken[: len(content) if trial % 2 else rng.integers(len(content))])
        try:
            assert read_picture(path, (3, 4, 4)).shape == (3, 4, 4)
        except BadInputError:
            refused += 1
    assert refused > 20


def test_reading_does_not_change_the_file(tmp_path):
    path = save(tmp_path / "a.png", COLOUR)
    before = path.read_bytes()
    read_picture(path, (1, 3, 3))
    assert path.read_bytes() == before


def test_a_folder_is_read_in_the_order_of_paths(tmp_path):
    (tmp_path / "b").mkdir()
    values = {"b/2.png": 2, "a.PNG": 1, "b/10.png": 3, "c.jpeg": 9}
    for name, value in values.items():
        save(tmp_path / name, np.full((4, 4), value, np.uint8), format="PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    found = read_folder(tmp_path, (1, 2, 2))
    assert found.shape == (4, 1, 2, 2)
    assert found[:, 0, 0, 0].tolist() == [1, 3, 2, 9]
    assert read_folder(tmp_path, (3, 4, 4)).shape == (4, 3, 4, 4)


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(BadInputError, match="holds no picture"):
        read_folder(tmp_path, (1, 2, 2))
    for path in (tmp_path / "notes.txt", tmp_path / "missing", Path("nowhere")):
        with pytest.raises(BadInputError, match="is not a folder"):
            read_folder(path, (1, 2, 2))


def test_one_bad_picture_in_a_folder_is_named(tmp_path):
    save(tmp_path / "a.png", GREY)
    (tmp_path / "b.png").write_bytes(io.BytesIO(b"text").getvalue())
    with pytest.raises(BadInputError, match=r"b\.png"):
        read_folder(tmp_path, (1, 2, 2))


def test_the_golden_orientations_agree_with_pillow(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.jpg", GREY, exif=exif, quality=95)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == (6, 4)
    assert torch.equal(read_picture(path, (1, 6, 4))[0], torch.from_numpy(expected.copy()))
