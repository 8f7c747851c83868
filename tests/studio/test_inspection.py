import base64
import io

import pytest
import torch
from PIL import Image

from equipoise.auditing.subject import Subject, build_sampler
from equipoise.studio.context import Studio
from equipoise.studio.inspection import inspect_picture


def finish(work):
    told = []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return told, end.value


def test_a_model_without_a_calibration_gives_a_score_and_no_verdict(
    tiny_edm, tmp_path, monkeypatch
):
    subject = Subject("mine", tiny_edm, build_sampler(tiny_edm), lambda *_: None, None)
    monkeypatch.setattr(Studio, "open", lambda self, name: subject)
    torch.manual_seed(0)
    buffer = io.BytesIO()
    Image.effect_noise((16, 16), 60).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    fields = {"model": "mine", "source": "upload", "picture": [picture]}
    _, page = finish(inspect_picture(Studio(tmp_path), fields))
    assert "No verdict" in page
    assert page.count("data:image/png") == 2  # itself and its heat map
    generated = {"model": "mine", "source": "generate", "seed": 1}
    told, page = finish(inspect_picture(Studio(tmp_path), generated))
    assert [one.doing for one in told].count("generating") == subject.sampler.steps
    assert "No verdict" in page


@pytest.mark.slow
def test_a_model_of_the_zoo_gives_a_verdict_with_its_rate_and_the_nearest_image(tmp_path):
    fields = {"model": "zoo:edm-fashion", "source": "generate", "seed": 1}
    _, page = finish(inspect_picture(Studio(tmp_path), fields))
    assert "score as high" in page
    assert "flagged by mistake" in page
    assert page.count("data:image/png") == 3
