import pytest
import torch
from PIL import Image

import equipoise as eq


def test_the_front_doors_work_in_a_few_lines(tiny_edm):
    images = torch.rand(60, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    scores = eq.spikiness(tiny_edm, images[:5])
    assert scores.values.shape == (5,)
    detector = eq.calibrate(tiny_edm, images[:40], fpr=0.05)
    judgement = detector(images[40:])
    assert len(judgement.verdicts) == 20
    assert set(judgement.verdicts) <= {"memorized", "not_memorized", "inconclusive"}
    torch.testing.assert_close(
        judgement.p_values,
        detector.calibration.p_values(eq.spikiness(tiny_edm, images[40:]).values),
    )


def test_a_folder_is_audited_in_one_line(tiny_edm, tmp_path):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(60, 1, 16, 16, generator=generator)
    detector = eq.calibrate(tiny_edm, images, fpr=0.05)
    (tmp_path / "generated").mkdir()
    for index, picture in enumerate((255 * images[:12, 0]).byte()):
        Image.fromarray(picture.numpy()).save(tmp_path / "generated" / f"{index}.png")
    for _ in range(2):  # the second call finds the run finished
        run = eq.audit(tiny_edm, str(tmp_path / "generated"), detector, out=tmp_path / "run")
        assert run.record.results["items"] == run.read_items().num_rows == 12
    assert (tmp_path / "run" / "report.html").is_file()
    assert callable(eq.audit)  # and no module has taken its place


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = eq.nonsense
