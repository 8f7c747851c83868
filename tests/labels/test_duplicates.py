import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.labels import KINDS, NEIGHBOURS, duplicates, find_duplicates
from equipoise.zoo.package import load_zoo
from equipoise.zoo.planting import build_variants

pytestmark = pytest.mark.slow  # real images take seconds


def smooth(count, *, channels=1, side=16, seed=0):
    """Random pictures with coarse structure, as real ones have."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 255 * torch.rand(count, channels, 6, 6, generator=generator)
    fine = F.interpolate(coarse, size=(side, side), mode="bicubic", antialias=True)
    return fine.round().clamp(0, 255).to(torch.uint8)


def noisy(picture, spread, *, seed=0):
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))
    return (picture + spread * noise).round().clamp(0, 255).to(torch.uint8)


def crop(picture):
    return build_variants(picture, "near")[0]


def darken(picture):
    return build_variants(picture, "near")[1]


def partition(found):
    groups = {}
    for position, group in enumerate(found.group.tolist()):
        groups.setdefault(group, set()).add(position)
    return {frozenset(members) for members in groups.values()}


def groups_of(found):
    return {tuple(sorted(members)) for members in partition(found) if len(members) > 1}


@pytest.fixture(scope="module")
def originals():
    return smooth(120)


def test_pictures_without_duplicates_are_alone(originals):
    found = find_duplicates(originals)
    assert found.group.tolist() == list(range(120))
    assert set(found.kinds) == {None}
    assert found.sizes().tolist() == [1] * 120
    assert float(found.ratio.min()) > 1 / 3
    assert (found.nearest != torch.arange(120)).all()


def test_each_kind_is_found_and_named(originals):
    added = [originals[3], originals[10].flip(-1), crop(originals[20]), darken(originals[30])]
    found = find_duplicates(torch.cat([originals, torch.stack(added)]))
    assert groups_of(found) == {(3, 120), (10, 121), (20, 122), (30, 123)}
    for original, variant, kind in [
        (3, 120, "exact"), (10, 121, "flipped"), (20, 122, "near"), (30, 123, "near"),
    ]:  # fmt: skip
        assert found.kinds[original] == found.kinds[variant] == kind
        assert int(found.nearest[original]) == variant
        assert int(found.nearest[variant]) == original
        assert found.sizes()[[original, variant]].tolist() == [2, 2]
    assert found.ratio[[3, 120, 10, 121]].tolist() == [0] * 4
    assert (found.ratio[[20, 30, 122, 123]] < 1 / 3).all()
    assert (found.ratio[[20, 30, 122, 123]] > 0).all()
    assert KINDS == ("exact", "flipped", "near")


@pytest.mark.parametrize(
    "change",
    [
        lambda x: darken(crop(x)).flip(-1),
        lambda x: (x.float() * 0.6 + 60).round().to(torch.uint8),
        lambda x: torch.roll(x, 1, dims=-1),
        lambda x: torch.roll(x, (-1, 1), dims=(-2, -1)).flip(-1),
        lambda x: noisy(x, 4),
    ],
    ids=["mirrored dark crop", "less contrast", "shifted", "mirrored and shifted", "noise"],
)
def test_combined_and_other_changes_are_found(originals, change):
    chosen = list(range(0, 120, 12))
    variants = torch.stack([change(originals[i]) for i in chosen])
    found = find_duplicates(torch.cat([originals, variants]))
    assert groups_of(found) == {(i, 120 + n) for n, i in enumerate(chosen)}
    assert {found.kinds[i] for i in chosen} == {"near"}


@pytest.mark.parametrize(
    "change",
    [lambda x: torch.rot90(x, 1, dims=(-2, -1)), lambda x: 255 - x],
    ids=["turned", "negative"],
)
def test_what_the_rule_does_not_look_for_is_not_found(originals, change):
    found = find_duplicates(torch.cat([originals, change(originals[:10])]))
    assert groups_of(found) == set()


def distance_by_hand(one, other):
    """Smallest distance of two pictures over mirror images, crops and shifts, view by view."""

    def norm(picture):
        centred = picture - picture.mean(dim=(1, 2), keepdim=True)
        return (centred / centred.norm()).flatten()

    def crops(picture):
        for margin in (1, 2):
            for top in range(margin + 1):
                for left in range(margin + 1):
                    cut = picture[:, top : top + 16 - margin, left : left + 16 - margin]
                    yield F.interpolate(cut[None], (16, 16), mode="bicubic", antialias=True)[0]

    best = 2.0
    for a in (one, one.flip(-1)):
        pairs = [(a, other)]
        pairs += [(seen, other) for seen in crops(a)] + [(a, seen) for seen in crops(other)]
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                rows = slice(max(down, 0), 16 + min(down, 0))
                columns = slice(max(across, 0), 16 + min(across, 0))
                back = slice(max(-down, 0), 16 + min(-down, 0))
                aside = slice(max(-across, 0), 16 + min(-across, 0))
                pairs.append((a[:, rows, columns], other[:, back, aside]))
        best = min(best, *(float((norm(x) - norm(y)).norm()) for x, y in pairs))
    return best


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_ratios_equal_a_view_by_view_calculation(channels):
    pictures = smooth(60, channels=channels, seed=3)  # all others are candidates
    variants = torch.stack([crop(pictures[0]), noisy(pictures[1], 12), torch.roll(pictures[2], 1)])
    pictures = torch.cat([pictures, variants])
    found = find_duplicates(pictures)
    real = pictures.double()
    for place in (0, 2, 5, 61):
        distance = {i: distance_by_hand(real[place], real[i]) for i in range(63) if i != place}
        ordered = sorted(distance, key=lambda i: distance[i])
        mates = {i for i in ordered if found.group[i] == found.group[place]}
        others = [distance[i] for i in ordered[1:] if i not in mates][:NEIGHBOURS]
        ratio = distance[ordered[0]] / np.mean(others)
        assert float(found.ratio[place]) == pytest.approx(ratio, rel=0.01, abs=2e-3)  # float32
        assert int(found.nearest[place]) == ordered[0]


def test_many_variants_of_one_image_are_one_group(originals):
    """More than 50 leave no gap after 50 neighbours; they are alike beyond doubt."""
    many = torch.stack([noisy(originals[7], 1, seed=i) for i in range(130)])
    found = find_duplicates(torch.cat([originals, many]))
    assert groups_of(found) == {(7, *range(120, 250))}
    assert found.sizes()[7] == 131
    assert found.ratio[7].isnan()  # its 100 candidates are all of its group


def test_a_few_rough_variants_are_found_by_the_gap_behind_them(originals):
    rough = torch.stack([noisy(originals[7], 14, seed=i) for i in range(6)])
    found = find_duplicates(torch.cat([originals, rough]))
    assert groups_of(found) == {(7, *range(120, 126))}
    distance = found.ratio[7] * 3
    assert distance > duplicates.ALIKE  # of the wider rule alone nothing would be found


@pytest.mark.parametrize(("first", "mates"), [(0.332, 1), (0.334, 0), (0.049, 1)])
def test_the_gap_at_the_boundary(first, mates):
    rest = torch.full((1, 99), 1.0)
    distance = torch.cat([torch.full((1, 1), first), rest], dim=1)
    assert duplicates._count_mates(distance).tolist() == [mates]


def test_the_last_gap_counts():
    distance = torch.tensor([[0.1] * 7 + [0.32] * 3 + [1.0] * 90])
    assert duplicates._count_mates(distance).tolist() == [10]
    too_many = torch.tensor([[0.1] * 100])
    assert duplicates._count_mates(too_many).tolist() == [0]
    alike = torch.tensor([[0.04] * 60 + [1.0] * 40])
    assert duplicates._count_mates(alike).tolist() == [60]


def test_few_pictures_are_compared_without_the_gap():
    pictures = smooth(10)
    added = torch.stack([pictures[1], pictures[2].flip(-1), darken(pictures[3])])
    found = find_duplicates(torch.cat([pictures, added]))
    assert groups_of(found) == {(1, 10), (2, 11), (3, 12)}
    assert found.ratio[[1, 2, 10, 11]].tolist() == [0] * 4
    assert found.ratio[[0, 3, 12]].isnan().all()


@pytest.mark.parametrize("count", [0, 1])
def test_no_and_one_picture(count):
    found = find_duplicates(smooth(count))
    assert found.group.tolist() == list(range(count))
    assert found.kinds == (None,) * count
    assert found.nearest.tolist() == [-1] * count
    assert found.sizes().tolist() == [1] * count


def test_two_equal_pictures_are_each_others_nearest():
    found = find_duplicates(smooth(1).repeat(2, 1, 1, 1))
    assert found.kinds == ("exact", "exact")
    assert found.nearest.tolist() == [1, 0]


def test_flat_pictures_are_duplicates_only_when_equal(originals):
    flat = torch.stack([torch.full((1, 16, 16), v, dtype=torch.uint8) for v in (0, 9, 200, 9)])
    found = find_duplicates(torch.cat([originals, flat]))
    assert groups_of(found) == {(121, 123)}


def test_a_mirror_image_of_an_exact_pair_joins_it(originals):
    three = torch.stack([originals[4], originals[4].flip(-1)])
    found = find_duplicates(torch.cat([originals, three]))
    assert groups_of(found) == {(4, 120, 121)}
    assert [found.kinds[i] for i in (4, 120, 121)] == ["exact", "exact", "flipped"]
    assert found.nearest[[4, 120, 121]].tolist() == [120, 4, 4]


def test_colours_are_told_apart():
    """Pictures alike in grey only are candidates, not duplicates."""
    pictures = smooth(60, channels=3)
    turned = pictures[:5].roll(1, dims=1)  # red becomes green: the same grey, other colours
    assert groups_of(find_duplicates(torch.cat([pictures, turned]))) == set()
    darker = torch.stack([darken(p) for p in pictures[:5]])
    found = find_duplicates(torch.cat([pictures, darker]))
    assert groups_of(found) == {(i, 60 + i) for i in range(5)}


@pytest.mark.parametrize("side", [8, 32, 40])
def test_other_sizes_are_brought_to_the_compared_one(side):
    pictures = smooth(80, side=side)
    found = find_duplicates(torch.cat([pictures, torch.stack([darken(pictures[5])])]))
    assert groups_of(found) == {(5, 80)}


@pytest.mark.slow
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_pictures_does_not_matter(originals, seed):
    variants = torch.stack([crop(originals[1]), originals[2], darken(originals[3]).flip(-1)])
    pictures = torch.cat([originals, variants])
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    whole, found = find_duplicates(pictures), find_duplicates(pictures[order])
    place = order.tolist()
    assert {frozenset(place[i] for i in part) for part in partition(found)} == partition(whole)
    torch.testing.assert_close(found.ratio, whole.ratio[order], rtol=1e-4, atol=1e-3)
    assert [whole.kinds[i] for i in place] == list(found.kinds)


@pytest.mark.parametrize("rows", [1, 17, 1000])
def test_chunks_do_not_matter(originals, rows, monkeypatch):
    pictures = torch.cat([originals, torch.stack([crop(originals[1])])])
    whole = find_duplicates(pictures)
    monkeypatch.setattr(duplicates, "_ROWS", rows)
    monkeypatch.setattr(duplicates, "_GATHERED", rows)
    found = find_duplicates(pictures)
    assert torch.equal(found.group, whole.group)
    torch.testing.assert_close(found.ratio, whole.ratio, rtol=1e-4, atol=1e-3)


def test_planted_variants_of_real_images_are_found_and_little_else():
    originals = load_zoo("edm-fashion").training_set.images[2000:3500]
    chosen = torch.randperm(1500, generator=torch.Generator().manual_seed(8))[:150].tolist()
    kinds = ("near", "flipped")
    planted = [
        (i, v) for n, i in enumerate(chosen) for v in build_variants(originals[i], kinds[n % 2])
    ]
    found = find_duplicates(torch.cat([originals, torch.stack([v for _, v in planted])]))
    own = torch.tensor([i for i, _ in planted])
    assert (found.group[1500:] == found.group[own]).float().mean() >= 0.98
    groups = groups_of(found)
    assert sum(len([i for i in group if i < 1500]) > 1 for group in groups) <= 3
