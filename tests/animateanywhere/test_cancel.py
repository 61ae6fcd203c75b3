import threading

import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled


def test_cancel_reaches_another_thread():
    token, stopped = CancelToken(), threading.Event()

    def work():
        try:
            while not stopped.wait(0.001):
                token.raise_if_set()
        except Cancelled:
            stopped.set()

    worker = threading.Thread(target=work)
    worker.start()
    token.cancel()
    token.cancel()
    worker.join(timeout=5)
    assert stopped.is_set() and token.is_set


def test_nothing_happens_before():
    CancelToken().raise_if_set()
    assert not CancelToken().is_set
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        token.raise_if_set()
