import json

import numpy as np
import pytest
from PIL import Image

from equipoise.auditing.duplicates import LISTED, SCHEMA, find_training_duplicates
from equipoise.cli.duplicates import duplicates
from equipoise.errors import BadInputError, RunError
from equipoise.images import content_id, read_picture
from equipoise.runs import ITEM_COLUMNS, load_run

pytestmark = pytest.mark.slow  # real images take seconds


def draw(seed, *, side=40, channels=3):
    """A picture with coarse structure."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), dtype=np.uint8)
    image = Image.fromarray(coarse if channels == 3 else coarse[..., 0])
    return image.resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """70 pictures, five of them again in other ways, and two files that are no pictures."""
    folder = tmp_path_factory.mktemp("training")
    for i in range(70):
        draw(i).save(folder / f"{i:02d}.png")
    (folder / "again").mkdir()
    draw(1).save(folder / "again" / "one.bmp")
    draw(1).save(folder / "again" / "one-more.png")
    draw(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "again" / "two.png")
    draw(3).point(lambda value: value * 3 // 4).save(folder / "again" / "three.png")
    draw(4).save(folder / "again" / "four.jpg", quality=90)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "caption.txt").write_text("a caption")
    return folder


@pytest.fixture(scope="module")
def run(training, tmp_path_factory):
    return find_training_duplicates(training, tmp_path_factory.mktemp("runs") / "found")


def test_results_count_groups_kinds_and_failures(run):
    assert run.record.kind == "duplicates"
    assert run.record.status == "finished"
    assert load_run(run.path).record == run.record
    results = run.record.results
    assert (results["items"], results["failed"]) == (77, 2)
    assert sum(results["failed_by_reason"].values()) == 2
    assert (results["groups"], results["images_in_groups"]) == (4, 9)
    assert results["share"] == pytest.approx(9 / 75)
    assert results["by_kind"] == {"exact": 3, "flipped": 2, "near": 4}
    assert results["largest"][0] == {
        "group": results["largest"][0]["group"],
        "size": 3,
        "kinds": ["exact"],
        "sources": ["01.png", "again/one-more.png", "again/one.bmp"],
    }
    assert [g["sources"] for g in results["largest"][1:]] == [
        ["02.png", "again/two.png"], ["03.png", "again/three.png"], ["04.png", "again/four.jpg"],
    ]  # fmt: skip
    assert run.record.cost["seconds"] >= run.record.cost["reading_seconds"] > 0


def test_items_have_the_stable_columns_and_one_row_a_file(run, training):
    table = run.read_items()
    assert table.schema.names == SCHEMA.names
    assert table.column_names[: len(ITEM_COLUMNS)] == list(ITEM_COLUMNS)
    rows = {row["source"]: row for row in table.to_pylist()}
    assert len(rows) == 77
    assert table["id"].null_count == 0
    for name in ("score", "p_value", "q_value", "verdict"):
        assert table[name].null_count == 77
    one = rows["01.png"]
    assert one["id"] == content_id(read_picture(training / "01.png", (3, 32, 32)).pixels)
    assert one["id"] == rows["again/one.bmp"]["id"]
    assert (one["kind"], one["group_size"], one["ratio"]) == ("exact", 3, 0)
    assert rows["again/three.png"]["nearest"] == "03.png"
    assert rows["again/four.jpg"]["group"] == rows["04.png"]["group"]
    alone = rows["10.png"]
    assert (alone["kind"], alone["group_size"], alone["error"]) == (None, 1, None)
    assert alone["ratio"] > 1 / 3
    assert alone["nearest"] in rows


def test_files_that_cannot_be_read_are_rows_with_their_reason(run):
    rows = {row["source"]: row for row in run.read_items().to_pylist()}
    for name in ("broken.png", "empty.png"):
        assert rows[name]["error"] in run.record.results["failed_by_reason"]
        assert {rows[name][c] for c in ("group", "kind", "nearest", "ratio", "group_size")} == {
            None
        }
    assert rows["broken.png"]["id"] != rows["empty.png"]["id"]


def test_grey_pictures_give_the_same_groups_as_in_colour(tmp_path):
    for i in range(60):
        grey = draw(i, channels=1)
        for mode in ("L", "RGB"):
            (tmp_path / mode).mkdir(exist_ok=True)
            grey.convert(mode).save(tmp_path / mode / f"{i:02d}.png")
    for mode in ("L", "RGB"):
        draw(5, channels=1).point(lambda v: v // 2).save(tmp_path / mode / "dark.png")
    draw(99).save(tmp_path / "RGB" / "z-colour.png")  # so that the channels are kept
    runs = [find_training_duplicates(tmp_path / m, tmp_path / f"run-{m}") for m in ("L", "RGB")]
    found = [[g["sources"] for g in run.record.results["largest"]] for run in runs]
    assert found[0] == found[1] == [["05.png", "dark.png"]]


def test_a_large_group_lists_its_first_sources_only(tmp_path):
    for i in range(LISTED + 5):
        draw(0).save(tmp_path / f"{i:02d}.png")
    results = find_training_duplicates(tmp_path, tmp_path / "run").record.results
    (group,) = results["largest"]
    assert group["size"] == LISTED + 5
    assert group["sources"] == [f"{i:02d}.png" for i in range(LISTED)]


def test_a_folder_with_nothing_readable_is_refused_and_says_why_row_by_row(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match="Not one of the 1 pictures can be read"):
        find_training_duplicates(tmp_path / "pictures", tmp_path / "run")
    (row,) = load_run(tmp_path / "run").read_items().to_pylist()
    assert row["source"] == "broken.png"
    assert row["error"]


def test_an_existing_run_and_an_empty_folder_are_refused(run, training, tmp_path):
    with pytest.raises(RunError, match="exists already"):
        find_training_duplicates(training, run.path)
    with pytest.raises(BadInputError):
        find_training_duplicates(tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_size_is_used_and_recorded(training, tmp_path):
    run = find_training_duplicates(training, tmp_path / "run", size=16)
    assert run.record.spec["size"] == 16
    assert run.record.spec["training"] == str(training)
    key = content_id(read_picture(training / "00.png", (3, 16, 16)).pixels)
    assert key in run.read_items()["id"].to_pylist()


def test_the_command_prints_one_document(training, tmp_path, capsys):
    duplicates(str(training), out=tmp_path / "run", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert list(document) == [
        "run", "items", "failed", "groups", "images_in_groups", "by_kind", "largest",
        "report",
    ]  # fmt: skip
    assert document["run"] == str(tmp_path / "run")
    assert (document["items"], document["groups"]) == (77, 4)


def test_the_command_prints_a_short_table_for_people(training, tmp_path, capsys):
    duplicates(str(training), out=tmp_path / "run")
    text = capsys.readouterr().out
    assert "9 of 75 images are in 4 groups of duplicates: 3 exact, 2 flipped, 4 near." in text
    assert "2 could not be read." in text
    assert "01.png, again/one-more.png, again/one.bmp" in text
    assert str(tmp_path / "run") in text


def test_the_default_folder_lies_below_runs(training, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    duplicates(str(training))
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("duplicates-")
    capsys.readouterr()
