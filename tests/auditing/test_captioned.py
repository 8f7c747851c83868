"""Audits and calibrations of a detector that is told what each picture was asked for."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import equipoise as eq
from equipoise.auditing.captioned import NO_CAPTION, CaptionedPile, open_pile
from equipoise.auditing.parts import AuditRequest, build_audit
from equipoise.auditing.pile import GeneratedPile, PicturePile
from equipoise.auditing.reference import calibrate_model
from equipoise.auditing.subject import Subject, build_sampler, open_subject
from equipoise.denoisers import build_from_pipeline
from equipoise.detection import Spikiness, calibrate_scores
from equipoise.errors import BadInputError
from equipoise.images import as_unit, content_ids
from equipoise.representation import select_sites

pytestmark = pytest.mark.slow  # diffusers takes seconds to import

PROMPTS = ["a", "b c", "d", "a b", "c"]


@pytest.fixture(scope="module")
def text_model(pipeline):
    return build_from_pipeline(pipeline)


@pytest.fixture(scope="module")
def told(text_model):
    sites = select_sites(text_model, text_model.default_sites)
    return Spikiness(sites=sites, sigma=text_model.snap(1.0), draws=2, condition="own")


@pytest.fixture(scope="module")
def source(pipeline, tmp_path_factory):
    """The model as a folder of diffusers."""
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def folder(tmp_path):
    """Six pictures, five of them with captions, and a file that is none."""
    place = tmp_path / "pictures"
    place.mkdir()
    for name, picture in zip("abcdef", draw(6), strict=True):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(place / f"{name}.png")
    for name, prompt in zip("abc", PROMPTS, strict=False):
        (place / f"{name}.txt").write_text(prompt)
    rows = [{"file_name": f"{n}.png", "text": t} for n, t in zip("de", PROMPTS[3:], strict=True)]
    (place / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (place / "g.png").write_text("no picture")
    return place


def draw(count):
    pixels = np.random.default_rng(3).integers(0, 256, (count, 3, 16, 16))
    return torch.from_numpy(pixels.astype(np.uint8))


def calibrate(text_model, told):
    """Set a threshold on pictures that were asked for nothing."""
    pictures = draw(20)
    empty = text_model.encode_prompts([""] * 20)
    scores = told.score(text_model, as_unit(pictures), content_ids(pictures), conditions=empty)
    return calibrate_scores(
        told, text_model, scores.values, pictures, fpr=0.1, null="held-out real"
    )


def test_every_picture_is_scored_with_its_own_caption(text_model, told, folder, tmp_path):
    detector = eq.CalibratedDetector(text_model, calibrate(text_model, told))
    run = eq.audit(text_model, folder, detector, out=tmp_path / "run")
    rows = {row["source"]: row for row in run.read_items().to_pylist()}
    pictures, asked = draw(6)[:5], text_model.encode_prompts(PROMPTS)
    expected = eq.spikiness(text_model, as_unit(pictures), detector=told, conditions=asked).values
    found = [rows[f"{name}.png"]["score"] for name in "abcde"]
    assert found == pytest.approx(expected.tolist())
    judged = detector(as_unit(pictures), conditions=asked)
    assert [rows[f"{name}.png"]["verdict"] for name in "abcde"] == list(judged.verdicts)
    assert rows["f.png"]["error"] == NO_CAPTION
    assert rows["g.png"]["error"] not in (None, NO_CAPTION)
    assert run.record.spec["captions"]["count"] == 5
    assert run.record.spec["detector"]["condition"] == "own"
    assert run.record.results["failed_by_reason"][NO_CAPTION] == 1
    assert any("prompts like those" in told for told in run.record.results["warnings"])


def test_one_caption_can_stand_for_all_that_have_none(text_model, told, folder):
    pile = open_pile(folder, text_model, told, caption="c")
    ((_, loaded),) = pile.read([0])
    f = next(item for item in loaded if item.source == "f.png")
    assert torch.equal(f.condition, text_model.encode_prompts(["c"])[0])
    assert pile.describe() != CaptionedPile(folder, text_model, otherwise="d").describe()


def test_a_list_and_a_pattern_have_the_captions_beside_their_files(text_model, told, folder):
    names = [f"{name}.png" for name in "cab"]
    (folder / "list.txt").write_text("\n".join(names))
    for source in (folder / "list.txt", f"{folder}/[abc].png", f"file://{folder}"):
        ((_, loaded),) = open_pile(source, text_model, told).read([0])
        found = {item.source.rpartition("/")[2]: item.condition for item in loaded}
        for name, prompt in zip("abc", PROMPTS, strict=False):
            asked = text_model.encode_prompts([prompt])[0]
            assert torch.equal(found[f"{name}.png"], asked)


def test_an_empty_caption_is_none(text_model, told, folder):
    (folder / "a.txt").write_text(" \n")
    ((_, loaded),) = open_pile(folder, text_model, told).read([0])
    assert {item.source: item.error for item in loaded}["a.png"] == NO_CAPTION
    with pytest.raises(BadInputError, match="--caption is empty"):
        open_pile(folder, text_model, told, caption=" ")


def test_what_nobody_says_is_refused(text_model, told, folder, tiny_edm):
    plain = told.model_copy(update={"condition": "empty"})
    assert type(open_pile(folder, text_model, plain)) is PicturePile
    with pytest.raises(BadInputError, match="this detector is told nothing"):
        open_pile(folder, text_model, plain, caption="a")
    with pytest.raises(BadInputError, match="this model reads no words"):
        open_pile(folder, tiny_edm, told)
    for path in [*folder.glob("*.txt"), folder / "metadata.jsonl"]:
        path.unlink()
    with pytest.raises(BadInputError, match=r"no picture of .* has a caption"):
        open_pile(folder, text_model, told)


def test_outputs_are_scored_with_what_they_were_asked_for(text_model):
    subject = Subject(
        "tiny", text_model, build_sampler(text_model).model_copy(update={"steps": 2}),
        lambda *_: None, None,
    )  # fmt: skip
    words = {"seed": 0, "stream": "x", "prompts": ["a", "b c"]}
    pile = GeneratedPile(subject, count=5, told=True, **words)
    ((_, loaded),) = pile.read([0])
    expected = text_model.encode_prompts(["a", "b c", "a", "b c", "a"])
    assert torch.equal(torch.stack([item.condition for item in loaded]), expected)
    ((_, plain),) = GeneratedPile(subject, count=2, **words).read([0])
    assert [item.condition for item in plain] == [None, None]


def test_a_model_is_calibrated_and_audited_told(source, folder, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))
    with pytest.raises(BadInputError, match="asked for nothing"):
        calibrate_model(source, generate=9, fpr=0.1, seed=0, told=True)
    made = calibrate_model(source, generate=9, prompts=prompts, fpr=0.1, seed=0, told=True)
    assert made.calibration.detector.condition == "own"
    plain = calibrate_model(source, generate=9, prompts=prompts, fpr=0.1, seed=0)
    assert plain.calibration.detector.condition == "empty"
    assert plain.calibration.scores != made.calibration.scores
    real = calibrate_model(source, reference=folder, fpr=0.2, seed=0, told=True)
    assert real.calibration.n == 5
    assert real.failed["f.png"] == NO_CAPTION
    file = tmp_path / "told.json"
    made.calibration.save(file)
    audit = build_audit(AuditRequest(model=source, images=folder, calibration=file))
    assert isinstance(audit.pile, CaptionedPile)
    with pytest.raises(BadInputError, match="asked for nothing"):
        build_audit(AuditRequest(model=source, generate=3, calibration=file))
    with pytest.raises(BadInputError, match="Leave one of them out"):
        build_audit(AuditRequest(model=source, images=folder, calibration=file, told=True))
    with pytest.raises(BadInputError, match="ships no such calibration"):
        build_audit(AuditRequest(model=source, images=folder, told=True))
    with pytest.raises(BadInputError, match="--prompts FILE"):
        build_audit(AuditRequest(model=source, generate=3, caption="a"))


def test_a_sweep_and_held_out_pictures_do_not_go_with_it(text_model, told, folder, tmp_path):
    detector = eq.CalibratedDetector(text_model, calibrate(text_model, told))
    with pytest.raises(BadInputError, match="Leave --held-out out"):
        eq.audit(text_model, folder, detector, out=tmp_path, training=folder, held_out=folder)


def test_the_shipped_one_judges_outputs_of_the_zoo(tmp_path):
    audit = build_audit(AuditRequest(model="zoo:sd-emoji", generate=2, told=True))
    assert audit.calibration.detector.condition == "own"
    ((_, loaded),) = audit.pile.read([0])
    assert all(item.condition is not None for item in loaded)
    assert open_subject("zoo:edm-fashion").told is None
    with pytest.raises(BadInputError, match="neither prompts nor classes"):
        build_audit(AuditRequest(model="zoo:edm-fashion", generate=2, told=True))
    with pytest.raises(BadInputError, match="neither prompts nor classes"):
        calibrate_model("zoo:edm-fashion", generate=9, fpr=0.1, seed=0, told=True)
