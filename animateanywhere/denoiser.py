"""Transformer and control branches as one function of noisy latents: the joint that the pipeline and the trainer share."""

from dataclasses import dataclass

import torch

from animateanywhere.conditioning import Conditions
from animateanywhere.models.pose_controlnet import PoseControlNet
from animateanywhere.models.reference_net import ReferenceNet
from animateanywhere.models.transformer import (
    AnimateAnywhereTransformer3DModel,
    AttentionLoss,
    ReferenceKeyValue,
    rotary_embedding,
)


@dataclass(frozen=True)
class ControlFeatures:
    """What the branches say about one video; the same at every denoising step."""

    pose_features: list[torch.Tensor] | None  # per control block [B, L, D]
    reference_key_values: list[ReferenceKeyValue] | None


@dataclass(frozen=True)
class Denoiser:
    """The three networks together."""

    transformer: AnimateAnywhereTransformer3DModel
    pose_controlnet: PoseControlNet
    reference_net: ReferenceNet

    def rotary(self, latents_shape, first_frame=0, device=None):
        """RoPE tables for latents `[B, F, C, h, w]`; None for a base with learned or sine positions."""
        config = self.transformer.config
        if not config.use_rotary_positional_embeddings:
            return None
        _, frames, _, height, width = latents_shape
        p, p_t = config.patch_size, config.patch_size_t or 1
        token_shape = (frames // p_t, height // p, width // p)
        return rotary_embedding(config.attention_head_dim, token_shape, first_frame, device)

    def control_features(self, conditions: Conditions) -> ControlFeatures:
        """Run each branch once. A dropped condition's branch is not run."""
        text, pose, reference = conditions.prompt_embeds, conditions.pose_latents, conditions.reference_latents
        pose_features = key_values = None
        if pose is not None:
            pose_features = self.pose_controlnet(pose, text, self.rotary(pose.shape, 0, pose.device))
        if reference is not None:
            rotary = self.rotary(reference.shape, -1, reference.device)
            key_values = self.transformer.reference_key_values(self.reference_net(reference, text, rotary), rotary)
        return ControlFeatures(pose_features, key_values)

    def velocity(self, noisy_latents, timestep, conditions: Conditions, features: ControlFeatures) -> torch.Tensor:
        """Predicted velocity `[B, F, C, h, w]` for `noisy_latents` of that shape at `timestep [B]`."""
        return self._run(noisy_latents, timestep, conditions, features)

    def velocity_and_attention_loss(
        self, noisy_latents, timestep, conditions: Conditions, features: ControlFeatures, attention_loss: AttentionLoss
    ) -> tuple[torch.Tensor, list]:
        """The velocity, and `attention_loss`'s value in each of its layers, from one run of the transformer."""
        return self._run(noisy_latents, timestep, conditions, features, attention_loss=attention_loss)

    def _run(self, noisy_latents, timestep, conditions, features, **extra):
        return self.transformer(
            torch.cat([noisy_latents, conditions.background_latents], dim=2),
            conditions.prompt_embeds,
            timestep,
            image_rotary_emb=self.rotary(noisy_latents.shape, 0, noisy_latents.device),
            pose_features=features.pose_features,
            reference_key_values=features.reference_key_values,
            **extra,
        )
