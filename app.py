"""`python app.py`: the page in a browser."""

import argparse
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from animateanywhere.errors import InputError
from ui import build_app
from ui.model_shelf import needs_network
from ui.services import AppSettings, Services, local_environment, prepare_output_folder


def parse_flags(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A person, a background and a pose become a video, in the browser.")
    parser.add_argument("--model", default="mini", help="'mini', a model folder, or a Hub id (default: mini)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument("--output-folder", type=Path, default=Path("outputs"), help="where clips go (default: outputs)")
    parser.add_argument("--share", action="store_true", help="also give the page a public address (default: off)")
    return parser.parse_args(argv)


def serve(flags: argparse.Namespace, settings: AppSettings, temp_folder: Path) -> None:
    """Launch, then load the model while the page already answers; return when interrupted."""
    from ui.theme import CSS, create_theme

    services = Services.create(settings, temp_folder)
    page = build_app(services)
    options = services.launch_options() | {"share": flags.share, "theme": create_theme(), "css": CSS}
    page.launch(server_name=flags.host, server_port=flags.port, prevent_thread_lock=True, **options)
    services.shelf.start_loading()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    services.runner.close()
    page.close()


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 interrupted, 2 the output folder or the port cannot be used (one line)."""
    flags = parse_flags(argv)
    try:
        folder = prepare_output_folder(flags.output_folder)
        with tempfile.TemporaryDirectory(prefix=".temp-", dir=folder, ignore_cleanup_errors=True) as temp:
            os.environ.update(local_environment(Path(temp), offline=not needs_network(flags.model)))
            serve(flags, AppSettings(flags.model, folder), Path(temp))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
