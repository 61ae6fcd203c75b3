"""Weights of the small networks that the program carries in `assets`: one safetensors file each, in half precision."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from animateanywhere.errors import InputError

ASSETS = Path(__file__).resolve().parents[2] / "assets"


def save_small(path: Path, network: torch.nn.Module, words: dict[str, str]) -> None:
    """Write a network and words about it. Raises InputError if the file cannot be written."""
    tensors = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    try:
        save_file(tensors, path, words)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot write {path}: {error}; choose another folder") from error


def load_small(path: Path, words: dict[str, str], what: str, command: str) -> dict[str, torch.Tensor]:
    """float32 tensors of a file that says these words, among others.

    Raises InputError if it is missing, damaged, or of another version: it is `what`, and `command` makes one.
    """
    try:
        with safe_open(path, "pt") as opened:
            found = opened.metadata() or {}
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {what} {path}: {error}; train one: {command}") from error
    if not words.items() <= found.items() or not tensors:
        raise InputError(f"{path} is not a {what} of this version: {command} makes one")
    return {name: value.float() for name, value in tensors.items()}
