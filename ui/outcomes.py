"""How a call ended, in words for a person. The one place where an unexpected error becomes a sentence."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from animateanywhere.errors import Cancelled, InputError


@dataclass(frozen=True)
class Outcome:
    """`result` is what the call returned if it is done; `message` is one line for a person otherwise."""

    state: Literal["done", "failed", "stopped"]
    message: str = ""
    result: object | None = None


def attempt(work: Callable[[], object], log_file: Path) -> Outcome:
    """Call `work` and say how it ended; never raises for an Exception.

    Bad input and a stop are told in their own words. Anything else is an error of this program: its traceback is
    appended to `log_file`, and the person reads where that lies.
    """
    try:
        return Outcome("done", result=work())
    except Cancelled:
        return Outcome("stopped", "Stopped. Nothing was written.")
    except InputError as error:
        return Outcome("failed", str(error))
    except Exception:  # noqa: BLE001 - whatever it is, worker and page must outlive it and show no traceback
        return Outcome("failed", _record(traceback.format_exc(), log_file))


def _record(trace: str, log_file: Path) -> str:
    try:
        with log_file.open("a", encoding="utf-8") as log:
            log.write(f"\n{datetime.now().isoformat(timespec='seconds')}\n{trace}")
    except OSError as error:
        print(trace)
        return f"internal error; its details could not be written to {log_file} ({error.strerror}): see the terminal"
    return f"internal error, see {log_file}"
