"""A tiny model with a sampler of four steps, and guards fitted on it."""

import pytest
import torch

IDS = [f"fit/{row}" for row in range(60)]


class Counting(torch.nn.Module):
    """A network that counts its whole forwards, by output, and can fail."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.forwards = 0
        self.fails_at = None

    def forward(self, *args, **words):
        answer = self.inner(*args, **words)
        self.forwards += len(answer)
        if self.fails_at is not None and self.forwards >= self.fails_at:
            raise RuntimeError("the machine is on fire")
        return answer


@pytest.fixture(scope="session")
def subject(tiny_edm):
    from dataclasses import replace

    from equipoise.auditing.subject import Subject
    from equipoise.sampling import SamplerSpec

    denoiser = replace(
        tiny_edm,
        network=Counting(tiny_edm.network),
        default_sites=("inner.up_blocks.0.resnets.*.conv2:in",),
    )
    sampler = SamplerSpec(steps=4, sigma_min=0.02, sigma_max=10.0, batch=16)
    return Subject("tiny", denoiser, sampler, lambda *_: None, None)


@pytest.fixture(scope="session")
def detector(subject):
    from equipoise.detection import Spikiness, UnitScale

    sites = ("inner.up_blocks.0.resnets.0.conv2:in",)
    scale = UnitScale(mean=(0.0,) * 32, std=(1.0,) * 32)
    return Spikiness(sites=sites, sigma=0.1, scale=scale)


@pytest.fixture(scope="session")
def evidence(subject, detector):
    from equipoise.guarding.fit import collect_evidence
    from equipoise.guarding.sampler import SamplerSource

    calls = [{"item_ids": IDS, "seed": 1}]
    return collect_evidence(SamplerSource(subject), calls, detector, mode="free")


@pytest.fixture(scope="session")
def fitted(subject, detector, evidence):
    from equipoise.guarding.fit import fit_guard

    def fit(mode, **words):
        return fit_guard(
            subject.denoiser, evidence, detector, mode=mode, fpr=0.1, null="own outputs", **words
        )

    return fit
