from equipoise.studio.context import Studio
from equipoise.studio.library import list_entries
from equipoise.studio.watching import watch_run


def test_a_watched_run_shows_its_checks(folder):
    key = next(e.key for e in list_entries(folder) if e.run.path.name == "watched")
    work = watch_run(Studio(folder), {"run": key})
    next(work)
    try:
        next(work)
    except StopIteration as end:
        page = end.value
    assert "0.600" in page
    assert 'role="img"' in page
