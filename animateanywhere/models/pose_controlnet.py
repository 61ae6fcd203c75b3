"""PoseControlNet: pose latents to one feature per control block (paper III-B, "Human Pose Sequence Guidance")."""

import torch
from diffusers.configuration_utils import register_to_config
from torch import nn

from animateanywhere.models.control_branch import ControlBranch


class PoseControlNet(ControlBranch):
    """The base's first blocks over pose latents; a zero-initialised linear layer after each gives `h_pose`.

    Input are the pose latents twice, which fills the base's 2C channels, without noise and at t=0: the result does not
    depend on the denoising step and is computed once per video.
    """

    adapter_name = "pose_controlnet"

    @register_to_config
    def __init__(self, transformer_config: dict, num_layers: int = 18, kind: str = "copy", lora_rank: int = 64):
        super().__init__()
        self.build_branch(transformer_config, num_layers)
        dim = transformer_config["num_attention_heads"] * transformer_config["attention_head_dim"]
        self.zero_linears = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_layers))
        for linear in self.zero_linears:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, pose_latents, prompt_embeds, image_rotary_emb=None) -> list[torch.Tensor]:
        """`pose_latents [B, F, C, H, W]`, text `[B, S, text_dim]` -> `num_layers` features `[B, L, D]`, all zero at first.

        Feature l is added before main block l (equation 2).
        """
        doubled = torch.cat([pose_latents, pose_latents], dim=2)
        hidden_states, encoder_hidden_states, temb = self.embed(doubled, prompt_embeds)
        features = []
        for index, zero_linear in enumerate(self.zero_linears):
            hidden_states, encoder_hidden_states = self.run_block(
                index, hidden_states, encoder_hidden_states, temb=temb, image_rotary_emb=image_rotary_emb
            )
            features.append(zero_linear(hidden_states))
        return features
