import pytest

import equipoise as eq

from . import tiny

pytestmark = pytest.mark.slow  # diffusers takes seconds to import


@pytest.mark.parametrize(("name", "sized"), [("pixart-alpha", True), ("pixart-sigma", False)])
def test_the_size_is_told_where_the_network_asks_for_it(name, sized):
    model = eq.load(tiny.build_pipeline(name), size=(16, 24))
    parts = model.layout.unpack(model.encode_prompts(["a", "abc"]))
    assert parts["mask"].sum(dim=1).tolist() == [3, 5]  # a space and an end beside the letters
    if sized:
        assert parts["resolution"].tolist() == [[16, 24]] * 2
        assert parts["aspect_ratio"].flatten().tolist() == pytest.approx([16 / 24] * 2)
    else:
        assert set(parts) == {"text", "mask"}
