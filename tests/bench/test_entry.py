import pytest

from equipoise.bench.entry import list_entries, select_entries
from equipoise.bench.parts import load_parts
from equipoise.errors import BadInputError


@pytest.fixture(scope="module")
def entries():
    return list_entries(load_parts("zoo:edm-fashion"))


def test_every_entry_has_its_own_name_and_variants_of_one_detector(entries):
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)
    assert sum(not entry.baseline for entry in entries) >= 8
    for entry in entries:
        assert len({candidate.card.name for candidate in entry.candidates}) == 1


def test_a_choice_keeps_the_residual_and_refuses_unknown_names(entries):
    found = select_entries(entries, ["noise_gap"])
    assert [entry.name for entry in found] == ["noise_gap", "denoising_residual"]
    with pytest.raises(BadInputError, match="sharpness"):
        select_entries(entries, ["sharpnes"])
