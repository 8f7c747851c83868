import pytest

from equipoise.studio.context import Studio
from equipoise.studio.page import TABS, render_page
from equipoise.studio.work import WORKS


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_has_a_page_with_and_without_runs(tab, folder, tmp_path):
    for place in (folder, tmp_path / "none"):
        page = render_page(tab, Studio(place))
        assert "<img src=x" not in page
        assert page.count("<h1") == 1
        assert page.count(' aria-current="page"') == 1
        assert page.count("<script") == 1  # the studio's own, from its own address


def test_every_form_has_its_work(folder):
    pages = [render_page(tab, Studio(folder)) for tab in TABS]
    named = {page.split('data-task="')[1].split('"')[0] for page in pages}
    assert named == set(WORKS)
