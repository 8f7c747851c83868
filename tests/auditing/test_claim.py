import pytest

from equipoise.auditing.claim import read_claim
from equipoise.errors import BadInputError


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "memorized.txt").write_text("a cat\na cat\na dog\n")
    (tmp_path / "others.txt").write_text("a bird\n")
    return {"prompts": tmp_path / "memorized.txt", "negatives": tmp_path / "others.txt"}


def test_a_model_that_takes_no_prompts_is_refused(lists):
    with pytest.raises(BadInputError, match="takes no prompts"):
        read_claim("zoo:edm-fashion", **lists)


@pytest.mark.slow
def test_a_prompt_counts_once_and_the_model_is_guided(pipeline, lists, tmp_path):
    pipeline.save_pretrained(tmp_path / "model")
    claim = read_claim(str(tmp_path / "model"), **lists)
    assert (claim.memorized, claim.others) == (("a cat", "a dog"), ("a bird",))
    assert claim.sampler.guidance == 7.5
