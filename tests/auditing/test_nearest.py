import dataclasses

import pytest
import torch

from equipoise.auditing.job import Audit, run_audit
from equipoise.auditing.nearest import stream_training
from equipoise.auditing.pile import PicturePile
from equipoise.errors import BadInputError
from equipoise.images import read_picture
from equipoise.labels import NearestSearch, label_by_nearest

pytestmark = pytest.mark.slow  # a slow twin takes seconds


@pytest.fixture
def training(tmp_path, draw_pictures, save_picture):
    """120 pictures and three files that are none."""
    root = tmp_path / "training"
    root.mkdir()
    for index, picture in enumerate(draw_pictures(120, seed=9, contrast=250)):
        save_picture(root / f"{index:04d}.png", picture)
    for name in ("0005x.png", "0050x.png", "zzz.png"):
        (root / name).write_text("no picture")
    return root


def read_training(root):
    names = [path for path in sorted(root.iterdir()) if len(path.stem) == 4]
    return names, torch.stack([read_picture(path, (1, 8, 8)).pixels for path in names])


def test_columns_are_those_of_the_slow_twin(model, calibration, folder, training, tmp_path):
    audit = Audit(
        model=model, name="test", calibration=calibration, calibration_name="test",
        pile=PicturePile(folder, (1, 8, 8)), training=training,
    )  # fmt: skip
    run = run_audit(audit, tmp_path / "run")
    rows = [row for row in run.read_items().to_pylist() if row["verdict"] == "memorized"]
    assert len(rows) > 40
    names, pictures = read_training(training)
    samples = torch.stack([read_picture(folder / row["source"], (1, 8, 8)).pixels for row in rows])
    truth = label_by_nearest(samples, pictures, torch.arange(len(pictures)))
    for row, ratio, nearest, label in zip(
        rows, truth.ratio.tolist(), truth.nearest.tolist(), truth.names(), strict=True
    ):
        assert row["nearest"] == names[nearest].name
        assert row["ratio"] == pytest.approx(ratio)
        assert row["label"] == label
    assert run.record.results["training"]["images"] == 120
    assert run.record.results["training"]["failed"] == 3


@pytest.mark.slow
def test_too_few_training_images_are_refused_and_more_can_be_given(
    model, calibration, folder, training, tmp_path, draw_pictures, save_picture
):
    for path in list(training.iterdir())[30:]:
        path.unlink()
    audit = Audit(
        model=model, name="test", calibration=calibration, calibration_name="test",
        pile=PicturePile(folder, (1, 8, 8)), training=training,
    )  # fmt: skip
    with pytest.raises(BadInputError, match="more than 50"):
        run_audit(audit, tmp_path / "run")
    for index, picture in enumerate(draw_pictures(60, seed=3, contrast=100)):
        save_picture(training / f"more{index}.png", picture)
    again = dataclasses.replace(audit, pile=PicturePile(folder, (1, 8, 8)))
    assert run_audit(again, tmp_path / "run").record.status == "finished"


def test_places_are_rows_of_the_training_set_whatever_cannot_be_read(training):
    search = NearestSearch(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    pile = PicturePile(training, (1, 8, 8))
    names, pictures = read_training(training)
    assert stream_training(pile, search) == len(names) == len(pile) - 3
    entries = list(pile.store.read(0, len(pile)))
    distance = pictures.double().flatten(1).norm(dim=1)
    nearest = entries[int(search.finish().nearest[0])].source
    assert nearest == names[int(distance.argmin())].name
