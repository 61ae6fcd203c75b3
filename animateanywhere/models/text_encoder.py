"""The full-size text encoder, which is in memory only while there are words to read."""

import hashlib
import logging
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import T5EncoderModel

from animateanywhere.errors import InputError

EMBEDDINGS = "prompt_embeds"

log = logging.getLogger(__name__)


class OnDemandTextEncoder(nn.Module):
    """Called like a `T5EncoderModel`; loads it from `folder` for words that it has not read yet, then lets it go.

    CogVideoX's T5 takes 9.5 GB in bfloat16 and reads at most two short texts per video. What it said of
    `always_kept` token rows (the empty prompt, which guidance asks for in every run) is also kept as a file in
    `cache`, so a video without a prompt never loads it.
    """

    def __init__(self, folder: Path, dtype: torch.dtype, cache: Path, always_kept: torch.Tensor):
        super().__init__()
        self._folder, self._cache = folder, cache
        self._fingerprint = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.iterdir())]
        self._always_kept = {_key(row) for row in always_kept}
        self._known: dict[tuple[int, ...], torch.Tensor] = {}
        self.register_buffer("_place", torch.empty(0, dtype=dtype), persistent=False)

    @property
    def device(self) -> torch.device:
        return self._place.device

    @property
    def dtype(self) -> torch.dtype:
        return self._place.dtype

    @torch.no_grad()
    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor]:
        """Token numbers `[B, S]` -> a tuple of one, embeddings `[B, S, text_dim]`. Raises InputError if it cannot be loaded."""
        rows = [_key(row) for row in input_ids]
        for row in set(rows) & self._always_kept - self._known.keys():
            self._recall(row)
        unknown = sorted(set(rows) - self._known.keys())
        if unknown:
            self._encode(unknown)
        return (torch.stack([self._known[row] for row in rows]).to(self.device, self.dtype),)

    def _encode(self, rows: list[tuple[int, ...]]) -> None:
        encoder = self._load()
        for row in rows:
            self._known[row] = encoder(torch.tensor([row], device=self.device))[0][0].cpu()
            if row in self._always_kept:
                self._keep(row)
        del encoder
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self) -> T5EncoderModel:
        try:
            encoder = T5EncoderModel.from_pretrained(self._folder, dtype=self.dtype, use_safetensors=True)
        except (OSError, SafetensorError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{self._folder} is missing or damaged ({reason}): fetch the base model again") from error
        return encoder.to(self.device).eval()

    def _recall(self, row: tuple[int, ...]) -> None:
        """Read the row's embeddings if a whole file of them is there; else they are made anew."""
        try:
            self._known[row] = load_file(self._file(row))[EMBEDDINGS]
        except (FileNotFoundError, SafetensorError, KeyError):
            log.info("no stored embeddings of the empty prompt in %s", self._cache)

    def _keep(self, row: tuple[int, ...]) -> None:
        file = self._file(row)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            save_file({EMBEDDINGS: self._known[row].contiguous()}, draft)
            os.replace(draft, file)
        except (OSError, SafetensorError) as error:
            log.warning("%s cannot be written (%s): the text encoder is loaded in every run", self._cache, error)

    def _file(self, row: tuple[int, ...]) -> Path:
        digest = hashlib.sha256(f"{self.dtype} {self._fingerprint} {row}".encode()).hexdigest()[:16]
        return self._cache / f"{digest}.safetensors"


def _key(row: torch.Tensor) -> tuple[int, ...]:
    return tuple(row.tolist())
