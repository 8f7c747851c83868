"""What DDPM++, NCSN++ and ADM are specified by, within bounds that a file cannot leave.

A file names the size of the network it holds. Each number has a bound, so that a hostile file
cannot ask for a network that never ends.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Width = Annotated[int, Field(ge=1, le=4096)]


class UNetSpec(BaseModel):
    """Shape of a U-Net; its numbers keep the names that EDM gives them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    img_resolution: int = Field(ge=1, le=4096)
    """Side of a picture in px."""
    in_channels: int = Field(ge=1, le=256)
    """Channels of a picture."""
    out_channels: int = Field(ge=1, le=512)
    """Channels of the answer."""
    label_dim: int = Field(0, ge=0, le=1_000_000)
    """Number of classes; 0 for none."""
    augment_dim: int = Field(0, ge=0, le=4096)
    """Width of the augmentation label that training used; 0 for none."""
    model_channels: Width
    """Base width in channels."""
    channel_mult: tuple[Width, ...] = Field(min_length=1, max_length=12)
    """Width of each level over the base width, highest resolution first."""
    channel_mult_emb: Width = 4
    """Width of the noise embedding over the base width."""
    num_blocks: int = Field(ge=1, le=64)
    """Residual blocks a level of the encoder; one more in the decoder."""
    attn_resolutions: tuple[int, ...] = Field(max_length=16)
    """Sides in px at which blocks attend."""
    dropout: float = 0.1
    """Of training; says nothing about answers."""
    label_dropout: float = 0.0
    """Of training; says nothing about answers."""

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels by their resolutions: "32x32", "16x16", ..."""
        sides = [self.img_resolution >> level for level in range(len(self.channel_mult))]
        return tuple(f"{side}x{side}" for side in sides)

    def width_at(self, level: int) -> int:
        """Channels of a level."""
        return self.model_channels * self.channel_mult[level]

    def attends(self, level: int) -> bool:
        """Whether blocks of a level attend."""
        return (self.img_resolution >> level) in self.attn_resolutions

    @model_validator(mode="after")
    def _check_sizes(self) -> "UNetSpec":
        if self.img_resolution % 2 ** (len(self.channel_mult) - 1):
            raise ValueError(
                f"a side of {self.img_resolution} px cannot be halved "
                f"{len(self.channel_mult) - 1} times"
            )
        return self
