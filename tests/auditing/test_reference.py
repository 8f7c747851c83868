import pytest
import torch
from PIL import Image

from equipoise.auditing import reference
from equipoise.auditing.parts import AuditRequest, build_audit
from equipoise.auditing.pile import GeneratedPile, PicturePile
from equipoise.auditing.reference import calibrate_model
from equipoise.auditing.subject import open_subject
from equipoise.detection import Trial, load_calibration
from equipoise.errors import BadInputError, CalibrationError
from equipoise.labels import NearestLabels, NearestSearch, label_by_nearest
from equipoise.zoo.package import MODELS, load_zoo

pytestmark = pytest.mark.slow  # generating takes seconds

NAME = "edm-fashion"


def save_pictures(folder, pictures):
    folder.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture[0].numpy()).save(folder / f"{index:05d}.png")
    return folder


def test_held_out_pictures_make_a_calibration_that_says_so(tmp_path):
    folder = save_pictures(tmp_path / "held", load_zoo(NAME).held_out[:120])
    (folder / "broken.png").write_text("no picture")
    found = calibrate_model(NAME, reference=folder, fpr=0.05, seed=0)
    assert found.calibration.null == "held-out real"
    assert found.calibration.n == 120
    assert list(found.failed) == ["broken.png"]
    shipped = load_calibration(MODELS / NAME / "calibration.json")
    assert found.calibration.detector == shipped.detector
    assert found.calibration.copies == shipped.copies


def test_the_arithmetic_is_fixed_in_the_calibration_and_copies_of_another_do_not_count(
    tmp_path, monkeypatch
):
    folder = save_pictures(tmp_path / "held", load_zoo(NAME).held_out[:40])
    words = {"reference": folder, "fpr": 0.1, "seed": 0}
    half = calibrate_model(NAME, precision="bfloat16", **words).calibration
    assert half.detector.precision == "bfloat16"
    assert not half.copies
    full = calibrate_model(NAME, precision="float32", **words)
    assert full.trial is None
    assert full.calibration == calibrate_model(NAME, **words).calibration
    assert full.calibration.threshold != half.threshold
    trial = Trial(speedup=2.0, spearman=1.0, deviation=0.0, n=32)
    monkeypatch.setattr(reference, "try_precisions", lambda *_, **__: trial)
    tried = calibrate_model(NAME, precision="auto", **words)
    assert tried.calibration == half
    assert tried.trial == trial


@pytest.mark.slow
def test_own_outputs_are_told_from_novel_ones(tmp_path):
    model = load_zoo(NAME)
    own = calibrate_model(NAME, generate=150, fpr=0.05, seed=0)
    assert own.calibration.null == "own outputs"
    assert own.calibration.n == 150
    folder = save_pictures(tmp_path / "training", model.training_set.images[:5000:10])
    novel = calibrate_model(NAME, generate=150, training=folder, fpr=0.05, seed=0)
    assert novel.calibration.null == "generated and novel"
    pile = GeneratedPile(open_subject(NAME), count=150, seed=0, stream="calibrate")
    outputs = torch.stack([item.pixels for _, part in pile.read([0]) for item in part])
    training = model.training_set.images[:5000:10]
    labels = label_by_nearest(outputs, training, torch.arange(len(training))).names()
    assert novel.calibration.n == labels.count("novel")
    assert novel.left_out == {"copy": labels.count("copy"), "grey": labels.count("grey")}
    assert novel.calibration.scores != own.calibration.scores


@pytest.mark.parametrize(
    "words",
    [{}, {"generate": 5, "reference": "x"}, {"reference": "x", "training": "y"}],
    ids=["neither", "both", "training of a folder"],
)
def test_one_source_of_pictures_is_needed(words, tmp_path):
    paths = {k: v if isinstance(v, int) else tmp_path / v for k, v in words.items()}
    with pytest.raises(BadInputError, match="either --generate"):
        calibrate_model(NAME, **paths, fpr=0.05, seed=0)


def test_a_folder_without_a_readable_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(BadInputError, match="Not one of 1 reference"):
        calibrate_model(NAME, reference=tmp_path, fpr=0.05, seed=0)


def test_a_rate_too_fine_is_refused(tmp_path):
    folder = save_pictures(tmp_path / "held", load_zoo(NAME).held_out[:30])
    with pytest.raises(CalibrationError, match="99 items"):
        calibrate_model(NAME, reference=folder, fpr=0.01, seed=0)


def test_no_novel_output_is_refused(monkeypatch, tmp_path):
    folder = save_pictures(tmp_path / "training", load_zoo(NAME).training_set.images[:60])
    monkeypatch.setattr(reference, "NearestSearch", _AllCopies)
    with pytest.raises(BadInputError, match="Not one of 4 outputs is novel"):
        calibrate_model(NAME, generate=4, training=folder, fpr=0.5, seed=0)


class _AllCopies(NearestSearch):
    def finish(self):
        rows = torch.zeros(len(self._samples), dtype=torch.long)
        return NearestLabels(rows.double(), rows, rows)


def test_an_audit_is_built_of_names_and_paths(tmp_path):
    folder = save_pictures(tmp_path / "images", load_zoo(NAME).held_out[:3])
    built = build_audit(AuditRequest(model=f"zoo:{NAME}", images=folder))
    assert built.name == "zoo:edm-fashion"
    assert built.calibration_name == "shipped with the model"
    assert isinstance(built.pile, PicturePile)
    listed = [entry.source for entry in built.pile.store.read(0, 3)]
    assert listed == [f"{i:05d}.png" for i in range(3)]
    fresh = build_audit(AuditRequest(model=NAME, generate=12, seed=4))
    assert isinstance(fresh.pile, GeneratedPile)
    assert fresh.pile.sources[0] == "audit/4/000000"
    with pytest.raises(BadInputError, match="either IMAGES"):
        build_audit(AuditRequest(model=NAME, images=folder, generate=5))


def test_a_model_without_a_calibration_asks_for_one(tmp_path):
    with pytest.raises(BadInputError, match="equipoise calibrate --model edm-fashion-clean"):
        build_audit(AuditRequest(model="edm-fashion-clean", generate=5))
