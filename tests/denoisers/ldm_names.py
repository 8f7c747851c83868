"""The names that single files of Stable Diffusion give to the weights of diffusers' folders."""

UNET = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2", "conv_norm_out": "out.0", "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}  # fmt: skip
UNET_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE = {"conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut"}
VAE_ATTENTION = {
    "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
}  # fmt: skip


def to_single_file(pipeline):
    """Rename the weights of a `StableDiffusionPipeline` as a single file has them."""
    layers = pipeline.unet.config.layers_per_block
    levels = len(pipeline.vae.config.block_out_channels)
    unet = {_name_unet(n, layers): t for n, t in pipeline.unet.state_dict().items()}
    vae = {_name_vae(n, levels): t for n, t in pipeline.vae.state_dict().items()}
    text = pipeline.text_encoder.state_dict()
    for name in vae:
        if "attn_1" in name and "norm" not in name and name.endswith("weight"):
            vae[name] = vae[name][:, :, None, None]
    return {
        **{f"model.diffusion_model.{name}": tensor for name, tensor in unet.items()},
        **{f"first_stage_model.{name}": tensor for name, tensor in vae.items()},
        **{
            f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}": tensor
            for name, tensor in text.items()
        },
    }


def _name_unet(name, layers):
    for old, new in UNET.items():
        if name.startswith(f"{old}."):
            name = name.replace(old, new, 1)
    part, *rest = name.split(".")
    if part in ("down_blocks", "up_blocks"):
        name = _name_block(part, rest, layers)
    if any(name.endswith(f".{old}.{end}") for old in UNET_RESNET for end in ("weight", "bias")):
        *path, inner, end = name.split(".")
        if "transformer_blocks" not in path:
            name = ".".join([*path, UNET_RESNET[inner], end])
    return name


def _name_block(part, rest, layers):
    block, kind, layer, *inner = rest
    if part == "down_blocks":
        at = 1 + int(block) * (layers + 1) + (layers if kind == "downsamplers" else int(layer))
        place = {"resnets": "0", "attentions": "1", "downsamplers": "0.op"}[kind]
        inner = inner[1:] if kind == "downsamplers" else inner
        return ".".join([f"input_blocks.{at}.{place}", *inner])
    at = int(block) * (layers + 1) + (layers if kind == "upsamplers" else int(layer))
    attends = block != "0"  # the lowest level of these models does not attend
    place = {"resnets": "0", "attentions": "1", "upsamplers": "2" if attends else "1"}[kind]
    return ".".join([f"output_blocks.{at}.{place}", *inner])


def _name_vae(name, levels):
    parts = name.split(".")
    if len(parts) > 3 and parts[1] in ("down_blocks", "up_blocks"):
        side, part, block, kind, layer, *inner = parts
        level = int(block) if part == "down_blocks" else levels - 1 - int(block)
        way = part.removesuffix("_blocks")
        place = f"block.{layer}" if kind == "resnets" else f"{way}sample"
        name = ".".join([side, way, str(level), place, *inner])
    name = name.replace("mid_block.resnets.0", "mid.block_1")
    name = name.replace("mid_block.resnets.1", "mid.block_2")
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        for old, new in VAE_ATTENTION.items():
            name = name.replace(f".{old}.", f".{new}.")
    for old, new in VAE.items():
        name = name.replace(f"{old}.", f"{new}.")
    return name
