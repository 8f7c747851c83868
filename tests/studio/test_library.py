import pytest

from equipoise.errors import RunError
from equipoise.studio.library import find_page, find_run, list_entries


def test_runs_are_found_by_a_key_that_names_no_path(folder):
    entries = list_entries(folder)
    assert {entry.run.path.name for entry in entries} == {"one", "two", "watched"}
    for entry in entries:
        assert entry.key.isalnum()
        assert find_run(folder, entry.key).path == entry.run.path
        assert find_page(folder, entry.key, "report").name == "report.html"


@pytest.mark.parametrize("key", ["", "one", "..", "../one", "/etc/passwd", "one/../two", "\0"])
def test_other_keys_find_nothing(folder, key):
    with pytest.raises(RunError, match="no such run"):
        find_run(folder, key)


@pytest.mark.parametrize("page", ["run.json", "../secret", "report.html", "", "items"])
def test_other_pages_are_not_served(folder, page):
    key = list_entries(folder)[0].key
    with pytest.raises(RunError, match="no page of that name"):
        find_page(folder, key, page)


def test_a_page_that_is_a_link_elsewhere_is_not_served(folder, tmp_path):
    (tmp_path / "passwd").write_text("secret")
    entry = next(entry for entry in list_entries(folder) if entry.run.path.name == "two")
    place = entry.run.path / "against.html"
    place.symlink_to(tmp_path / "passwd")
    try:
        with pytest.raises(RunError, match="not written"):
            find_page(folder, entry.key, "against")
    finally:
        place.unlink()


def test_a_missing_folder_has_no_runs(tmp_path):
    assert list_entries(tmp_path / "none") == []
