"""How one thread asks another to stop."""

import threading

from animateanywhere.errors import Cancelled


class CancelToken:
    """Handed to a long function, which calls `raise_if_set` between its steps. Safe to share between threads."""

    def __init__(self):
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next step; may be called more than once."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def raise_if_set(self) -> None:
        """Raises Cancelled once `cancel` was called."""
        if self._event.is_set():
            raise Cancelled("stopped on request")
