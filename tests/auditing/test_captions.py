import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.auditing.captions import Captions, read_captions
from equipoise.errors import BadInputError

SOURCES = ["a.png", "b.jpg", "sub/c.png", "d"]


def locate(folder, sources=SOURCES):
    return {source: folder / source for source in sources}


def test_captions_lie_beside_pictures_or_in_tables_of_any_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text(" a red bag\n", encoding="utf-8")
    (tmp_path / "d.txt").write_text("no suffix")
    (tmp_path / "other.txt").write_text("of no picture")
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "b.jpg", "text": "größer"}\n\n{"file_name": "a.png", "text": "not this"}\n'
        '{"file_name": "gone.png", "text": "of no picture"}\n',
        encoding="utf-8",
    )
    (tmp_path / "sub" / "metadata.csv").write_text('File_Name,prompt\nc.png,"one, two"\n')
    assert read_captions(tmp_path, locate(tmp_path)) == {
        "a.png": "a red bag", "b.jpg": "größer", "sub/c.png": "one, two", "d": "no suffix",
    }  # fmt: skip


def test_no_captions_and_no_folder_are_none(tmp_path):
    assert read_captions(tmp_path, locate(tmp_path)) == {}
    assert read_captions(tmp_path / "list.txt", locate(tmp_path)) == {}
    assert read_captions("s3://bucket/pictures", {}) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}\nno json\n'),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}\n{"file_name": "b.jpg"}\n'),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}\n{"file_name": 3, "text": "y"}\n'),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}\n["b.jpg"]\n'),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}\n' + "[" * 200_000),
        (
            "metadata.jsonl",
            '{"file_name": "a.png", "text": "x"}\n{"file_name": "d", "text": "\\ud800"}',
        ),
        ("metadata.csv", "file_name,words\na.png,x\n"),
        ("metadata.csv", 'file_name,text\na.png,"' + "x" * 200_000 + '"\n'),
    ],
)
def test_a_line_without_a_caption_is_refused_by_its_number(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError, match=rf'line 2 of ".*{name}".*file_name'):
        read_captions(tmp_path, locate(tmp_path))


def test_what_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match="UTF-8"):
        read_captions(tmp_path, locate(tmp_path))


WORDS = st.dictionaries(st.sampled_from(SOURCES), st.text(st.characters(codec="utf-8")))


@given(WORDS, st.booleans())
def test_any_words_come_back_from_lines_of_json(tmp_path_factory, captions, escaped):
    folder = tmp_path_factory.mktemp("captions")
    lines = [
        json.dumps({"file_name": name, "text": text}, ensure_ascii=escaped)
        for name, text in captions.items()
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert read_captions(folder, locate(folder)) == {
        n: text.strip() for n, text in captions.items()
    }


@given(WORDS)
def test_any_words_come_back_from_a_csv_file(tmp_path_factory, captions):
    folder = tmp_path_factory.mktemp("captions")
    captions = {name: text.replace("\r", "").replace("\0", "") for name, text in captions.items()}
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file_name", "caption"), *captions.items()])
    assert read_captions(folder, locate(folder)) == {
        n: text.strip() for n, text in captions.items()
    }


def test_the_record_tells_captions_apart_and_holds_none_of_their_words():
    one, two = Captions({"a.png": "secret"}), Captions({"a.png": "other"}, "x")
    assert (one.find("a.png"), one.find("b.jpg"), two.find("b.jpg")) == ("secret", "", "x")
    assert one.describe()["hash"] != two.describe()["hash"]
    assert "secret" not in str(one.describe())
    assert (two.describe()["count"], two.describe()["otherwise"]) == (1, "x")


def test_a_name_that_leaves_no_room_for_the_suffix_has_no_caption(tmp_path):
    assert read_captions(tmp_path, locate(tmp_path, ["x" * 253])) == {}


def test_the_text_beside_a_file_of_many_pictures_is_no_caption_of_its_rows(tmp_path):
    from equipoise.images import open_store

    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": [b"a", b"b"]}), tmp_path / "train.parquet")
    (tmp_path / "train.txt").write_text("notes")
    store = open_store(tmp_path)
    assert len(store) == 2
    assert read_captions(tmp_path, store.list_files()) == {}
