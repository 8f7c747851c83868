import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.detection import Spikiness, calibrate_scores
from equipoise.errors import CalibrationError
from equipoise.guarding.safety_checker import SafetyChecker


def build_calibration(denoiser, images, *, share):
    detector = Spikiness(sites=("up_blocks.0.resnets.0.conv2:in",), sigma=denoiser.snap(0.1))
    scores = eq.spikiness(denoiser, images, detector=detector).values
    return calibrate_scores(detector, denoiser, scores, None, fpr=share, null="own outputs")


def test_it_flags_what_the_calibration_flags_and_zeroes_it(tiny_edm):
    images = torch.randint(0, 256, (12, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    unit = images.float() / 255
    calibration = build_calibration(tiny_edm, unit, share=0.4)
    checked, flags = SafetyChecker(tiny_edm, calibration)(2 * unit - 1, None)
    scores = eq.spikiness(tiny_edm, unit, detector=calibration.detector).values
    assert flags == (scores >= calibration.threshold).tolist()
    assert 0 < sum(flags) < 12
    for row, flag in enumerate(flags):
        assert torch.equal(checked[row], 0 * unit[row] if flag else 2 * unit[row] - 1)


def test_a_calibration_of_generations_is_refused(tiny_edm):
    calibration = build_calibration(tiny_edm, torch.rand(12, 1, 16, 16), share=0.4)
    with pytest.raises(CalibrationError, match='fitted in mode "check"'):
        SafetyChecker(tiny_edm, calibration.model_copy(update={"mode": "check"}))


def test_a_detector_that_is_told_prompts_is_refused(tiny_edm):
    calibration = build_calibration(tiny_edm, torch.rand(12, 1, 16, 16), share=0.4)
    told = calibration.detector.model_copy(update={"condition": "own"})
    with pytest.raises(CalibrationError, match="made without --told"):
        SafetyChecker(tiny_edm, calibration.model_copy(update={"detector": told}))


@pytest.mark.slow  # diffusers takes seconds to import
def test_a_pipeline_takes_it_in_its_slot(pipeline):
    from transformers import CLIPImageProcessor

    def run():
        generator = [torch.Generator().manual_seed(i) for i in range(4)]
        return pipeline(["a"] * 4, num_inference_steps=2, generator=generator, output_type="np")

    stock, denoiser = run().images, eq.load(pipeline)
    calibration = build_calibration(
        denoiser, torch.from_numpy(stock).permute(0, 3, 1, 2), share=0.5
    )
    pipeline.safety_checker = SafetyChecker(denoiser, calibration)
    pipeline.feature_extractor = CLIPImageProcessor(size=16, crop_size=16)
    try:
        answer = run()
    finally:
        pipeline.safety_checker = pipeline.feature_extractor = None
    flags = answer.nsfw_content_detected
    assert len(flags) == 4
    assert any(flags)
    assert not all(flags)
    for picture, plain, flag in zip(answer.images, stock, flags, strict=True):
        assert np.array_equal(picture, np.zeros_like(plain) if flag else plain)
