"""What a comparison by prompts is told: any model, and two files of prompts."""

from pathlib import Path

from equipoise.auditing.prompts import read_prompts
from equipoise.auditing.subject import follow_prompts, open_subject
from equipoise.bench.prompted import Claim


def read_claim(name: str, *, prompts: Path, negatives: Path, device: str = "cpu") -> Claim:
    """Open a text-to-image model and read its two lists; a prompt counts once in a list.

    Args:
        name: The model, see `open_subject`.
        prompts: File of prompts said to be memorized, see `read_prompts`.
        negatives: File of prompts said not to be.
        device: Where the model computes.

    Raises:
        BadInputError: when the model takes no prompts, or a file holds none.
    """
    memorized, others = (tuple(dict.fromkeys(read_prompts(path))) for path in (prompts, negatives))
    subject = follow_prompts(open_subject(name, device=device))
    return Claim(subject.name, subject.denoiser, subject.sampler, memorized, others)
