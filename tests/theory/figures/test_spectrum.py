import pytest
import torch

from equipoise.theory import empirical_denoiser
from equipoise.theory.figures.spectrum import Subject, build_spectrum


@pytest.mark.slow
def test_every_model_is_looked_at_on_both_sides(nets):
    X = nets.regimes["memorizing"].X
    subject = Subject("the five", empirical_denoiser(X), X, X + 0.3, 0.5)
    part = build_spectrum(nets, subject)
    rows = part.results["rows"]
    assert [row["side"] for row in rows] == ["memorized", "new"] * 3
    assert [row["model"] for row in rows[4:]] == ["the five", "the five"]
    for index, row in enumerate(rows):
        values = torch.from_numpy(part.tensors[f"{index}-values"])
        assert bool((values.diff(dim=1) <= 1e-6).all())
        assert all(0 <= cosine <= 1 for cosine in row["cosines"])
        assert part.tensors[f"{index}-vectors"].shape == part.tensors[f"{index}-samples"].shape
