"""How a model is sampled, as a record."""

from collections.abc import Iterator, Sequence
from typing import Literal

from jaxtyping import Float, Shaped
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from equipoise.denoisers import Denoiser, guide
from equipoise.sampling.heun import build_sigmas, sample_heun
from equipoise.sampling.items import sample_items
from equipoise.sampling.multistep import sample_multistep
from equipoise.sampling.state import Solver


class SamplerSpec(BaseModel):
    """How the model is sampled: its ODE without churn, in float32."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["heun", "multistep"] = "heun"
    """Heun's method (EDM Algorithm 1), or DPM-Solver++(2M), which spends half as much a step."""
    steps: int = 12
    """Steps; with Heun's method each costs two evaluations, but for the last one."""
    sigma_min: float = 0.01
    """Smallest noise level before zero, in data units."""
    sigma_max: float = 40.0
    """Largest noise level, in data units."""
    rho: float = 7.0
    """Spacing of the noise levels (Karras et al. 2022, Eq. 5)."""
    guidance: float = 1.0
    """Scale of classifier-free guidance; 1 asks the model with its condition alone."""
    batch: int = 128
    """Samples a forward; part of the spec because it can move the last bits."""

    @property
    def evaluations(self) -> int:
        """Evaluations of the network for a sample, at most: a level may be known only once."""
        calls = 2 * self.steps - 1 if self.method == "heun" else self.steps
        return calls * (1 if self.guidance == 1 else 2)

    @property
    def solver(self) -> Solver:
        """The function that follows the ODE."""
        return sample_heun if self.method == "heun" else sample_multistep

    def list_sigmas(self, denoiser: Denoiser) -> list[float]:
        """List the noise levels, falling, each the nearest that the model knows; the last is 0."""
        wanted = build_sigmas(
            self.steps, sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho
        )
        known = [denoiser.snap(sigma) for sigma in wanted[:-1]]
        return [*dict.fromkeys(known), 0.0]

    def sample(
        self,
        denoiser: Denoiser,
        item_ids: Sequence[str],
        *,
        seed: int,
        conditions: Shaped[Tensor, "case ..."] | None = None,
    ) -> Iterator[Float[Tensor, "batch ..."]]:
        """Sample one `x0` an item, guided, batch by batch; the rest as in `sample_items`."""
        return sample_items(
            guide(denoiser, self.guidance), item_ids, self.list_sigmas(denoiser),
            seed=seed, batch=self.batch, conditions=conditions, solver=self.solver,
        )  # fmt: skip
