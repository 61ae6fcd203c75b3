"""From flags to a page that answers, until it is interrupted."""

import argparse
import os
import signal
import tempfile
import threading
from pathlib import Path

from ui import build_app
from ui.model_shelf import needs_network
from ui.services import AppSettings, Services, local_environment, prepare_output_folder


def serve(flags: argparse.Namespace) -> None:
    """Serve the page; return when interrupted. Raises InputError or OSError if the output folder or the port cannot be used."""
    settings = AppSettings(flags.model, prepare_output_folder(flags.output_folder), training=flags.train)
    with tempfile.TemporaryDirectory(prefix=".temp-", dir=settings.output_folder, ignore_cleanup_errors=True) as temp:
        os.environ.update(local_environment(Path(temp), offline=not needs_network(flags.model)))
        _serve(flags, Services.create(settings, Path(temp)))


def _serve(flags: argparse.Namespace, services: Services) -> None:
    """Launch, then load the model while the page already answers."""
    from ui.theme import CSS, create_theme

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
