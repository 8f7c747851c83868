import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, PngImagePlugin

from equipoise.errors import UnreadablePictureError
from equipoise.images import reading
from equipoise.images.listing import list_pictures
from equipoise.images.reading import FORMATS, RULE, read_picture
from equipoise.images.silence import SILENCE

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2 + 40], axis=-1)


def save(path, pixels, mode=None, **words):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **words)
    return path


def mode_of(path):
    with Image.open(path) as image:
        return image.mode


def read_pixels(path, shape):
    return read_picture(path, shape).pixels


def reason_of(path, shape=(3, 4, 4)):
    """Why a file is refused; the message holds it, the path and the slug."""
    with pytest.raises(UnreadablePictureError) as caught:
        read_picture(path, shape)
    message = str(caught.value)
    assert f"cannot be read as a picture: {caught.value.reason}. Allowed: PNG, JPEG" in message
    assert message.endswith("[unreadable-picture]")
    assert path.name not in caught.value.reason
    assert "\n" not in caught.value.reason
    return caught.value.reason


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
    found = read_pixels(path, (1, 4, 6))
    assert found.is_contiguous()
    assert torch.equal(found, torch.from_numpy(GREY)[None])
    in_colour = read_pixels(path, (3, 4, 6))
    assert torch.equal(in_colour, torch.from_numpy(GREY).expand(3, 4, 6))


def test_colour_pixels_come_through_unchanged_and_become_luma(tmp_path):
    path = save(tmp_path / "a.png", COLOUR)
    found = read_pixels(path, (3, 4, 6))
    assert torch.equal(found, torch.from_numpy(COLOUR).permute(2, 0, 1))
    assert_near(read_pixels(path, (1, 4, 6))[0], luma(COLOUR))


def test_the_content_and_not_the_name_tells_the_format(tmp_path):
    path = save(tmp_path / "a.jpg", GREY, format="PNG")
    assert torch.equal(read_pixels(path, (1, 4, 6))[0], torch.from_numpy(GREY))


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_transparency_is_laid_over_black(tmp_path, alpha):
    rgba = np.dstack([COLOUR, np.full((4, 6), alpha, dtype=np.uint8)])
    path = save(tmp_path / "a.png", rgba)
    expected = COLOUR * (alpha / 255)
    assert_near(read_pixels(path, (3, 4, 6)), expected.transpose(2, 0, 1))
    assert_near(read_pixels(path, (1, 4, 6))[0], luma(expected), off=2)
    with_grey = save(tmp_path / "b.png", np.dstack([GREY, rgba[:, :, 3]]))
    assert mode_of(with_grey) == "LA"
    assert_near(read_pixels(with_grey, (1, 4, 6))[0], GREY * (alpha / 255))


def test_a_transparent_palette_entry_is_black_whatever_its_colour(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), mode="P")
    image.putpalette([255, 255, 255, 10, 200, 30, 90, 80, 70])
    path = tmp_path / "a.png"
    image.save(path, transparency=0)
    expected = [[[0, 10], [90, 10]], [[0, 200], [80, 200]], [[0, 30], [70, 30]]]
    assert read_pixels(path, (3, 2, 2)).tolist() == expected
    image.save(path, transparency=bytes([0, 128, 255]))
    half = [[[0, 5], [90, 5]], [[0, 100], [80, 100]], [[0, 15], [70, 15]]]
    assert_near(read_pixels(path, (3, 2, 2)), half)
    image.save(tmp_path / "b.gif", transparency=1)
    assert read_pixels(tmp_path / "b.gif", (1, 2, 2)).tolist() == [[[255, 0], [82, 0]]]


def test_a_transparent_colour_of_a_picture_without_alpha_is_black(tmp_path):
    pixels = np.array([[[255, 0, 255], [9, 8, 7]]], dtype=np.uint8)
    save(tmp_path / "a.png", pixels, transparency=(255, 0, 255))
    assert read_pixels(tmp_path / "a.png", (3, 1, 2)).flatten(1).T.tolist() == [
        [0, 0, 0], [9, 8, 7],
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, suffix):
    wide = np.array([[0, 257, 10 * 257, 128 * 257, 254 * 257, 65535]], dtype=np.uint16)
    path = save(tmp_path / f"a.{suffix}", wide)
    assert read_pixels(path, (1, 1, 6)).flatten().tolist() == [0, 1, 10, 128, 254, 255]
    assert read_pixels(path, (3, 1, 6))[2].flatten().tolist() == [0, 1, 10, 128, 254, 255]


