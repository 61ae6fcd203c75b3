"""`python app.py`: the page in a browser."""

import argparse
import os
import sys
from pathlib import Path

from animateanywhere.errors import InputError
from ui.serving import serve


def parse_flags(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A person, a background and a pose become a video, in the browser.")
    parser.add_argument("--model", default="mini", help="'mini', a model folder, or a Hub id (default: mini)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument("--output-folder", type=Path, default=Path("outputs"), help="where clips go (default: outputs)")
    parser.add_argument("--share", action="store_true", help="also give the page a public address (default: off)")
    parser.add_argument(
        "--train",
        action=argparse.BooleanOptionalAction,
        help="the Train page, which uses the machine for hours (default: on, but off where strangers come: with --share, "
        "and on a Hugging Face Space)",
    )
    flags = parser.parse_args(argv)
    if flags.train is None:
        flags.train = not flags.share and "SPACE_ID" not in os.environ
    return flags


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 interrupted, 2 the output folder or the port cannot be used (one line)."""
    try:
        serve(parse_flags(argv))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
