"""Trivial baselines of text: what the words of a prompt give away without model or picture.

On the prompt lists that the field shares, the share of capitalised words alone tells memorized
prompts from the others with an AUROC of .99: the two lists come from different places. A detector
that does not beat these has shown nothing about memory.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict

from equipoise.detection import Card, Scores, Stopwatch

PromptStatistic = Literal["caption_length", "capitalised_share"]
PROMPT_STATISTICS: tuple[PromptStatistic, ...] = get_args(PromptStatistic)


class PromptBaseline(BaseModel):
    """A statistic of the words alone; neither the model nor the picture is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statistic: PromptStatistic
    """Which one."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name=self.statistic,
            source="ours, a trivial baseline",
            formula=f"{self.statistic.replace('_', ' ')} of the prompt",
            needs=("words",),
            evaluations=0,
            direction="none: the words alone cannot know",
        )

    def score_prompts(self, prompts: Sequence[str]) -> Scores:
        """Score prompts, before a sign was chosen."""
        watch = Stopwatch()
        values = [_STATISTICS[self.statistic](prompt.split()) for prompt in prompts]
        return Scores(
            torch.tensor(values, dtype=torch.float64)[:, None],
            evaluations=0, seconds=watch.seconds,
        )  # fmt: skip


def _capitalised_share(words: Sequence[str]) -> float:
    """Share of words that begin with a capital letter; 0 where there is no word."""
    return sum(word[0].isupper() for word in words) / max(len(words), 1)


_STATISTICS: dict[PromptStatistic, Callable[[Sequence[str]], float]] = {
    "caption_length": lambda words: float(len(words)),
    "capitalised_share": _capitalised_share,
}