def test_inks_become_colours(tmp_path):
    cmyk = np.zeros((32, 32, 4), dtype=np.uint8)
    cmyk[:, :16] = [0, 255, 255, 0]  # red
    cmyk[:, 16:] = [0, 0, 0, 255]  # black
    path = tmp_path / "a.jpg"
    Image.fromarray(cmyk, mode="CMYK").save(path, quality=95)
    assert mode_of(path) == "CMYK"
    found = read_pixels(path, (3, 32, 32))
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
    assert torch.equal(read_pixels(path, (1, 4, 6))[0], torch.from_numpy(upright))


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.fromarray(np.full((4, 6), v, dtype=np.uint8)) for v in (50, 100, 200)]
    for suffix in ("gif", "webp", "tiff", "png"):
        words = {"lossless": True} if suffix == "webp" else {}
        path = tmp_path / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **words)
        with Image.open(path) as image:
            assert image.n_frames == 3
        assert read_pixels(path, (1, 4, 6)).unique().tolist() == [50], suffix


def test_one_bit_pictures_are_black_and_white(tmp_path):
    path = save(tmp_path / "a.png", GREY > 100, mode="1")
    expected = torch.from_numpy(GREY > 100).to(torch.uint8) * 255
    assert torch.equal(read_pixels(path, (1, 4, 6))[0], expected)


def test_a_large_picture_is_averaged_and_not_sampled(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = read_pixels(save(tmp_path / "a.png", board), (1, 8, 8))
    assert_near(found, np.full((1, 8, 8), 127.5), off=3)
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, axis=0)
    found = read_pixels(save(tmp_path / "b.png", ramp), (1, 8, 8))
    means = ramp.reshape(64, 8, 8).mean((0, 2))
    assert_near(found[0], np.tile(means, (8, 1)), off=3)
    assert read_pixels(tmp_path / "b.png", (1, 3, 5)).shape == (1, 3, 5)


@pytest.mark.parametrize("order", ["I;16", "I;16B"], ids=["little end first", "big end first"])
def test_sixteen_bits_are_rounded_to_the_nearest(tmp_path, order):
    values = np.array([[0, 128, 129, 385, 386, 65406, 65407, 65535]], dtype=np.uint16)
    raw = values.astype("<u2" if order == "I;16" else ">u2").tobytes()
    path = save(tmp_path / "a.tif", Image.frombytes(order, (8, 1), raw))
    assert mode_of(path) == order
    assert read_pixels(path, (1, 1, 8)).flatten().tolist() == [0, 0, 1, 1, 2, 254, 255, 255]


def test_sixteen_bits_are_scaled_over_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_ROWS", 3)
    wide = np.random.default_rng(0).integers(0, 2**16, (7, 5), dtype=np.uint16)
    found = read_pixels(save(tmp_path / "a.png", wide), (1, 7, 5))[0]
    assert found.tolist() == np.round(wide / 257).astype(int).tolist()


def test_a_sixteen_bit_tiff_in_which_zero_is_white_is_inverted(tmp_path):
    wide = np.array([[0, 257, 65535]], dtype=np.uint16)
    path = save(tmp_path / "a.tif", wide, tiffinfo={262: 0})
    assert read_pixels(path, (1, 1, 3)).flatten().tolist() == [255, 254, 0]


