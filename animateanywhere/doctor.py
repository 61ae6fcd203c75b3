"""What this machine has and what works on it."""

import importlib.metadata
import json
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from animateanywhere.errors import InputError
from animateanywhere.model_folder import EMBEDDED_MODEL, read_info

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "gradio",
    "mediapipe",
    "rtmlib",
    "opencv-python",
    "moviepy",
    "accelerate",
    "huggingface-hub",
)


@dataclass(frozen=True)
class Finding:
    """One fact; `ok` False means that something a person needs is missing."""

    name: str
    value: str
    ok: bool = True


def examine() -> list[Finding]:
    """Look at Python, packages, processor, GPU, memory, disk, the bundled ffmpeg and the embedded model."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    findings = [
        Finding("python", platform.python_version()),
        Finding("processor", f"{os.cpu_count()} cores, {memory_gb:.1f} GB memory", memory_gb >= 3 or not memory_gb),
        _gpu(),
        Finding("free disk here", f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GB"),
    ]
    return findings + [_package(name) for name in PACKAGES] + [_ffmpeg(), _embedded_model()]


def _gpu() -> Finding:
    if not torch.cuda.is_available():
        return Finding("gpu", "none that torch can use: mini runs on the processor, 5B models do not")
    free, total = torch.cuda.mem_get_info()
    return Finding("gpu", f"{torch.cuda.get_device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GB free")


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing: pip install -r requirements.txt", ok=False)


def _ffmpeg() -> Finding:
    import imageio_ffmpeg

    try:
        return Finding("ffmpeg", f"{imageio_ffmpeg.get_ffmpeg_version()} (bundled)")
    except (RuntimeError, OSError) as error:
        return Finding("ffmpeg", f"missing: {error}", ok=False)


def _embedded_model() -> Finding:
    try:
        info = read_info(EMBEDDED_MODEL)
    except InputError as error:
        return Finding("model mini", str(error), ok=False)
    model = info.model
    return Finding("model mini", f"{model.width}x{model.height}, {model.num_frames} frames; {model.trained_on}")


def report_lines(findings: list[Finding]) -> list[str]:
    """One aligned line per finding."""
    width = max(len(f.name) for f in findings)
    return [f"{'ok ' if f.ok else 'BAD'} {f.name:<{width}}  {f.value}" for f in findings]


def report_json(findings: list[Finding]) -> str:
    return json.dumps([asdict(f) for f in findings], indent=2)
