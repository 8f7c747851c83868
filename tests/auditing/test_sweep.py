import json

import pytest
from PIL import Image

from equipoise.auditing.pile import PicturePile
from equipoise.auditing.reference import calibrate_model, read_chosen
from equipoise.auditing.sweep import run_reference_sweep
from equipoise.cli.main import main
from equipoise.errors import BadInputError
from equipoise.zoo.package import load_zoo

MODEL = "zoo:edm-fashion"


def write(folder, pictures):
    folder.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture[0].numpy()).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Held-out pictures, and planted ones that the model copies often."""
    model = load_zoo("edm-fashion")
    root = tmp_path_factory.mktemp("sweep")
    often = [item.index for item in model.training_set.planted if item.multiplicity == 90]
    reference = write(root / "reference", model.held_out[:60])
    return reference, write(root / "copies", model.training_set.images[often[:10]])


@pytest.mark.slow
def test_a_few_known_copies_choose_what_tells_the_others(folders, tmp_path, capsys):
    reference, copies = (str(folder) for folder in folders)
    out = tmp_path / "run"
    words = ["--model", MODEL, "--reference", reference, "--copies", copies]
    assert main(["sweep", *words, "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["chosen_by"] == "known copies"
    assert document["auroc"]["value"] > 0.8
    assert document["auroc"]["n"] > 0
    assert len(document["cells"]) == 12
    found = calibrate_model(MODEL, reference=folders[0], fpr=0.05, seed=0, sweep=out)
    assert found.calibration.detector == read_chosen(out)
    assert found.calibration.copies == ()


@pytest.mark.slow
def test_without_copies_the_most_stable_is_taken_and_says_what_it_cannot_know(folders, tmp_path):
    denoiser = load_zoo("edm-fashion").denoiser
    pile = PicturePile(folders[0], denoiser.image_shape)
    results = run_reference_sweep(denoiser, MODEL, pile, tmp_path / "run").record.results
    assert results["chosen_by"] == "stability"
    assert results["auroc"] is None
    stability = [cell["stability"] for cell in results["cells"]]
    assert results["chosen"]["stability"] == max(stability) == stability[0] > 0.8
    assert any("sign" in what for what in results["cannot_know"])


def test_too_few_pictures_are_refused(folders, tmp_path):
    denoiser = load_zoo("edm-fashion").denoiser
    few = PicturePile(folders[1], denoiser.image_shape)
    with pytest.raises(BadInputError, match="10 reference pictures"):
        run_reference_sweep(denoiser, MODEL, few, tmp_path / "run")
