"""A folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from animateanywhere.errors import InputError


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Gives a hidden neighbour of `output` to write into, which takes its name at the end and is deleted on an error.

    Raises InputError if `output` is there already (an empty folder may be), or cannot be written.
    """
    output = Path(output).absolute()
    try:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise InputError(f"{output} is there already: choose another --output, nothing is written over")
        draft = output.with_name(f".{output.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            os.replace(draft, output)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror or error}; choose another --output") from error
