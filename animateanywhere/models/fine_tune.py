"""Fine-tune: one more LoRA on the attention of a finished model, in the transformer and in both control branches.

It stands beside the adapters that are there already (the Background Motion Learner; a borrowed branch's own), in layers of
its own for each network: a borrowed branch shares the base's weights, not its fine-tune.
"""

import warnings

import torch
from peft import LoraConfig

from animateanywhere.models.background_motion_learner import TARGETS

ADAPTER = "fine_tune"
NETWORKS = ("transformer", "pose_controlnet", "reference_net")


def add_fine_tune(components, rank: int, alpha: int) -> None:
    """Give every block of all three networks a LoRA on to_q, to_k, to_v, to_out.0 that changes nothing yet (B = 0)."""
    for name in NETWORKS:
        network = getattr(components, name)
        others = list(getattr(network, "peft_config", {}))
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGETS, init_lora_weights=True)
        with warnings.catch_warnings():
            # PEFT warns of a second adapter in one network, which is the point here.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            network.add_adapter(config, ADAPTER)
        network.set_adapter([*others, ADAPTER])  # the newest alone would be active


def fine_tune_parameters(components) -> dict[str, torch.nn.Parameter]:
    """The adapter's own parameters; a name is the network's, a dot, and the parameter's name in the network."""
    found = {name: getattr(components, name).named_parameters() for name in NETWORKS}
    return {f"{name}.{key}": p for name, pairs in found.items() for key, p in pairs if f".{ADAPTER}." in key}


def fine_tune_state_dict(components) -> dict[str, torch.Tensor]:
    """The adapter's tensors, which share memory with its parameters, by the same names."""
    return {name: parameter.detach() for name, parameter in fine_tune_parameters(components).items()}