def test_a_transparent_value_of_sixteen_bits_is_black(tmp_path):
    wide = np.array([[40 * 257, 40 * 257 + 1, 65535]], dtype=np.uint16)
    path = save(tmp_path / "a.png", wide, transparency=40 * 257)
    assert read_pixels(path, (1, 1, 3)).flatten().tolist() == [0, 40, 255]


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, depth, colour, packed, extra=b""):
    """A PNG by hand: `packed` is the compressed rows, each after a filter byte."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + extra
        + png_chunk(b"IDAT", packed)
        + png_chunk(b"IEND", b"")
    )


def test_of_colours_of_sixteen_bits_the_upper_eight_are_taken(tmp_path):
    rows = b"\0" + struct.pack(">6H", 0, 255, 256, 0x80FF, 0xFF00, 65535)
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1, depth=16, colour=2, packed=zlib.compress(rows)))
    assert read_pixels(path, (3, 1, 2)).permute(1, 2, 0).flatten().tolist() == [
        0, 0, 1, 0x80, 255, 255,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_without_a_known_white_are_refused(tmp_path, kind):
    path = save(tmp_path / "a.tif", np.array([[0, 1]], dtype=kind))
    assert "white is not known; save it with 8 or 16 bits" in reason_of(path)


def test_other_modes_become_colour(tmp_path):
    red = Image.new("RGB", (8, 8), (200, 10, 30))
    for mode, off in (("YCbCr", 2), ("LAB", 4), ("CMYK", 0)):
        path = save(tmp_path / f"{mode}.tif", red, mode=mode)
        found = read_picture(path, (3, 1, 1))
        assert found.mode == mode
        assert_near(found.pixels.flatten(), [200, 10, 30], off=off)


def test_transparent_pixels_do_not_bleed_when_resized(tmp_path):
    rgba = np.zeros((16, 16, 4), dtype=np.uint8)
    rgba[:, :] = [0, 255, 0, 0]  # unseen green
    rgba[:, :8] = [200, 0, 0, 255]
    found = read_pixels(save(tmp_path / "a.png", rgba), (3, 1, 1)).flatten()
    assert_near(found, [100, 0, 0])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_width_and_height_are_those_of_the_upright_picture(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    words = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", COLOUR, exif=exif, **words)
    found = read_picture(path, (3, 6, 4))
    assert (found.width, found.height, found.mode) == (4, 6, "RGB")
    assert found.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())
    if suffix != "jpg":
        turned = np.rot90(COLOUR, -1).copy()
        assert torch.equal(found.pixels, torch.from_numpy(turned).permute(2, 0, 1))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(found.thumbnail))), turned)


def test_equal_upright_pictures_have_equal_pixels_however_they_are_stored(tmp_path):
    upright = noisy()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = save(tmp_path / "a.png", np.rot90(upright).copy(), exif=exif)
    plain = save(tmp_path / "b.tif", upright)
    assert torch.equal(read_pixels(turned, (3, 7, 9)), read_pixels(plain, (3, 7, 9)))


def test_the_further_pictures_that_phones_append_are_passed_over(tmp_path):
    first, second = Image.new("L", (4, 4), 90), Image.new("L", (4, 4), 10)
    path = tmp_path / "a.jpg"
    first.save(path, "MPO", save_all=True, append_images=[second])
    found = read_picture(path, (1, 4, 4))
    assert found.format == "JPEG"
    assert found.pixels.unique().tolist() == [90]


def open_thumbnail(picture):
    image = Image.open(io.BytesIO(picture.thumbnail), formats=["PNG"])
    image.load()
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3, 5), (3, 5)), ((64, 64), (64, 64)), ((200, 100), (64, 32)), ((1, 900), (1, 64))],
)
def test_the_thumbnail_keeps_the_aspect_and_is_never_enlarged(tmp_path, size, expected):
    path = save(tmp_path / "a.png", Image.new("L", size, 77))
    image = open_thumbnail(read_picture(path, (1, 8, 8)))
    assert image.mode == "RGB"
    assert image.size == expected
    assert set(np.asarray(image).flatten()) == {77}


def test_the_thumbnail_shows_what_the_model_gets_in_colour(tmp_path):
    rgba = np.dstack([COLOUR, np.full((4, 6), 128, dtype=np.uint8)])
    image = open_thumbnail(read_picture(save(tmp_path / "a.png", rgba), (1, 2, 2)))
    np.testing.assert_allclose(np.asarray(image).astype(int), COLOUR * (128 / 255), atol=1)
    wide = save(tmp_path / "b.png", GREY.astype(np.uint16) * 257)
    image = open_thumbnail(read_picture(wide, (1, 2, 2)))
    assert np.array_equal(np.asarray(image), np.repeat(GREY[:, :, None], 3, axis=2))


def test_the_thumbnail_tells_nothing_else_of_the_file(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "secret"
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "secret")
    path = save(
        tmp_path / "a.png", COLOUR, exif=exif, pnginfo=words, icc_profile=b"secret", dpi=(72, 72),
        transparency=(1, 2, 3),
    )  # fmt: skip
    assert path.read_bytes().count(b"secret") == 2  # the profile is compressed
    found = read_picture(path, (3, 4, 4)).thumbnail
    kinds, place = [], 8
    while place < len(found):
        (length,) = struct.unpack_from(">I", found, place)
        kinds.append(found[place + 4 : place + 8])
        place += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_the_rule_is_a_record_of_what_is_enforced():
    assert json.loads(json.dumps(RULE)) == RULE
    assert RULE["max_pixels"] == reading.MAX_PIXELS == 64_000_000
    assert all(name in RULE["formats"] for name in FORMATS)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"Hello, I am a text.\n", "not a picture of an allowed format"),
        (POSTSCRIPT, "not a picture of an allowed format"),
        (b"<svg/>", "not a picture of an allowed format"),
        (b"\x89PNG\r\n\x1a\n", "damaged PNG: "),
        (b"GIF89a", "damaged GIF: "),
        (b"\xff\xd8\xff", "damaged JPEG: "),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "damaged WEBP: "),
    ],
    ids=["nothing", "text", "PostScript", "SVG", "PNG's head", "GIF's", "JPEG's", "WebP's"],
)
def test_what_is_no_picture_is_refused_with_a_reason(tmp_path, content, reason):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    assert reason_of(path).startswith(reason)


def test_formats_that_are_not_allowed_are_refused_though_pillow_reads_them(tmp_path):
    for suffix in ("eps", "ico", "ppm", "tga", "pcx"):
        path = save(tmp_path / f"a.{suffix}", COLOUR).rename(tmp_path / f"{suffix}.png")
        assert mode_of(path)
        assert reason_of(path) == "not a picture of an allowed format"


def test_what_cannot_be_opened_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    assert reason_of(tmp_path / "fifo.png") == "not a regular file"
    assert reason_of(Path("/dev/zero")) == "not a regular file"
    assert reason_of(tmp_path / "missing.png") == "cannot be opened: No such file or directory"
    assert reason_of(tmp_path / "nul\0.png").startswith("cannot be opened: ")
    assert reason_of(tmp_path) in ("cannot be opened: Is a directory", "not a regular file")


@pytest.mark.skipif(sys.platform != "linux", reason="a file that opens and cannot be read")
def test_what_opens_and_cannot_be_read_is_refused():
    assert reason_of(Path("/proc/self/mem")).startswith("cannot be read: ")


def test_an_undecodable_name_can_be_printed(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    with pytest.raises(UnreadablePictureError, match=r"\\xff\.png") as caught:
        read_picture(path, (3, 4, 4))
    str(caught.value).encode()


def noisy():
    return np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tiff"])
def test_a_truncated_picture_is_refused(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", noisy())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    name = {"jpg": "JPEG"}.get(suffix, suffix.upper())
    assert reason_of(path).startswith(f"damaged {name}: ")
    if suffix in ("jpg", "png"):
        assert "image file is truncated" in reason_of(path)


def test_the_size_is_checked_before_a_pixel_is_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", noisy())
    path.write_bytes(path.read_bytes()[:700])  # the head and little else
    monkeypatch.setattr(reading, "MAX_PIXELS", 1599)
    assert reason_of(path) == "40 x 40 px, over the limit of 1,599"
    monkeypatch.setattr(reading, "MAX_PIXELS", 1600)
    monkeypatch.setattr(reading, "MAX_SIDE", 39)
    assert reason_of(path) == "40 x 40 px, over the limit of 39 a side"
    monkeypatch.setattr(reading, "MAX_SIDE", 40)
    assert reason_of(path).startswith("damaged JPEG")


def zeros(width, height, bytes_per_pixel):
    """Rows of zeros, compressed a piece at a time."""
    packer = zlib.compressobj(1)
    row = bytes(1 + width * bytes_per_pixel)
    return b"".join(packer.compress(row) for _ in range(height)) + packer.flush()


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (20_000, 10_000, "20000 x 10000 px, over the limit of 64,000,000"),  # an error of Pillow
        (10_000, 10_000, "10000 x 10000 px, over the limit of 64,000,000"),  # a warning of Pillow
        (8000, 8001, "8000 x 8001 px, over the limit of 64,000,000"),
        (1, 65_536, "1 x 65536 px, over the limit of 65,535 a side"),
        (2**31 - 1, 2**31 - 1, "2147483647 x 2147483647 px, over the limit of 64,000,000"),
    ],
)
def test_a_bomb_is_refused_unopened(tmp_path, width, height, reason):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height, depth=8, colour=0, packed=zlib.compress(bytes(9))))
    assert reason_of(path) == reason


def test_a_webp_bomb_is_refused_unopened(tmp_path):
    for side, reason in ((9000, "9000 x 9000 px, over the"), (16_000, "over the")):
        path = save(tmp_path / "a.webp", Image.new("1", (side, 1)).convert("RGB"), lossless=True)
        content = bytearray(path.read_bytes())
        bits = (side - 1) | (side - 1) << 14  # the head of VP8L: width, height
        content[21:25] = struct.pack(
            "<I", bits | struct.unpack_from("<I", content, 21)[0] >> 28 << 28
        )
        path.write_bytes(content)
        assert reason_of(path).startswith(reason)


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path):
    path = save(tmp_path / "a.png", GREY)
    os.truncate(path, 2**30 + 1)  # sparse: takes no room
    assert reason_of(path) == "1,073,741,825 bytes, over the limit of 1,073,741,824"


# The kernel's high-water mark of this process alone: `ru_maxrss` starts at that of the parent.
MEMORY = """
import re, sys
from pathlib import Path
from equipoise.images import read_picture
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
read_picture(Path(sys.argv[1]), (3, 8, 8))
before = peak()
found = read_picture(Path(sys.argv[2]), (3, 32, 32))
assert (found.width, found.height, found.mode) == (8000, 8000, "RGBA")
print((peak() - before) / 1024)
"""


@pytest.mark.slow
def test_the_largest_picture_needs_a_bounded_memory(tmp_path):
    small = save(tmp_path / "small.png", COLOUR)
    large = tmp_path / "large.png"
    large.write_bytes(png(8000, 8000, depth=16, colour=6, packed=zeros(8000, 8000, 8)))
    command = [sys.executable, "-c", MEMORY, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # Two copies of 4 bytes a pixel are 488 MiB: the decoded one and that times its alpha.
    assert 240 < float(done.stdout) < 600


def test_large_pictures_are_read_one_at_a_time(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", noisy())
    inside, most = [], []
    flatten = reading._flatten

    def watch(image):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return flatten(image)

    monkeypatch.setattr(reading, "_flatten", watch)
    for limit, expected in ((1600, {2, 3, 4}), (1599, {1})):
        monkeypatch.setattr(reading, "LARGE_PIXELS", limit)
        most.clear()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: read_picture(path, (3, 4, 4)), range(12)))
        assert max(most) in expected
        assert len(most) == 12


def test_a_text_that_inflates_to_megabytes_is_refused(tmp_path):
    content = save(tmp_path / "a.png", GREY).read_bytes()
    bomb = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22)))
    path = tmp_path / "bomb.png"
    path.write_bytes(content[:33] + bomb + content[33:])  # after the header
    assert reason_of(path).startswith("damaged PNG: ")


def odd_pictures(folder):
    """Pictures with sound pixels and odd metadata, each of which makes Pillow warn."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\0\0\0\xf0\0\0\0"  # beyond its end
    jpeg = save(folder / "exif.jpg", GREY, exif=exif)
    tiff = folder / "tags.tif"
    content = bytearray(save(tiff, GREY).read_bytes())
    # Two values where one belongs: BitsPerSample has a count of 1 at byte 4 of its entry.
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, entry)[0] == 0x116:  # RowsPerStrip
            struct.pack_into("<HI", content, entry + 2, 3, 2)  # two short numbers
    tiff.write_bytes(content)
    apng = folder / "frames.png"
    control = png_chunk(b"acTL", struct.pack(">II", 0, 0))
    rows = zlib.compress(b"".join(b"\0" + bytes(row) for row in GREY))
    apng.write_bytes(png(6, 4, depth=8, colour=0, packed=rows, extra=control))
    return jpeg, tiff, apng


