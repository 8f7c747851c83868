"""The samplers of this package as a source of outputs."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Shaped
from torch import Tensor

from equipoise.auditing.subject import Subject
from equipoise.denoisers import Denoiser, guide
from equipoise.guarding.source import Generation, Request
from equipoise.guarding.watch import Watch
from equipoise.guarding.watched import WatchedDenoiser
from equipoise.sampling import sample_states


@dataclass(frozen=True)
class SamplerSource:
    """A model with its sampler; call it with ids and a seed."""

    subject: Subject

    @property
    def denoiser(self) -> Denoiser:
        """The model inside."""
        return self.subject.denoiser

    def ask(self, item_ids: Sequence[str], *, seed: int) -> list[Request]:
        """Ask for one output an id, in the batches of the sampler."""
        batch = self.subject.sampler.batch
        ids = list(item_ids)
        conditions = self.subject.draw_conditions(ids, seed)
        return [
            SamplerRequest(
                self.subject, ids[i : i + batch], seed,
                None if conditions is None else conditions[i : i + batch],
            )
            for i in range(0, len(ids), batch)
        ]  # fmt: skip


@dataclass(frozen=True)
class SamplerRequest:
    """One batch of a sampler."""

    subject: Subject
    item_ids: list[str]
    seed: int
    conditions: Shaped[Tensor, "case ..."] | None

    @property
    def seeds(self) -> list[str | None]:
        """The seed and the id: both key the noise."""
        return [f"{self.seed}|{item}" for item in self.item_ids]

    @property
    def prompts(self) -> list[str | None]:
        """The class, where there is one; an encoded prompt cannot be told."""
        if self.conditions is None or self.conditions.ndim > 1:
            return [None] * len(self.item_ids)
        return [str(label) for label in self.conditions.tolist()]

    def is_conditioned(self, *, told: bool) -> bool:
        """Whether what is read of each output has its condition, not the empty one beside it."""
        return self.conditions is not None and (told or self.subject.sampler.guidance == 1)

    def run(self, watch: Watch) -> Generation:
        """Sample the batch; ends after the step at which `watch.done`."""
        denoiser, sampler = self.subject.denoiser, self.subject.sampler
        guided, sigmas = guide(denoiser, sampler.guidance), sampler.list_sigmas(denoiser)
        x = None
        for state in sample_states(
            WatchedDenoiser(guided, watch), self.item_ids, sigmas,
            seed=self.seed, conditions=self.conditions, solver=sampler.solver,
        ):  # fmt: skip
            if watch.done:
                return Generation([None] * len(self.item_ids), None)
            x = state.x
        assert x is not None
        return Generation(list(denoiser.decode(x).cpu()), x)

    def again(self, rows: Sequence[int], attempt: int) -> "SamplerRequest":
        """Ask again under ids of their own, which key other noise; the conditions stay."""
        ids = [f"{self.item_ids[row]}/again-{attempt}" for row in rows]
        conditions = None if self.conditions is None else self.conditions[list(rows)]
        return SamplerRequest(self.subject, ids, self.seed, conditions)
