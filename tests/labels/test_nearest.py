import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import BadInputError
from equipoise.labels import (
    NEIGHBOURS,
    NearestLabels,
    NearestSearch,
    label_by_nearest,
    nearest,
)


def pictures_of(count, shape=(1, 6, 6), *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)


def by_hand(sample, pictures, group):
    """Ratio and nearest image of one sample, in Python loops."""
    best = {}
    for index, picture in enumerate(pictures.numpy().astype(float)):
        for seen in (picture, picture[:, :, ::-1]):
            d = math.sqrt(sum((a - b) ** 2 for a, b in zip(
                sample.flatten().tolist(), seen.flatten().tolist(), strict=True)))  # fmt: skip
            key = int(group[index])
            best[key] = min(best.get(key, (math.inf, -1)), (d, index))
    ordered = sorted((d, key, index) for key, (d, index) in best.items())
    mean = sum(d for d, _, _ in ordered[1 : NEIGHBOURS + 1]) / NEIGHBOURS
    return ordered[0][0] / mean, ordered[0][1], ordered[0][2]


@pytest.fixture(scope="module")
def training():
    """60 images; numbers 3 and 7 have variants, which stand between the others."""
    originals = pictures_of(60)
    variants = [(3, 0.97), (7, 0.99), (3, 0.95)]
    scaled = torch.stack([(originals[i] * s).to(torch.uint8) for i, s in variants])
    order = torch.randperm(63, generator=torch.Generator().manual_seed(5))
    group = torch.tensor([*range(60), *[i for i, _ in variants]])
    return torch.cat([originals, scaled])[order], group[order]


@pytest.fixture(scope="module")
def samples(training):
    pictures, _ = training
    near = (pictures[:8].float() * 0.9 + 0.1 * pictures_of(8, seed=2).float()).to(torch.uint8)
    between = (pictures[8:12].float() / 2 + pictures[12:16].float() / 2).to(torch.uint8)
    return torch.cat([near, near.flip(-1), between, pictures_of(8, seed=3)])


def test_labels_equal_a_brute_force_loop(training, samples):
    found = label_by_nearest(samples, *training)
    expected = [by_hand(sample, *training) for sample in samples]
    np.testing.assert_allclose(found.ratio, [e[0] for e in expected], rtol=1e-6)
    assert found.nearest.tolist() == [e[1] for e in expected]
    assert found.picture.tolist() == [e[2] for e in expected]
    names = found.names()
    assert names[:16] == ["copy"] * 16
    assert names[-8:] == ["novel"] * 8


def test_mirror_images_of_outputs_are_found(training, samples):
    found = label_by_nearest(samples, *training)
    torch.testing.assert_close(found.ratio[:8], found.ratio[8:16])
    assert torch.equal(found.picture[:8], found.picture[8:16])


