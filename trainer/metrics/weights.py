"""Networks that others trained, for LPIPS, FID and FVD: their weights from a file or the Hub, never unpickled."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file

from animateanywhere.errors import InputError
from trainer.metrics.i3d import InceptionI3d
from trainer.metrics.inception import InceptionV3
from trainer.metrics.lpips import AlexNetFeatures, Lpips, LpipsHeads, Vgg16Features

WEIGHTS: dict[str, str] = {
    "vgg16": "torchvision's VGG16 trained on ImageNet (vgg16-397923af.pth), for lpips",
    "lpips_vgg": "LPIPS 0.1's linear heads for VGG16 (vgg.pth), for lpips",
    "alexnet": "torchvision's AlexNet trained on ImageNet (alexnet-owt-7be5be79.pth), for lpips_alex",
    "lpips_alex": "LPIPS 0.1's linear heads for AlexNet (alex.pth), for lpips_alex",
    "inception": "the Inception-v3 of 2015-12-05 as FID takes it (pt_inception-2015-12-05-6726825d.pth), for fid",
    "i3d": "I3D trained on Kinetics-400, as a state dict (i3d_pretrained_400.pt, not the TorchScript file), for fvd",
}
"""What can be given, and what it is."""


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks whose weights were given; None where they were not."""

    lpips_vgg: Lpips | None = None
    lpips_alex: Lpips | None = None
    inception: InceptionV3 | None = None
    i3d: InceptionI3d | None = None


def load_networks(sources: dict[str, str], device: torch.device | str = "cpu") -> Networks:
    """Networks from `{name of WEIGHTS: PATH or OWNER/REPO:FILE}`.

    Raises InputError on an unknown name, a file that is missing, damaged or holds code, and weights that do not fit.
    """
    unknown = sorted(set(sources) - set(WEIGHTS))
    if unknown:
        raise InputError(f"weights {unknown[0]!r}: expected NAME=PATH with a name of {', '.join(WEIGHTS)}")

    def lpips(backbone: type, name: str, heads: str) -> Lpips | None:
        if name not in sources or heads not in sources:
            return None
        features, linear = fitted(backbone(), sources[name]), fitted(LpipsHeads(backbone.CHANNELS), sources[heads])
        return Lpips(features, linear).to(device).eval().requires_grad_(False)

    def one(network: type, name: str):
        return fitted(network(), sources[name]).to(device).eval().requires_grad_(False) if name in sources else None

    return Networks(
        lpips_vgg=lpips(Vgg16Features, "vgg16", "lpips_vgg"),
        lpips_alex=lpips(AlexNetFeatures, "alexnet", "lpips_alex"),
        inception=one(InceptionV3, "inception"),
        i3d=one(InceptionI3d, "i3d"),
    )


def fitted(network: torch.nn.Module, source: str) -> torch.nn.Module:
    """`network` with the weights of `source`; what it has no place for, such as a classifier, is left out.

    Raises InputError if a tensor is missing or of another shape, or as `read_state_dict`.
    """
    state = read_state_dict(source)
    for name, wanted in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in state:
            raise InputError(f"{source} has no {name}: expected the weights of {type(network).__name__}")
        if state[name].shape != wanted.shape:
            raise InputError(
                f"{source}: {name} is {list(state[name].shape)}, {type(network).__name__} has {list(wanted.shape)}: "
                "give the weights it was made for"
            )
    network.load_state_dict(state, strict=False)
    return network


def read_state_dict(source: str) -> dict[str, torch.Tensor]:
    """Tensors by name from a safetensors file, or a torch file that holds tensors only.

    `source`: a path, or OWNER/REPO:FILE on the Hub, downloaded once. Raises InputError if it cannot be read so.
    """
    path = _on_disk(source)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights {source}: {error}; give another file") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"weights {source} are damaged or more than tensors (TorchScript, pickled objects): "
            "give a safetensors file or a plain state dict"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise InputError(f"weights {source} are not a state dict (tensors by name): give a file that is")
    return loaded


def _on_disk(source: str) -> Path:
    repository, colon, name = source.partition(":")
    if Path(source).is_file():
        return Path(source)
    if not colon or repository.count("/") != 1 or not name:
        raise InputError(f"weights {source} are missing: give a file, or OWNER/REPO:FILE on the Hub")
    try:
        return Path(hf_hub_download(repository, name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot download weights {source}: {reason}; give a file instead") from error
