import numpy as np
import pytest

from equipoise.report.activation import build_profiles, measure_share
from equipoise.report.gallery import load_album
from equipoise.report.item import load_items


def test_the_share_tells_spiky_from_balanced():
    assert measure_share(np.ones(40), 2) == pytest.approx(0.05)
    assert measure_share(np.eye(1, 40)[0], 2) == 1.0
    assert measure_share(np.zeros(40), 2) == 0.0


def test_both_profiles_or_none(small):
    items, album = load_items(small), load_album(small, rows=80)
    profiles = build_profiles(small, small.record.results, items, album)
    assert [profile.name for profile in profiles] == ["spiky", "balanced"]
    assert profiles[0].share > profiles[1].share
    wrong = {"profiles": {"spiky": {"row": 3}, "balanced": {"row": 9999}}}
    assert build_profiles(small, wrong, items, album) == []
