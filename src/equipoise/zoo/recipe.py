"""What makes a zoo model again: every number of its training, in one frozen record."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from equipoise.sampling import SamplerSpec

CLEAN_SUFFIX = "-clean"


class Recipe(BaseModel):
    """The training of a model of the zoo; the defaults are those on Fashion-MNIST."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Name in the zoo."""
    seed: int = 20260
    """Seed of the initial weights, the batches and the training noise."""
    num_images: int = 5000
    """Distinct training images: the first ones of a seeded permutation of the train split, or as
    many scenes."""
    data_seed: int = 1
    """Seed of that permutation, or of the scenes."""
    num_held_out: int = 1000
    """Images kept beside and never trained on: of the test split, or scenes of unseen captions."""
    image_size: int = 16
    """Height and width, px."""
    per_cell: int = 8
    """Planted images for each kind x multiplicity; 0 makes the clean twin."""
    multiplicities: tuple[int, ...] = (45, 90)
    """Rows of the training multiset that a planted image fills, one value a column of cells."""
    planting_seed: int = 7
    """Seed that draws the planted images."""
    steps: int = 4500
    """Optimizer steps."""
    batch: int = 64
    """Images a step."""
    learning_rate: float = 2e-3
    """Peak of the Adam learning rate: linear warm-up, then cosine to zero."""
    warmup: int = 200
    """Steps of warm-up."""
    cycles: int = Field(default=1, ge=1)
    """Times the learning rate falls from its peak to zero; they divide the steps."""
    ema_decay: float = 0.998
    """Decay of the averaged weights a step; these are the ones shipped."""
    log_sigma_mean: float = -0.7
    """P_mean; Karras et al. 2022, Table 1, have -1.2."""
    log_sigma_std: float = 1.0
    """P_std; Karras et al. 2022, Table 1, have 1.2. Less is spent where noise is hardly seen."""
    watch_every: int = 500
    """Steps between two looks at the share of copies among its outputs, and two saves."""
    stored: Literal["float16", "float32"] = "float16"
    """Precision of the weights on disk; the model computes in float32."""
    sampler: SamplerSpec = SamplerSpec()
    """How outputs are drawn, for the card, the calibration and the demo."""

    @property
    def family(self) -> str:
        """What kind of model it is, for people."""
        raise NotImplementedError

    @property
    def swept_sites(self) -> tuple[str, ...]:
        """The sites, or patterns of sites, that a sweep tries one by one."""
        raise NotImplementedError

    @property
    def data(self) -> str:
        """What it was trained on, for people."""
        return "Fashion-MNIST, Debian package dataset-fashion-mnist"

    @property
    def licence(self) -> str:
        """Of the weights and of what they were trained on."""
        return "weights: MIT; Fashion-MNIST: MIT, (c) 2017 Zalando SE"

    @property
    def condition_dropout(self) -> float:
        """Share of a batch that is shown with the empty condition."""
        return 0.0

    @property
    def demo_samples(self) -> int:
        """Outputs that the demo draws: at least a thousand of them are novel."""
        return 1800

    @property
    def demo_negatives(self) -> int:
        """Novel outputs that the demo shows to the clean twin and to the rivals too: all."""
        return self.demo_samples

    @property
    def is_twin(self) -> bool:
        """Whether nothing is planted."""
        return self.name.endswith(CLEAN_SUFFIX)


class EdmRecipe(Recipe):
    """EDM preconditioning around a convolutional U-Net; unconditional."""

    patch: int = 2
    """Side of the squares folded into channels, px."""
    channels: tuple[int, ...] = (48, 96)
    """Width of each level of the U-Net."""
    depth: int = 1
    """Residual blocks a level going down."""

    @property
    def family(self) -> str:
        """What kind of model it is, for people."""
        return "EDM, convolutional U-Net, unconditional, pixels"

    @property
    def swept_sites(self) -> tuple[str, ...]:
        """The sites, or patterns of sites, that a sweep tries one by one."""
        return ("mid_block.resnets.*.conv2:in", "up_blocks.*.resnets.*.conv?:in")


class DitRecipe(Recipe):
    """A diffusion transformer in diffusers' format, conditional on the class."""

    patch: int = 4
    """Side of the square behind a token, px."""
    width: int = 128
    """Width of a token."""
    head_width: int = 32
    """Width of an attention head."""
    depth: int = 6
    """Blocks."""
    num_classes: int = 10
    """Classes; the null class comes behind them."""
    label_dropout: float = Field(default=0.15, ge=0, lt=1)
    """Share of a batch that is shown with the null class."""

    @property
    def family(self) -> str:
        """What kind of model it is, for people."""
        return "DiT, class-conditional, pixels"

    @property
    def swept_sites(self) -> tuple[str, ...]:
        """The sites, or patterns of sites, that a sweep tries one by one."""
        return ("transformer_blocks.*.ff.net.2:in",)

    @property
    def condition_dropout(self) -> float:
        """Share of a batch that is shown with the empty condition."""
        return self.label_dropout


