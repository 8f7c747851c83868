import dataclasses

import numpy as np
import torch

from equipoise.auditing.batch import Batch
from equipoise.auditing.item import NOT_FINITE, SCHEMA, fill_column, score_part
from equipoise.auditing.pile import Loaded, PicturePile
from equipoise.denoisers import wrap
from equipoise.detection import build_default, calibrate_scores, judge
from equipoise.images import as_unit, content_ids


def load_some(folder, count):
    pile = PicturePile(folder, (1, 8, 8))
    return next(iter(pile.read([0])))[1][:count]


def test_rows_are_in_order_and_hold_what_the_detector_says(model, calibration, folder):
    loaded = load_some(folder, 30)
    loaded.insert(7, Loaded("broken.png", None, "empty file", None))
    scored = score_part(model, calibration, loaded, batch=Batch((1, 8, 8)))
    assert scored.table.schema.equals(SCHEMA)
    rows = scored.table.to_pylist()
    assert [row["source"] for row in rows] == [item.source for item in loaded]
    assert rows[7]["error"] == "empty file"
    assert rows[7]["id"]
    good = [row for row in rows if row["error"] is None]
    pictures = torch.stack([item.pixels for item in loaded if item.pixels is not None])
    scores = calibration.detector.score(model, as_unit(pictures), content_ids(pictures))
    judged = judge(calibration, scores, pictures)
    np.testing.assert_array_equal([row["score"] for row in good], scores.values)
    np.testing.assert_array_equal([row["p_value"] for row in good], judged.p_values)
    assert [row["verdict"] for row in good] == list(judged.verdicts)
    assert [row["id"] for row in good] == content_ids(pictures)
    assert all(row["score_low"] <= row["score"] <= row["score_high"] for row in good)
    assert scored.evaluations == 30 * calibration.detector.draws
    flagged = [verdict == "memorized" for verdict in judged.verdicts]
    assert any(flagged)
    assert torch.equal(scored.flagged, pictures[torch.tensor(flagged)])


def test_a_part_without_a_picture_is_rows_with_reasons(model, calibration):
    loaded = [Loaded(name, None, "empty file", None) for name in ("a", "b")]
    scored = score_part(model, calibration, loaded, batch=Batch((1, 8, 8)))
    assert scored.table["error"].to_pylist() == ["empty file"] * 2
    assert scored.table["id"].to_pylist()[0] != scored.table["id"].to_pylist()[1]
    assert scored.flagged.shape == (0, 1, 8, 8)
    assert scored.evaluations == 0


def test_a_score_that_is_not_finite_is_an_error_of_that_row_alone(model, calibration, folder):
    loaded = load_some(folder, 12)
    spoiled = content_ids(loaded[3].pixels[None])[0]

    class Spoiling(type(calibration.detector)):
        def score(self, denoiser, images, ids, **more):
            scores = super().score(denoiser, images, ids, **more)
            per_draw = scores.per_draw.clone()
            per_draw[ids.index(spoiled), 1] = torch.nan
            return dataclasses.replace(scores, per_draw=per_draw)

    spoiling = Spoiling(**calibration.detector.model_dump())
    other = calibration.model_copy(update={"detector": spoiling})
    scored = score_part(model, other, loaded, batch=Batch((1, 8, 8)))
    rows = scored.table.to_pylist()
    assert [row["error"] for row in rows] == [None] * 3 + [NOT_FINITE] + [None] * 8
    assert rows[3]["verdict"] is None
    assert rows[3]["score"] is None
    assert rows[3]["thumbnail"]


def test_flagged_rows_of_a_model_with_places_have_heat_maps_and_units(folder):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 3, padding=1), torch.nn.ReLU(),
                                  torch.nn.Conv2d(6, 1, 1)).requires_grad_(False)  # fmt: skip
    model = wrap(
        network, sample_shape=(1, 8, 8), data_std=0.5, call=lambda net, x, sigma: net(x),
        sites=("2:in",),
    )  # fmt: skip
    loaded, detector = load_some(folder, 30), build_default(model)
    pictures = torch.stack([item.pixels for item in loaded])
    scores = detector.score(model, as_unit(pictures), content_ids(pictures)).values
    calibration = calibrate_scores(
        detector, model, scores[1:10].repeat(3), None, fpr=0.1, null="own outputs"
    )
    scored = score_part(model, calibration, loaded, batch=Batch((1, 8, 8)))
    rows = scored.table.to_pylist()
    assert 0 < len(scored.flagged) < 30
    assert [r["heat"] is not None for r in rows] == [r["verdict"] == "memorized" for r in rows]
    assert scored.units.shape == (len(scored.flagged), 6)
    assert scored.evaluations == (30 + len(scored.flagged)) * detector.draws


def test_one_column_is_replaced_and_the_others_stay(model, calibration, folder):
    table = score_part(model, calibration, load_some(folder, 3), batch=Batch((1, 8, 8))).table
    filled = fill_column(table, "q_value", [0.5, None, 0.1])
    assert filled.schema.equals(SCHEMA)
    assert filled["q_value"].to_pylist() == [0.5, None, 0.1]
    assert filled.drop_columns("q_value").equals(table.drop_columns("q_value"))
