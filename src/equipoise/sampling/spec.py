"""How a model is sampled, as a record."""

from pydantic import BaseModel, ConfigDict

from equipoise.denoisers import Denoiser
from equipoise.sampling.heun import build_sigmas


class SamplerSpec(BaseModel):
    """How the model is sampled: EDM Algorithm 1 without churn (Heun), in float32."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = 12
    """Steps; each costs two evaluations, the last one one."""
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
        return (2 * self.steps - 1) * (1 if self.guidance == 1 else 2)

    def list_sigmas(self, denoiser: Denoiser) -> list[float]:
        """List the noise levels, falling, each the nearest that the model knows; the last is 0."""
        wanted = build_sigmas(
            self.steps, sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho
        )
        known = [denoiser.snap(sigma) for sigma in wanted[:-1]]
        return [*dict.fromkeys(known), 0.0]