@pytest.fixture(scope="module")
def planted():
    """One image in 60 slightly different variants among 55 others, and a noisy output of it."""
    others, original = pictures_of(55), pictures_of(1, seed=1)
    jitter = torch.randint(-3, 4, (60, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    variants = (original.int() + jitter).clamp(0, 255).to(torch.uint8)
    sample = (original.int() + 4).clamp(0, 255).to(torch.uint8)
    group = torch.cat([torch.arange(55), torch.full((60,), 55)])
    return sample, torch.cat([others, variants]), group


def test_variants_of_an_image_are_one_neighbour_where_the_naive_ratio_sees_none(planted):
    sample, pictures, group = planted
    distances = np.sort((pictures.float() - sample.float()).flatten(1).norm(dim=1).numpy())
    assert distances[0] / distances[1] > 0.6  # d1 / d2 calls a copy novel
    assert distances[0] / distances[1:51].mean() > 0.6  # and so does the mean over neighbours
    found = label_by_nearest(sample, pictures, group)
    assert found.names() == ["copy"]
    assert float(found.ratio) < 0.1
    assert found.nearest.tolist() == [55]
    # told that every variant is an image of its own, the rule is as blind as the naive one
    assert label_by_nearest(sample, pictures, torch.arange(115)).names() == ["novel"]


def test_an_image_and_its_mirror_are_one_neighbour(planted):
    sample, pictures, group = planted
    both = torch.cat([pictures, pictures.flip(-1)])
    found = label_by_nearest(sample, both, torch.cat([group, group]))
    torch.testing.assert_close(found.ratio, label_by_nearest(sample, pictures, group).ratio)
    symmetric = torch.cat([sample[..., :3], sample[..., :3].flip(-1)], dim=-1)
    others = pictures[:55]
    # both the picture and its mirror are at distance zero: still one neighbour, not two
    found = label_by_nearest(symmetric, torch.cat([others, symmetric]), torch.arange(56))
    assert found.ratio.tolist() == [0]
    assert found.picture.tolist() == [55]


@pytest.mark.parametrize("size", [1, 7, 28, 1000])
def test_chunks_do_not_matter(training, samples, size, monkeypatch):
    whole = label_by_nearest(samples, *training)
    monkeypatch.setattr(nearest, "CHUNK", size)
    found = label_by_nearest(samples, *training)
    torch.testing.assert_close(found.ratio, whole.ratio, rtol=1e-6, atol=0)
    assert torch.equal(found.nearest, whole.nearest)
    assert torch.equal(found.picture, whole.picture)


def test_names_at_the_boundaries():
    third = 1 / 3
    values = [0, math.nextafter(third, 0), third, 0.6, math.nextafter(0.6, 1), 2]
    ratio = torch.tensor(values, dtype=torch.float64)
    found = NearestLabels(ratio, torch.zeros(6).int(), torch.zeros(6).int()).names()
    assert found == ["copy", "copy", "grey", "grey", "novel", "novel"]


@pytest.mark.parametrize(
    ("first", "rest", "label"),
    [(1, 3, "grey"), (99, 300, "copy"), (3, 5, "grey"), (9, 15, "grey"), (61, 100, "novel")],
)
def test_whole_distances_at_the_boundaries(first, rest, label):
    """One nearest image at distance `first`, fifty at `rest`: exactly 1/3 and .6 are grey."""
    pictures = torch.zeros(51, 1, 1, 102, dtype=torch.uint8)
    for index, distance in enumerate([first] + [rest] * 50):
        low, high = min(distance, 180), round(math.sqrt(max(0, distance**2 - 180**2)))
        if distance > 255:
            low, high = 180, 240  # 180^2 + 240^2 = 300^2
        pictures[index, 0, 0, 2 * index : 2 * index + 2] = torch.tensor([low, high])
        assert math.hypot(low, high) == distance
    sample = torch.zeros(1, 1, 1, 102, dtype=torch.uint8)
    found = label_by_nearest(sample, pictures, torch.arange(51))
    assert float(found.ratio) == pytest.approx(first / rest, rel=1e-6)
    assert found.names() == [label]


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 64, 64)], ids=str)
def test_an_exact_copy_has_ratio_zero_at_every_size(shape):
    pictures = (pictures_of(60, shape) // 8) + 224  # bright, where squares are large
    found = label_by_nearest(pictures[:30], pictures, torch.arange(60))
    assert found.ratio.tolist() == [0] * 30
    assert found.picture.tolist() == list(range(30))


def test_the_picture_belongs_to_the_nearest_image_even_in_a_tie():
    pictures = pictures_of(60)
    twice = torch.cat([pictures, pictures[[4, 9, 30]]])
    group = torch.arange(63).flip(0)
    found = label_by_nearest(twice[[4, 9, 30]], twice, group)
    assert torch.equal(group[found.picture], found.nearest)


def test_too_few_images_are_refused():
    pictures = pictures_of(NEIGHBOURS + 1)
    sample = pictures_of(1, seed=9)
    label_by_nearest(sample, pictures, torch.arange(51))
    with pytest.raises(BadInputError, match=r"with 50 training images.*more than 50"):
        label_by_nearest(sample, pictures[:50], torch.arange(50))
    with pytest.raises(BadInputError, match="with 17 training images"):
        label_by_nearest(sample, pictures, torch.arange(51) // 3)  # variants are no images


def test_numbers_without_a_picture_do_not_count_as_images():
    pictures = pictures_of(20)
    group = torch.tensor([*range(19), 70])
    with pytest.raises(BadInputError, match="with 20 training images"):
        label_by_nearest(pictures_of(1, seed=9), pictures, group)
    many, numbers = pictures_of(60), torch.arange(60) * 3  # a subset keeps its numbers
    found = label_by_nearest(many[:5], many, numbers)
    assert found.nearest.tolist() == [0, 3, 6, 9, 12]
    np.testing.assert_allclose(
        label_by_nearest(pictures_of(4, seed=9), many, numbers).ratio,
        label_by_nearest(pictures_of(4, seed=9), many, torch.arange(60)).ratio,
    )


def test_no_outputs_have_no_labels():
    found = label_by_nearest(pictures_of(0), pictures_of(60), torch.arange(60))
    assert found.names() == []


def test_the_order_of_the_training_pictures_does_not_matter(training, samples):
    pictures, group = training
    order = torch.randperm(len(group), generator=torch.Generator().manual_seed(1))
    one, other = (label_by_nearest(samples, pictures[o], group[o]) for o in (order, slice(None)))
    torch.testing.assert_close(one.ratio, other.ratio)
    assert torch.equal(one.nearest, other.nearest)
    assert len({*itertools.chain(one.nearest.tolist())}) > 5


def test_a_sample_on_many_training_images_is_a_copy():
    pictures = pictures_of(1).repeat(60, 1, 1, 1)
    found = label_by_nearest(pictures[:1], pictures, torch.arange(60))  # 0 / 0 by the formula
    assert found.ratio.tolist() == [0]
    assert found.names() == ["copy"]


def search(samples, pictures, cuts):
    found = NearestSearch(samples)
    places = torch.arange(len(pictures))
    parts = (torch.tensor_split(tensor, sorted(cuts)) for tensor in (pictures, places))
    for part, numbers in zip(*parts, strict=True):
        found.add(part, numbers)
    return found.finish()


def assert_same(one, other):
    torch.testing.assert_close(one.ratio, other.ratio, rtol=1e-12, atol=0)
    assert torch.equal(one.nearest, other.nearest)
    assert torch.equal(one.picture, other.picture)


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 63), max_size=8))
def test_streamed_pictures_give_the_labels_of_a_set_in_memory(training, samples, cuts):
    pictures, _ = training
    assert_same(
        search(samples, pictures, cuts), label_by_nearest(samples, pictures, torch.arange(63))
    )


