import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard

import equipoise as eq
from equipoise.errors import BadInputError, CalibrationError
from equipoise.runs.hub import CARD, build_card, find_in_repository


class Hub:
    """A stand-in of the hub: folders below a root."""

    def __init__(self, root):
        self.root = root

    def __call__(self, *, token=None):
        self.token = token
        return self

    def create_repo(self, repo_id, *, private, exist_ok):
        assert exist_ok
        if "/" not in repo_id:
            raise ValueError("no such namespace")
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)
        return SimpleNamespace(repo_id=repo_id)

    def file_exists(self, repo_id, file):
        return (self.root / repo_id / file).is_file()

    def upload_folder(self, *, repo_id, folder_path, ignore_patterns, commit_message):
        for file in Path(folder_path).iterdir():
            if file.name not in (ignore_patterns or []):
                shutil.copy(file, self.root / repo_id)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")

    def download(self, repo_id, file, *, revision, token):
        place = self.root / repo_id / file
        if not place.is_file():
            raise OSError(f"404: {repo_id}\nmore")
        return str(place)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    stand_in = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", stand_in)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", stand_in.download)
    return stand_in


@pytest.fixture(scope="module")
def calibration(tiny_edm):
    images = torch.rand(40, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return eq.calibrate(tiny_edm, images, fpr=0.05).calibration


@pytest.fixture(scope="module")
def vector(tiny_edm):
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    return eq.concept(tiny_edm, positive=images[:3], negative=images[3:])


def same(one, two):
    return one.record == two.record and all(
        torch.equal(one.tensors[site], two.tensors[site]) for site in one.sites
    )


def test_a_folder_gives_back_what_was_saved(tmp_path, calibration, vector):
    calibration.save_pretrained(tmp_path / "c")
    vector.save_pretrained(tmp_path / "v")
    assert eq.Calibration.from_pretrained(tmp_path / "c") == calibration
    assert same(eq.ConceptVector.from_pretrained(str(tmp_path / "v")), vector)
    assert sorted(p.name for p in (tmp_path / "v").iterdir()) == [
        CARD,
        "concept_vector.safetensors",
    ]


def test_the_hub_gives_back_what_was_pushed(hub, calibration, vector):
    assert calibration.push_to_hub("me/threshold", token="t").endswith("me/threshold/commit/1")
    assert hub.token == "t"
    vector.push_to_hub("me/direction")
    assert eq.Calibration.from_pretrained("me/threshold") == calibration
    assert same(eq.ConceptVector.from_pretrained("me/direction", revision="main"), vector)


def test_a_card_that_somebody_wrote_stays(hub, tmp_path, vector):
    vector.save_pretrained(tmp_path / "v")
    (tmp_path / "v" / CARD).write_text("by hand")
    vector.save_pretrained(tmp_path / "v")
    assert (tmp_path / "v" / CARD).read_text() == "by hand"
    vector.push_to_hub("me/direction")
    (hub.root / "me/direction" / CARD).write_text("by hand")
    (2 * vector).push_to_hub("me/direction")
    assert (hub.root / "me/direction" / CARD).read_text() == "by hand"
    assert same(eq.ConceptVector.from_pretrained("me/direction"), 2 * vector)


def test_a_card_is_one_that_the_hub_reads(tmp_path, calibration):
    calibration.save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / CARD)
    assert card.data.library_name == "equipoise"
    assert card.data.tags == ["equipoise", "calibration"]
    assert calibration.fingerprint in card.text
    assert f"n = {calibration.n}" in card.text


def test_a_hostile_name_stays_in_its_cell():
    card = build_card("concept vector", {"model": "a`|\n---\n# <script>"}, "-")
    row = next(line for line in card.splitlines() if line.startswith("| model"))
    assert row == "| model | `a'/ --- # <script>` |"


@pytest.mark.parametrize("source", ["me/nothing", "no-such-folder", "a/b/c"])
def test_what_is_not_there_is_refused(hub, source):
    with pytest.raises(BadInputError, match="404"):
        eq.ConceptVector.from_pretrained(source)


def test_a_folder_without_the_file_and_a_refusal_of_the_hub_say_so(hub, tmp_path, vector):
    with pytest.raises(BadInputError, match=r"holds no \"concept_vector\.safetensors\""):
        eq.ConceptVector.from_pretrained(tmp_path)
    with pytest.raises(BadInputError, match="no such namespace"):
        vector.push_to_hub("alone")


def test_a_damaged_file_is_refused(hub, tmp_path):
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(CalibrationError):
        eq.Calibration.from_pretrained(tmp_path)


def test_without_a_network_the_real_client_says_so():
    with pytest.raises(BadInputError, match="NAME/REPOSITORY"):
        find_in_repository("nobody/nothing", "a.json", revision=None, token=None)