def test_warnings_of_odd_metadata_do_not_escape(tmp_path):
    for path in odd_pictures(tmp_path):
        heard = r"Corrupt|Tag data|Metadata|APNG"
        with pytest.warns(UserWarning, match=heard), Image.open(path) as image:
            image.getexif()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            before = list(warnings.filters)
            assert_near(read_pixels(path, (1, 4, 6))[0], GREY, off=3)
            assert warnings.filters == before


def test_warnings_are_kept_in_from_all_threads_and_those_of_others_are_not(tmp_path):
    paths = odd_pictures(tmp_path) * 60
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda path: read_pixels(path, (1, 4, 6)), paths)
            with SILENCE:  # as a thread in the midst of reading
                warnings.warn("of another", UserWarning, stacklevel=1)
            assert all(pixels.shape == (1, 4, 6) for pixels in found)
        assert warnings.filters == before
    assert [str(w.message) for w in caught] == ["of another"]


def test_damaged_metadata_beside_sound_pixels_is_passed_over(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", GREY)

    def fail(image):
        raise KeyError("damaged")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    assert torch.equal(read_pixels(path, (1, 4, 6))[0], torch.from_numpy(GREY))


@pytest.mark.parametrize(
    "error",
    [
        OSError("x"), SyntaxError("x"), ValueError("x"), EOFError(), struct.error("x"),
        IndexError("x"), KeyError("x"), TypeError("x"), OverflowError("x"), zlib.error("x"),
        RuntimeError("x"), AssertionError(), RecursionError("x"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_decoder_raises_is_told_as_damage(tmp_path, monkeypatch, error):
    path = save(tmp_path / "a.png", GREY)

    def fail(image):
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    assert reason_of(path).startswith("damaged PNG: ")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "_open", fail)
    assert reason_of(path).startswith("damaged PNG: ")


def test_lack_of_memory_is_no_damage_and_our_own_interrupt_goes_through(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", GREY)
    errors = [MemoryError(), KeyboardInterrupt()]
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile, "load", lambda image: (_ for _ in ()).throw(errors.pop(0))
    )
    assert reason_of(path) == "PNG that needs more memory than there is"
    with pytest.raises(KeyboardInterrupt):
        read_picture(path, (1, 4, 4))


def small_pictures():
    """A picture of every format and kind of compression, 15 x 12 px."""
    colour, grey = Image.fromarray(noisy()[:12, :15]), Image.fromarray(noisy()[:12, :15, 0])
    clear = colour.convert("RGBA")
    clear.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "words"
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)

    def two():
        return {"save_all": True, "append_images": [colour.transpose(1)]}

    kinds = [
        ("PNG", colour, {"exif": exif}), ("PNG", clear, {"icc_profile": bytes(50)}),
        ("PNG", colour.quantize(7), {"transparency": b"\0\x80"}), ("PNG", colour, two()),
        ("PNG", wide, {"transparency": 5}), ("JPEG", colour, {"exif": exif}),
        ("JPEG", colour, {"progressive": True}), ("JPEG", colour.convert("CMYK"), {}),
        ("MPO", colour, two()), ("WEBP", clear, {"lossless": True, "exif": exif}),
        ("WEBP", colour, {}), ("WEBP", colour, two()), ("GIF", colour, {}),
        ("GIF", colour, {"transparency": 3, **two()}), ("BMP", colour, {}),
        ("BMP", colour.quantize(9), {}), ("BMP", grey.convert("1"), {}),
        ("TIFF", colour, {"exif": exif}), ("TIFF", wide, {}), ("TIFF", colour, two()),
        ("TIFF", colour, {"big_tiff": True}), ("TIFF", clear, {"compression": "tiff_lzw"}),
        ("TIFF", colour, {"compression": "jpeg"}), ("TIFF", grey, {"compression": "packbits"}),
        ("TIFF", colour, {"compression": "tiff_adobe_deflate"}),
        ("TIFF", grey.convert("1"), {"compression": "group4"}),
    ]  # fmt: skip
    for name, image, words in kinds:
        buffer = io.BytesIO()
        image.copy().save(buffer, name, **words)  # saving leaves its settings on an image
        yield buffer.getvalue()


def mutate(content, seed, *, truncations, flips):
    """Files that end early, and files with one to three bytes changed, half in the head."""
    rng = random.Random(seed)
    for _ in range(truncations):
        yield content[: rng.randrange(len(content))]
    for trial in range(flips):
        broken = bytearray(content)
        reach = len(content) if trial % 2 else min(200, len(content))
        for _ in range(1 + trial % 3):
            broken[rng.randrange(reach)] = rng.randrange(256)
        yield bytes(broken)


def read_or_refuse(path, content):
    path.write_bytes(content)
    try:
        found = read_picture(path, (3, 4, 4))
    except UnreadablePictureError:
        return False
    assert found.pixels.shape == (3, 4, 4)
    assert max(open_thumbnail(found).size) <= 64
    return True


@pytest.mark.parametrize(
    ("truncations", "flips"),
    [(4, 12), pytest.param(40, 120, marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def test_a_damaged_picture_is_read_or_refused_and_nothing_else(tmp_path, truncations, flips):
    read = refused = 0
    for seed, content in enumerate(small_pictures()):
        assert read_or_refuse(tmp_path / "a", content)
        for broken in mutate(content, seed, truncations=truncations, flips=flips):
            if read_or_refuse(tmp_path / "a", broken):
                read += 1
            else:
                refused += 1
    assert read > 50
    assert refused > 150


def test_threads_read_what_one_reads(tmp_path):
    contents = [
        broken
        for seed, content in enumerate(small_pictures())
        for broken in (content, *mutate(content, seed, truncations=1, flips=3))
    ]
    for index, content in enumerate(contents):
        (tmp_path / f"{index:03d}").write_bytes(content)

    def read(path):
        try:
            found = read_picture(path, (3, 5, 4))
        except UnreadablePictureError as error:
            return error.reason
        return found.pixels.tolist(), found.thumbnail, found.width, found.height, found.mode

    paths = sorted(tmp_path.iterdir())
    alone = [read(path) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, paths)) == alone


def test_reading_does_not_change_the_file(tmp_path):
    path = save(tmp_path / "a.png", COLOUR)
    before = path.read_bytes()
    read_picture(path, (1, 3, 3))
    assert path.read_bytes() == before


def test_of_anybodys_folder_the_good_pictures_are_read_and_the_others_told(tmp_path):
    """The folder of the promise: one row each, reasons, no other exception, no waiting."""
    good, bad = fill_folder(tmp_path / "root")
    read, failed = [], {}
    for entry in list_pictures(tmp_path / "root").entries:
        try:
            if entry.error is None:
                assert read_picture(entry.content, (3, 8, 8)).pixels.shape == (3, 8, 8)
                read.append(entry.source)
            else:
                failed[entry.source] = entry.error
        except UnreadablePictureError as error:
            failed[entry.source] = error.reason
    assert read == sorted(good, key=str.encode)
    assert set(failed) == set(bad)
    for source, reason in bad.items():
        assert reason in failed[source], source


def fill_folder(root):
    root.mkdir()
    (root / "sub").mkdir()
    good = {
        "good.png", "good.jpg", "wide.png", "clear.png", "ink.jpg", "moving.gif", "sub/inside.png",
        "<img src=x onerror=alert(1)>.png", "new\nline.png", "n" * 246 + ".png", "\u202egnp.png",
    }  # fmt: skip
    for name in good:
        save(root / name, COLOUR)
    save(root / "wide.png", GREY.astype(np.uint16) * 257)
    save(root / "clear.png", np.dstack([COLOUR, GREY]))
    save(root / "ink.jpg", Image.new("CMYK", (9, 9), (9, 8, 7, 6)))
    frames = [Image.new("L", (5, 5), value) for value in (1, 2)]
    frames[0].save(root / "moving.gif", save_all=True, append_images=frames[1:])
    whole = save(root / "truncated.jpg", noisy()).read_bytes()
    (root / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "text.png").write_text("Hello\n")
    (root / "script.png").write_bytes(POSTSCRIPT)
    (root / "nothing.png").write_bytes(b"")
    bomb = png(20_000, 10_000, depth=8, colour=0, packed=zlib.compress(bytes(9)))
    (root / "bomb.png").write_bytes(bomb)
    (root / "sub" / "loop").symlink_to("..")
    (root / "itself.png").symlink_to("itself.png")
    (root / "passwd.png").symlink_to("/etc/passwd")
    os.mkfifo(root / "fifo.png")
    (root / "caption.txt").write_text("a caption")
    return good, {
        "truncated.jpg": "damaged JPEG: image file is truncated",
        "text.png": "not a picture of an allowed format",
        "script.png": "not a picture of an allowed format",
        "nothing.png": "empty file",
        "bomb.png": "20000 x 10000 px, over the limit of 64,000,000",
        "sub/loop": "a loop",
        "itself.png": "symbolic links",
        "passwd.png": "leaves the folder",
        "fifo.png": "FIFO",
    }


def test_the_golden_orientations_agree_with_pillow(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "a.jpg", GREY, exif=exif, quality=95)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == (6, 4)
    assert torch.equal(read_pixels(path, (1, 6, 4))[0], torch.from_numpy(expected.copy()))
