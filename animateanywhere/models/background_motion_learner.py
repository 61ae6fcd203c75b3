"""Background Motion Learner (BML): LoRA on the attention of every main block (paper III-B, equation 2).

T(h + h_pose) + B(h + h_pose): a LoRA's W0 x + dW x, on the sum that the block receives.
"""

import torch
from peft import LoraConfig

ADAPTER = "background_motion_learner"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def add_background_motion_learner(transformer, rank: int = 64, alpha: int = 64) -> None:
    """Give every main block a LoRA on to_q, to_k, to_v, to_out.0 that changes nothing yet (B = 0)."""
    transformer.add_adapter(
        LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGETS, init_lora_weights=True), ADAPTER
    )


def has_background_motion_learner(transformer) -> bool:
    return ADAPTER in getattr(transformer, "peft_config", {})


def background_motion_parameters(transformer) -> list[torch.nn.Parameter]:
    """The LoRA's own parameters, in the model's order."""
    return [p for name, p in transformer.named_parameters() if f".{ADAPTER}." in name]


def background_motion_state_dict(transformer) -> dict[str, torch.Tensor]:
    """The LoRA's tensors by their names in the transformer."""
    return {name: t for name, t in transformer.state_dict().items() if f".{ADAPTER}." in name}
