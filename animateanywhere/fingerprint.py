"""A short mark of the weights in a model folder, made without reading them whole."""

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path

from animateanywhere.errors import InputError

PIECES = 16
PIECE_BYTES = 4096


def weights_fingerprint(folder: Path, parts: Iterable[str]) -> str:
    """16 hex digits of the safetensors files below `folder`'s subfolders `parts`.

    They follow from every tensor's name, type and shape and from up to 16 pieces of 4 KiB spread over it: two trainings
    differ in them, and the 10 GB of a large model are told apart in a second. A few changed bytes elsewhere go unseen: it
    is no checksum. Raises InputError if a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(path for part in set(parts) for path in (folder / part).rglob("*.safetensors")):
        digest.update(path.relative_to(folder).as_posix().encode())
        try:
            _add_file(digest, path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error, MemoryError) as error:
            raise InputError(f"{path} is damaged ({error}): fetch or train the model again") from error
    return digest.hexdigest()[:16]


def _add_file(digest, path: Path) -> None:
    """The format: eight bytes with the header's length, the header in json, then the tensors."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:
            raise ValueError("its header is cut off")
        header = json.loads(file.read(length))
        for name, tensor in sorted(header.items()):
            if name == "__metadata__":
                continue
            digest.update(repr((name, tensor["dtype"], tensor["shape"])).encode())
            begin, end = tensor["data_offsets"]
            for start in _piece_starts(end - begin):
                file.seek(8 + length + begin + start)
                digest.update(file.read(min(PIECE_BYTES, end - begin - start)))


def _piece_starts(size: int) -> list[int]:
    """Offsets of the pieces of a tensor of `size` bytes: all of it if it is small, else its ends and places between."""
    if size <= PIECES * PIECE_BYTES:
        return list(range(0, size, PIECE_BYTES))
    return [k * (size - PIECE_BYTES) // (PIECES - 1) for k in range(PIECES)]
