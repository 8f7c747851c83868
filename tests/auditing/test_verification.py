import pytest
import torch

from equipoise.auditing.job import Audit, run_audit
from equipoise.auditing.pile import GeneratedPile
from equipoise.auditing.subject import Subject
from equipoise.auditing.verification import count_changes, count_rates, read_requests, verify
from equipoise.detection import build_default, calibrate_scores
from equipoise.errors import RunError
from equipoise.runs import check_run, load_run
from equipoise.sampling import SamplerSpec

SIDE = 8


class Rememberer(torch.nn.Module):
    """Some of the starting noise leads to one picture, which its hidden units know; or none."""

    def __init__(self, remembers):
        super().__init__()
        self.picture = torch.nn.Parameter(torch.linspace(-1, 1, SIDE * SIDE))
        self.units = torch.nn.Identity()
        self.register_buffer("remembers", remembers)

    def forward(self, x, sigma):
        flat = x.flatten(1)
        towards = flat @ self.picture / self.picture.norm() / flat.std(dim=1)
        known = (towards > 1.5)[:, None] & self.remembers
        self.units(torch.eye(SIDE * SIDE)[0] * known * 9 + flat.abs())
        shrunk = flat * (0.25 / (0.25 + sigma[:, None] ** 2))
        return torch.where(known, self.picture[None], shrunk).reshape(x.shape)


def open_model(name, remembers=True, side=SIDE):
    from equipoise.denoisers import wrap

    denoiser = wrap(
        Rememberer(torch.tensor(remembers)), sample_shape=(1, side, side), data_std=0.5,
        sites=("units:in",),
    )  # fmt: skip
    sampler = SamplerSpec(steps=4, sigma_min=0.02, sigma_max=10.0, batch=64)
    return Subject(name, denoiser, sampler, lambda *_: None, None)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """An audit of 400 outputs, calibrated on 300 of a model that remembers nothing."""
    from equipoise.images import as_unit, content_ids

    subject, forgetful = open_model("given"), open_model("given", remembers=False)
    novel = GeneratedPile(forgetful, count=300, seed=9, stream="calibrate")
    known = torch.stack([item.pixels for _, part in novel.read([0, 1]) for item in part])
    detector = build_default(subject.denoiser)
    scores = detector.score(subject.denoiser, as_unit(known), content_ids(known)).values
    calibration = calibrate_scores(
        detector, subject.denoiser, scores, None, fpr=0.02, null="generated and novel"
    )
    pile = GeneratedPile(subject, count=400, seed=1, stream="audit")
    asked = Audit(subject.denoiser, "given", calibration, "given", pile)
    return run_audit(asked, tmp_path_factory.mktemp("audit") / "run")


@pytest.mark.slow
def test_a_mitigation_shows_and_its_absence_too(audited, tmp_path):
    flagged = len(read_requests(audited).flagged.sources)
    assert flagged >= 15
    rates = {}
    for name, after in (("mended", open_model("mended", remembers=False)),
                        ("same", open_model("given"))):  # fmt: skip
        run = verify(audited, open_model("given"), after, tmp_path / name)
        rates[name] = run.record.results["rates"]
        items = run.read_items()
        assert items.num_rows == 4 * flagged
        assert "Does what was flagged still come out?" in (run.path / "report.html").read_text()
        assert set(check_run(run.path).values()) == {"ok"}
    before = rates["mended"]["before, same noise"]["flagged"]
    assert before["value"] >= 0.8
    assert before["n"] == flagged
    assert rates["mended"]["after, same noise"]["flagged"]["value"] <= 0.15
    assert rates["mended"]["before, new noise"]["flagged"]["value"] <= 0.4
    for generation in ("same noise", "new noise"):
        assert rates["same"][f"after, {generation}"] == rates["same"][f"before, {generation}"]


def test_rates_count_copies_where_the_truth_is_known():
    rows = [
        {"model": model, "generation": generation, "verdict": verdict, "label": label}
        for model in ("before", "after")
        for generation in ("same noise", "new noise")
        for verdict, label in (("memorized", "copy"), ("not_memorized", "novel"))
    ]
    rates = count_rates(rows)
    assert rates["after, new noise"]["copies"]["value"] == 0.5
    assert rates["after, new noise"]["flagged"]["n"] == 2


def test_changes_are_counted_request_by_request():
    flagged = {"before": "abcdefgh", "after": "hi"}
    rows = [
        {"source": source, "model": model, "generation": "same noise",
         "verdict": "memorized" if source in flagged[model] else "not_memorized"}
        for model in ("before", "after")
        for source in "abcdefghij"
    ]  # fmt: skip
    found = count_changes(rows)
    # Of the eight that differ seven went: 2 (C(8,7) + C(8,8)) / 2^8.
    assert found["same noise"] == {"gone": 7, "left": 1, "new": 1, "p_value": 18 / 256}
    assert found["new noise"] == {"gone": 0, "left": 0, "new": 0, "p_value": 1.0}


@pytest.mark.slow
def test_what_cannot_be_verified_is_refused(audited, tmp_path):
    with pytest.raises(RunError, match="is an audit of the model"):
        verify(audited, open_model("mended", remembers=False), open_model("given"), tmp_path / "a")
    with pytest.raises(RunError, match="it is no finished audit of fresh outputs"):
        read_requests(type(audited)(audited.path, audited.record.model_copy(
            update={"spec": audited.record.spec | {"generate": None}})))  # fmt: skip
    assert load_run(audited.path).record.status == "finished"
