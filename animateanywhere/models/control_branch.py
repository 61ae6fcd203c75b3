"""What PoseControlNet and ReferenceNet share: the base's first blocks, copied or borrowed, run once per video at t=0."""

import copy
from collections.abc import Mapping

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.modeling_utils import ModelMixin
from peft import LoraConfig

from animateanywhere.models.transformer import VideoTrunk

TRUNK_PARTS = ("patch_embed", "time_embedding", "ofs_embedding", "transformer_blocks")
LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]


class ControlBranch(ModelMixin, ConfigMixin, PeftAdapterMixin, VideoTrunk):
    """First blocks of a base transformer as a separate network without noise, at fixed t=0.

    `kind="copy"`: own parameters that start as the base's (the paper). `kind="lora"`: the frozen base's own parameters,
    shared and not copied, with a LoRA of this branch on top; then only LoRA and new layers are trained and saved.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["AnimateAnywhereBlock"]
    _skip_layerwise_casting_patterns = ["patch_embed", "norm"]
    adapter_name = "control_branch"

    def build_branch(self, transformer_config: Mapping, num_blocks: int):
        """Attach a trunk of `num_blocks` blocks for a base of this configuration."""
        self.build_trunk(transformer_config, num_blocks)

    @classmethod
    def from_transformer(cls, transformer, num_layers: int, kind: str = "copy", lora_rank: int = 64):
        """A branch that starts as `transformer`'s first `num_layers` blocks. Build it before LoRA is added to the base."""
        branch = cls(transformer_config=dict(transformer.config), num_layers=num_layers, kind=kind, lora_rank=lora_rank)
        if kind == "lora":
            branch.borrow(transformer)
        else:
            own, base = branch.state_dict().keys(), transformer.state_dict()
            branch.load_state_dict({name: base[name] for name in own & base.keys()}, strict=False)
        return branch if branch.dtype == transformer.dtype else branch.to(transformer.dtype)

    def borrow(self, transformer):
        """Share `transformer`'s parameters (no copy) and put this branch's own LoRA, initially zero, over them."""
        for part in TRUNK_PARTS:
            source = getattr(transformer, part)
            if part == "transformer_blocks":
                source = source[: len(self.transformer_blocks)]
            shared = {id(p): p for p in source.parameters()} if source is not None else {}
            setattr(self, part, copy.deepcopy(source, memo=shared))
        rank = self.config.lora_rank
        self.add_adapter(
            LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_TARGETS, init_lora_weights=True), self.adapter_name
        )

    def own_state_dict(self) -> dict[str, torch.Tensor]:
        """The tensors that belong to this branch: everything for a copy, LoRA and new layers for a borrowed trunk."""
        state = self.state_dict()
        if self.config.kind == "copy":
            return state
        return {name: t for name, t in state.items() if "lora_" in name or not name.startswith(TRUNK_PARTS)}

    def own_parameters(self) -> list[torch.nn.Parameter]:
        """Parameters to train for this branch."""
        names = self.own_state_dict().keys()
        return [p for name, p in self.named_parameters() if name in names]

    def embed(self, latents, prompt_embeds):
        """Tokens and time embedding at t=0 for latents `[B, F, C, H, W]`."""
        hidden_states, encoder_hidden_states = self.embed_tokens(latents, prompt_embeds)
        temb = self.embed_time(torch.zeros(latents.shape[0], device=latents.device), None, latents.dtype)
        return hidden_states, encoder_hidden_states, temb
