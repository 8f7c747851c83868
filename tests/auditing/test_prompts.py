import pytest

from equipoise.auditing.prompts import read_asked, read_prompts
from equipoise.errors import BadInputError


def test_prompts_are_lines_without_their_margins(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("a cat\n\n  zwei Bäume \r\n\t\na cat", encoding="utf-8")
    assert read_prompts(path) == ("a cat", "zwei Bäume", "a cat")
    assert read_asked(path, 5) == read_prompts(path)
    assert read_asked(None, 5) == ()


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfe", "not UTF-8"), (b" \n\n", "holds no prompt")]
)
def test_a_file_without_prompts_is_refused(tmp_path, content, message):
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        read_prompts(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(BadInputError, match="one prompt a line"):
            read_prompts(path)


def test_prompts_without_outputs_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="--generate N as well"):
        read_asked(tmp_path / "prompts.txt", None)


def test_prompts_are_a_column_of_a_csv_file(tmp_path):
    path = tmp_path / "memorized.csv"
    path.write_text('id,Caption\n1,"a cat, on blue"\n2,\n3,a dog\n', encoding="utf-8")
    assert read_prompts(path) == ("a cat, on blue", "a dog")
    path.write_text("id,url\n1,a\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="no column is called prompt, caption, text"):
        read_prompts(path)
