"""What makes a zoo model again: every number of its training, in one frozen record."""

from pydantic import BaseModel, ConfigDict


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
    batch: int = 128
    """Samples a forward; part of the spec because it can move the last bits."""


class EdmFashionRecipe(BaseModel):
    """The training of `edm-fashion` and of its clean twin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Name in the zoo."""
    seed: int = 20260
    """Seed of the initial weights, the batches and the training noise."""
    num_images: int = 5000
    """Distinct training images: the first ones of a seeded permutation of the train split."""
    data_seed: int = 1
    """Seed of that permutation."""
    num_held_out: int = 1000
    """Images of the test split kept beside, never trained on."""
    image_size: int = 16
    """Height and width, px."""
    per_cell: int = 8
    """Planted images for each kind x multiplicity; 0 makes the clean twin."""
    multiplicities: tuple[int, ...] = (45, 90)
    """Rows of the training multiset that a planted image fills, one value a column of cells."""
    planting_seed: int = 7
    """Seed that draws the planted images."""
    patch: int = 2
    """Side of the squares folded into channels, px."""
    channels: tuple[int, ...] = (48, 96)
    """Width of each level of the U-Net."""
    depth: int = 1
    """Residual blocks a level going down."""
    steps: int = 4500
    """Optimizer steps."""
    batch: int = 64
    """Images a step."""
    learning_rate: float = 2e-3
    """Peak of the Adam learning rate: linear warm-up, then cosine to zero."""
    warmup: int = 200
    """Steps of warm-up."""
    ema_decay: float = 0.998
    """Decay of the averaged weights a step; these are the ones shipped."""
    log_sigma_mean: float = -0.7
    """P_mean; Karras et al. 2022, Table 1, have -1.2."""
    log_sigma_std: float = 1.0
    """P_std; Karras et al. 2022, Table 1, have 1.2. Less is spent where noise is hardly seen."""
    sampler: SamplerSpec = SamplerSpec()
    """How outputs are drawn, for the card, the calibration and the demo."""


RECIPES = {
    "edm-fashion": EdmFashionRecipe(name="edm-fashion"),
    "edm-fashion-clean": EdmFashionRecipe(name="edm-fashion-clean", per_cell=0),
}
