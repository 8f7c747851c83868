r"""Anisotropy: at high noise the condition pulls hard, at low noise it pulls along the score.

    score = g_n ||s_delta(x_T, T)||_2 + g_c mean over pixels of cos(e_u, e_c - e_u)(x_T, t ~ 0)

Both at pure noise of unit variance, which the second term shows to the model as if it were nearly
clean (the "timestep mismatch" of the paper). In our convention the variance-preserving input z is
`x = z sqrt(1 + sigma^2)`. The cosine is over channels, so with one channel it is a sign. Weights
are 1 and 1: the paper fits them on twenty labelled prompts and finds that these do well.

References:
    Detecting and Mitigating Memorization in Diffusion Models through Anisotropy of the
    Log-Probability (Asthana and Belagiannis, 2026) | arXiv 2601.20642
"""

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from equipoise.denoisers.protocol import Denoiser
from equipoise.detection.card import Card
from equipoise.detection.drawn import DrawnDetector, Measure
from equipoise.detection.draws import Noisy
from equipoise.detection.start import Answers, ask_twice, norm_of


class Anisotropy(DrawnDetector):
    """Norm of the pull of the condition at high noise, plus its angle to the score at low noise.

    Sigma is the high level.
    """

    sigma_low: float = Field(gt=0)
    """Low noise level, data units."""
    norm_weight: float = 1.0
    """Weight of the norm, g_n."""
    cosine_weight: float = 1.0
    """Weight of the cosine, g_c."""

    @property
    def card(self) -> Card:
        """What it is, where it comes from and what it costs."""
        return Card(
            name="anisotropy",
            source="Asthana and Belagiannis, 2026 | arXiv 2601.20642",
            formula="g_n ||e_c - e_u||(T) + g_c mean cos(e_u, e_c - e_u)(0)",
            needs=("condition",),
            evaluations=4 * self.draws,
            direction="a memorized condition pulls hard, and along the score",
        )

    def build_measure(self, denoiser: Denoiser) -> Measure:
        """Ask with and without the condition at both levels; four forwards a draw."""

        def ask(noisy: Noisy, sigma: float) -> tuple[Tensor, Answers]:
            x = noisy.eps * (1 + sigma**2) ** 0.5
            return x, ask_twice(denoiser, x, x.new_full((len(x),), sigma), noisy.cond)

        def measure_noisy(noisy: Noisy) -> Tensor:
            _, high = ask(noisy, self.sigma)
            x, low = ask(noisy, self.sigma_low)
            cosine = functional.cosine_similarity(
                (x - low.without).double(), -low.gap.double(), dim=1
            )
            norm = norm_of(high.gap) / self.sigma
            return self.norm_weight * norm + self.cosine_weight * cosine.flatten(1).mean(dim=1)

        return measure_noisy
