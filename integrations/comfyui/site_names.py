"""Sites by the names of ComfyUI's U-Net, whose blocks are those of the original Stable Diffusion.

equipoise names the modules of diffusers. With n residual blocks a level the two count

    down_blocks.I.resnets.J      input_blocks.(1 + I (n + 1) + J).0
    mid_block.resnets.J          middle_block.(2 J)
    up_blocks.I.resnets.J        output_blocks.(I (n + 1) + J).0

and an attention is the next entry of the same block. Whole blocks and samplers between levels have
no module of their own there that is called as one, and are refused.
"""

import re

from equipoise.errors import UnknownSiteError

SITE = re.compile(
    r"(?P<way>down_blocks|up_blocks|mid_block)(?:\.(?P<level>\d+))?"
    r"\.(?P<kind>resnets|attentions)\.(?P<place>\d+)(?:\.(?P<inner>.+?))?:(?P<side>in|out)"
)
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def translate(site: str, blocks_a_level: int) -> tuple[str, str]:
    """Return module and side ("in" or "out") of a site of diffusers' U-Net.

    Raises:
        UnknownSiteError: when ComfyUI calls no such module.
    """
    found = SITE.fullmatch(site)
    inner = found and found["inner"]
    known = found and (found["way"] == "mid_block") == (found["level"] is None)
    if not found or not known or (found["kind"] == "resnets" and inner not in (None, *RESNET)):
        raise UnknownSiteError(
            f'ComfyUI has no place for the site "{site}": sites below resnets and attentions of '
            "a Stable Diffusion U-Net are known. Make the vector at such sites."
        )
    place, attention = int(found["place"]), found["kind"] == "attentions"
    if found["way"] == "mid_block":
        block = f"middle_block.{2 * place + attention}"
    elif found["way"] == "down_blocks":
        number = 1 + int(found["level"]) * (blocks_a_level + 1) + place
        block = f"input_blocks.{number}.{int(attention)}"
    else:
        number = int(found["level"]) * (blocks_a_level + 1) + place
        block = f"output_blocks.{number}.{int(attention)}"
    below = RESNET.get(inner, inner) if inner else None
    return (f"{block}.{below}" if below else block), found["side"]