def test_streamed_chunks_of_samples_do_not_matter(training, samples, monkeypatch):
    pictures, _ = training
    whole = search(samples, pictures, [20])
    monkeypatch.setattr(nearest, "CHUNK", 7)
    assert_same(search(samples, pictures, [20]), whole)


def test_repeated_and_mirrored_pictures_are_one_neighbour_of_a_search(training, samples):
    pictures, _ = training
    alone = search(samples, pictures, [])
    crowd = torch.cat([pictures, pictures[:30].flip(-1), pictures, pictures[5:9]])
    for cuts in ([], [63], [10, 70, 99]):
        assert_same(search(samples, crowd, cuts), alone)
    # in another order the positions are those of the first of each
    ahead = torch.cat([pictures[:3].flip(-1), pictures])
    found = search(samples, ahead, [2, 30])
    torch.testing.assert_close(found.ratio, alone.ratio)
    expected = [i if i < 3 else i + 3 for i in alone.nearest.tolist()]
    assert found.nearest.tolist() == expected


@settings(max_examples=25)
@given(
    rows=st.lists(st.integers(0, 69), min_size=1, max_size=400),
    flips=st.lists(st.booleans(), min_size=400, max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_whatever_comes_again_counts_once(rows, flips, cuts):
    pictures, sample = pictures_of(70), pictures_of(3, seed=9)
    crowd = torch.stack([pictures[row].flip(-1) if flip else pictures[row]
                         for row, flip in zip(rows, flips, strict=False)])  # fmt: skip
    stream = torch.cat([crowd, pictures])
    first = {row: place for place, row in reversed([*enumerate([*rows, *range(70)])])}
    truth = label_by_nearest(sample, pictures, torch.arange(70))
    found = search(sample, stream, [cut for cut in cuts if cut <= len(stream)])
    torch.testing.assert_close(found.ratio, truth.ratio, rtol=1e-12, atol=0)
    assert found.nearest.tolist() == [first[row] for row in truth.nearest.tolist()]


def test_large_pictures_are_compared_a_few_at_a_time(training, samples, monkeypatch):
    pictures, _ = training
    whole = search(samples, pictures, [20])
    monkeypatch.setattr(nearest, "CELLS", 3 * 36)  # three pictures of 6 x 6
    assert_same(search(samples, pictures, [20]), whole)


def test_a_search_refuses_too_few_different_pictures():
    pictures = pictures_of(NEIGHBOURS)
    crowd = torch.cat([pictures, pictures, pictures.flip(-1)])
    with pytest.raises(BadInputError, match=r"with 50 training images.*more than 50"):
        search(pictures_of(2, seed=9), crowd, [7])
    one_more = torch.cat([crowd, pictures_of(1, seed=4)])
    assert search(pictures_of(2, seed=9), one_more, [7]).ratio.isfinite().all()


def test_a_search_without_samples_finds_nothing():
    assert search(pictures_of(0), pictures_of(60), [7]).names() == []


def test_a_search_keeps_no_more_than_the_neighbours_of_the_rule():
    found = NearestSearch(pictures_of(3, seed=9))
    for seed in range(4):
        found.add(pictures_of(300, seed=seed), torch.arange(300))
    held = sum(t.numel() for t in vars(found).values() if isinstance(t, torch.Tensor))
    assert held == 3 * (2 * (NEIGHBOURS + 1) + 1 + 36)
    assert len(found._different) <= NEIGHBOURS + 300
