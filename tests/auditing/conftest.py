"""A model, its calibration and folders of pictures, all made of seeds in a second."""

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="session")
def model():
    from equipoise.denoisers import wrap

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 64)
        )
    return wrap(
        network.requires_grad_(False), sample_shape=(1, 8, 8), data_std=0.5,
        call=lambda net, x, sigma: net(x).reshape(x.shape), sites=("3:in",),
    )  # fmt: skip


@pytest.fixture(scope="session")
def calibration(model):
    """Fitted on 200 noise pictures of low contrast; pictures of high contrast score above."""
    from equipoise.detection import KnownCopies, build_default, calibrate_scores
    from equipoise.images import as_unit, content_ids

    detector = build_default(model)
    pictures = draw_pictures(200, seed=1, contrast=20)
    scores = detector.score(model, as_unit(pictures), content_ids(pictures)).values
    high = float(scores.max()) + 1
    copies = [KnownCopies(image=i, scores=(high,) * 4 + (0.0,)) for i in range(20)]
    return calibrate_scores(
        detector, model, scores, pictures, fpr=0.02, null="generated and novel",
        copies=tuple(copies),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """600 pictures in folders, every tenth of high contrast: flagged."""
    root = tmp_path / "images"
    for index, picture in enumerate(draw_pictures(600, seed=2, contrast=20)):
        place = root / f"{index // 100}" / f"{index:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        save_picture(place, draw_pictures(1, seed=index, contrast=250)[0] if index % 10 == 0
                     else picture)  # fmt: skip
    return root


def draw_pictures(count, *, seed, contrast):
    rng = np.random.default_rng(seed)
    low = (255 - contrast) // 2
    pixels = rng.integers(low, low + contrast, (count, 1, 8, 8)).astype(np.uint8)
    return torch.from_numpy(pixels)


def save_picture(path, picture):
    Image.fromarray(picture[0].numpy()).save(path)


@pytest.fixture(name="draw_pictures")
def _draw_pictures():
    return draw_pictures


@pytest.fixture(name="save_picture")
def _save_picture():
    return save_picture