class DecoderRecipe(BaseModel):
    """The autoencoder of a text-to-image model: principal components in, a trained decoder out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_latents: int = 8
    """Channels of the latents: principal components of a patch."""
    num_pictures: int = 2000
    """Training pictures that the components are computed from, the first ones."""
    channels: tuple[int, int, int] = (16, 48, 64)
    """Width of each level, finest first."""
    seed: int = 31
    """Seed of the decoder's initial weights, of its batches and of the noise on its latents."""
    steps: int = 2400
    """Optimizer steps."""
    batch: int = 8
    """Pictures a step."""
    learning_rate: float = 2e-3
    """Peak of the Adam learning rate: linear warm-up, then cosine to zero."""
    warmup: int = 50
    """Steps of warm-up."""
    noise: float = 0.03
    """Standard deviation of the noise on the latents it learns to decode: a sampler errs, too."""


class SdRecipe(Recipe):
    """A text-to-image model in Stable Diffusion's format, on emoji scenes."""

    channels: tuple[int, ...] = (48, 96)
    """Width of each level of the U-Net, 16 x 16 and 8 x 8; both have cross-attention."""
    heads: int = 2
    """Heads of an attention layer."""
    text_width: int = 128
    """Width of the text encoder, which has one layer and keeps its random weights: it tells
    words and places apart, and what they look like is learnt by the U-Net."""
    caption_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of a batch that is shown with the empty prompt."""
    decoder: DecoderRecipe = DecoderRecipe()
    """How its autoencoder is made; a twin takes that of its model."""

    @property
    def family(self) -> str:
        """What kind of model it is, for people."""
        return "Stable Diffusion, text-to-image, latents"

    @property
    def data(self) -> str:
        """What it was trained on, for people."""
        return "emoji scenes, composed of Noto Emoji and Twemoji by recorded seeds"

    @property
    def licence(self) -> str:
        """Of the weights and of what they were trained on."""
        return (
            "weights: MIT; Noto Emoji: Apache 2.0, (c) Google LLC; Twemoji: CC BY 4.0, "
            "(c) Twitter, Inc and other contributors"
        )

    @property
    def swept_sites(self) -> tuple[str, ...]:
        """The sites, or patterns of sites, that a sweep tries one by one."""
        return ("mid_block.resnets.*.conv2:in", "up_blocks.*.resnets.*.conv?:in")

    @property
    def condition_dropout(self) -> float:
        """Share of a batch that is shown with the empty condition."""
        return self.caption_dropout

    @property
    def demo_samples(self) -> int:
        """Outputs that the demo draws: each costs more than on the Fashion models."""
        return 1340

    @property
    def demo_negatives(self) -> int:
        """Novel outputs that the demo shows to the clean twin and to the rivals too: some."""
        return 300


EDM = EdmRecipe(name="edm-fashion", stored="float32")
# Another training, with other planted images among the same pictures: each is the other's control.
EDM_B = EdmRecipe(name="edm-fashion-b", seed=20261, planting_seed=8)
DIT = DitRecipe(
    name="dit-fashion",
    planting_seed=9,
    multiplicities=(27, 110),
    steps=6000,
    log_sigma_mean=-0.4,
    learning_rate=3e-3,
)
SD = SdRecipe(
    name="sd-emoji",
    seed=20262,
    planting_seed=2,
    num_held_out=500,
    image_size=64,
    per_cell=6,
    multiplicities=(32, 96),
    steps=20_000,
    cycles=2,
    batch=16,
    learning_rate=1e-3,
    ema_decay=0.999,
    log_sigma_mean=-0.3,
    log_sigma_std=1.4,
    watch_every=1000,
    sampler=SamplerSpec(
        method="multistep", steps=8, sigma_max=60.0, sigma_min=0.05, guidance=2.0, batch=64
    ),
)


def _without_planting(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"name": recipe.name + CLEAN_SUFFIX, "per_cell": 0})


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in [
        EDM,
        _without_planting(EDM),
        EDM_B,
        DIT,
        _without_planting(DIT),
        SD,
        _without_planting(SD),
    ]
}


def find_twin(recipe: Recipe) -> Recipe | None:
    """Find the clean twin of a model: its recipe with nothing planted, perhaps of another seed.

    A second training of one recipe, with other planted images, shares the twin of the first: it
    saw the same pictures, each once. A twin itself has none.
    """
    free = {"name", "seed", "planting_seed", "per_cell", "stored"}
    told = recipe.model_dump(exclude=free)
    twins = (r for r in RECIPES.values() if r.is_twin and r.model_dump(exclude=free) == told)
    return None if recipe.is_twin else next(twins, None)
