import pytest
import torch

from equipoise.auditing.subject import build_sampler, open_subject
from equipoise.errors import BadInputError, UnknownModelError


@pytest.mark.parametrize("name", ["edm-fashion", "zoo:edm-fashion"])
def test_a_zoo_model_is_sampled_by_its_recipe_and_brings_its_calibration(name):
    subject = open_subject(name)
    assert subject.name == "zoo:edm-fashion"
    assert subject.sampler.steps == 12
    assert subject.shipped is not None
    assert subject.shipped.name == "calibration.json"


def test_a_twin_ships_no_calibration():
    assert open_subject("zoo:edm-fashion-clean").shipped is None


def test_names_that_are_nothing_are_refused():
    with pytest.raises(UnknownModelError, match="Closest"):
        open_subject("zoo:edm-fasion")
    with pytest.raises(BadInputError, match="no such file or folder"):
        open_subject("edm-fasion")


def test_an_unknown_model_is_sampled_over_the_levels_of_the_paper(tiny_edm):
    """Karras et al. 2022, Table 1: 80 to 0.002 where the data have a standard deviation of .5."""
    sigmas = build_sampler(tiny_edm).list_sigmas(tiny_edm)
    assert tiny_edm.data_std == 0.5
    assert len(sigmas) == 19
    assert sigmas[0] == pytest.approx(80)
    assert sigmas[-2:] == [pytest.approx(0.002), 0]


@pytest.mark.slow
def test_a_folder_of_diffusers_is_audited_and_calibrated_like_any_model(tmp_path):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
    from PIL import Image

    from equipoise.auditing.job import run_audit
    from equipoise.auditing.parts import AuditRequest, build_audit
    from equipoise.auditing.reference import calibrate_model

    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(16, 32),
        layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    source = tmp_path / "model"
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(source)
    found = calibrate_model(str(source), generate=40, fpr=0.05, seed=0)
    assert found.calibration.null == "own outputs"
    found.calibration.save(tmp_path / "calibration.json")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(3):
        pixels = torch.randint(0, 256, (8, 8), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(pictures / f"{index}.png")
    with pytest.raises(BadInputError, match="ships no calibration"):
        build_audit(AuditRequest(model=str(source), images=pictures))
    asked = build_audit(
        AuditRequest(model=str(source), images=pictures, calibration=tmp_path / "calibration.json")
    )
    run = run_audit(asked, tmp_path / "run")
    assert run.record.results["items"] == 3
    assert run.record.spec["model"] == str(source)
