"""A denoiser that is watched: it answers as the one inside, bit for bit."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from equipoise.denoisers import Denoiser
from equipoise.guarding.watch import Watch
from equipoise.representation import capture


@dataclass(frozen=True)
class WatchedDenoiser:
    """Notes what the sites of `inner` show in each forward that is wanted."""

    inner: Denoiser
    watch: Watch

    @property
    def network(self) -> nn.Module:
        """The module whose sites are captured."""
        return self.inner.network

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.inner.sample_shape

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one picture."""
        return self.inner.image_shape

    @property
    def data_std(self) -> float:
        """Standard deviation of the samples."""
        return self.inner.data_std

    @property
    def default_sites(self) -> tuple[str, ...]:
        """Sites to look at when nobody chose others."""
        return self.inner.default_sites

    def denoise(
        self,
        x: Float[Tensor, "batch ..."],
        sigma: Float[Tensor, " batch"],
        cond: Tensor | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """Estimate `E[x0 | x]`, and note what was seen."""
        level = float(sigma[0])
        if self.watch.find(level) is None:
            return self.inner.denoise(x, sigma, cond)
        watch = self.watch
        with capture(self.inner, watch.sites, pooling=watch.pooling, stop=False) as tape:
            answer = self.inner.denoise(x, sigma, cond)
            # A guided denoiser sees every sample twice, the empty condition first.
            half = slice(-len(x), None) if watch.told else slice(len(x))
            watch.note(level, {site: tape[site][half] for site in watch.sites})
            return answer
        raise AssertionError("a capture that does not stop swallows nothing")

    def snap(self, sigma: float) -> float:
        """Return the nearest noise level the model knows."""
        return self.inner.snap(sigma)

    def null_condition(self, batch: int) -> Tensor | None:
        """Return the empty condition."""
        return self.inner.null_condition(batch)

    def encode(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map pictures to samples."""
        return self.inner.encode(images)

    def decode(self, x0: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Map samples to pictures."""
        return self.inner.decode(x0)
