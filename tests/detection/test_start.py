import torch

from equipoise.detection import Noisy
from equipoise.detection.start import Answers, ask_twice, begin, norm_of


def test_it_looks_at_pure_noise_or_at_the_noisy_image():
    x0, eps = torch.ones(2, 3), torch.full((2, 3), 2.0)
    noisy = Noisy(x0, eps, torch.tensor([0.5, 3.0]), None)
    assert begin(noisy, "noise").tolist() == [[1.0] * 3, [6.0] * 3]
    assert begin(noisy, "image").tolist() == [[2.0] * 3, [7.0] * 3]


def test_guidance_of_zero_and_one_are_the_two_answers(smooth, evidence):
    images, _, classes = evidence
    level = torch.full((4,), 0.5, dtype=torch.float64)
    answers = ask_twice(smooth, images, level, classes)
    torch.testing.assert_close(answers.guide(0.0), smooth.denoise(images, level))
    torch.testing.assert_close(answers.guide(1.0), smooth.denoise(images, level, classes))
    torch.testing.assert_close(Answers(images, images - 2).gap, torch.full_like(images, 2.0))
    torch.testing.assert_close(norm_of(images), images.flatten(1).norm(dim=1))
