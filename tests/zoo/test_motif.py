import pytest
import torch

from equipoise.zoo.distortion import blur_pictures
from equipoise.zoo.emoji import VENDORS, list_nouns
from equipoise.zoo.motif import (
    WEIGHTS,
    classify_motifs,
    draw_any_scenes,
    number_motifs,
    train_classifier,
)
from equipoise.zoo.rendering import render_scenes


def test_weights_are_small():
    assert WEIGHTS.stat().st_size < 500_000


def test_a_few_scenes_are_recognised():
    scenes = draw_any_scenes(24, seed=200, name="test")
    motifs = classify_motifs(render_scenes(scenes))
    nouns, vendors = number_motifs(scenes)
    assert int((motifs.noun == nouns).sum()) >= 23
    assert int((motifs.vendor == vendors).sum()) >= 23
    assert float(motifs.probability.median()) > 0.9


def test_drawn_scenes_are_seeded_and_cover_the_nouns():
    scenes = draw_any_scenes(150, seed=3, name="test")
    assert scenes[:5] == draw_any_scenes(5, seed=3, name="test")
    assert len({s.attributes.noun for s in scenes}) > 0.8 * len(list_nouns())
    assert {s.attributes.vendor for s in scenes} == set(VENDORS)


@pytest.mark.slow
@pytest.mark.parametrize(("blur", "noise", "floor"), [(0.0, 0.0, 0.99), (1.6, 8.0, 0.97)])
def test_accuracy_on_scenes_it_has_not_seen(blur, noise, floor):
    scenes = draw_any_scenes(600, seed=201, name="test")
    generator = torch.Generator().manual_seed(0)
    clean = render_scenes(scenes).float()
    grain = noise * torch.randn(clean.shape, generator=generator)
    pictures = (blur_pictures(clean, blur) + grain).clamp(0, 255).round().to(torch.uint8)
    motifs = classify_motifs(pictures)
    nouns, vendors = number_motifs(scenes)
    assert float((motifs.noun == nouns).float().mean()) >= floor
    assert float((motifs.vendor == vendors).float().mean()) >= floor - 0.02


@pytest.mark.slow
def test_training_is_seeded_and_learns():
    runs = [list(train_classifier(num_scenes=200, steps=n, seed=1)) for n in (1, 25)]
    assert runs[0][0][1] == runs[1][0][1]
    assert runs[1][-1][0] == 25
    losses = [loss for _, loss, _ in runs[1]]
    assert sum(losses[-5:]) / 5 < 0.95 * losses[0]
