"""ReferenceNet: the reference person's latents to one set of tokens per control block (paper III-B)."""

import torch
from diffusers.configuration_utils import register_to_config

from animateanywhere.models.control_branch import ControlBranch


class ReferenceNet(ControlBranch):
    """The base's first blocks over the person's picture; main block l sees the *input* of this network's block l.

    That input is what the frozen block l is used to. The last block's output would meet nobody, so `num_layers` features
    need `num_layers - 1` blocks.
    """

    adapter_name = "reference_net"

    @register_to_config
    def __init__(self, transformer_config: dict, num_layers: int = 18, kind: str = "copy", lora_rank: int = 64):
        super().__init__()
        self.build_branch(transformer_config, num_layers - 1)

    def forward(self, reference_latents, prompt_embeds, image_rotary_emb=None) -> list[torch.Tensor]:
        """`reference_latents [B, patch_size_t, C, H, W]` (one picture, repeated) -> `num_layers` states `[B, R, D]`.

        `image_rotary_emb` places the picture at time -1. The second half of the input channels, where the denoiser has
        the background, is zero.
        """
        padded = torch.cat([reference_latents, torch.zeros_like(reference_latents)], dim=2)
        hidden_states, encoder_hidden_states, temb = self.embed(padded, prompt_embeds)
        states = [hidden_states]
        for index in range(len(self.transformer_blocks)):
            hidden_states, encoder_hidden_states = self.run_block(
                index, hidden_states, encoder_hidden_states, temb=temb, image_rotary_emb=image_rotary_emb
            )
            states.append(hidden_states)
        return states
