import os

import pytest

from animateanywhere.native_stderr import without_native_chatter


def say(line):
    os.write(2, line)


def test_chatter_is_dropped_and_errors_stay(capfd):
    with without_native_chatter():
        say(b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        say(b"W0000 00:00:1795340357.599020    7953 inference_feedback_manager.cc:114] words\n")
        say(b"E0000 00:00:1795340357.599020    7953 graph.cc:1] something failed\n")
        say(b"a plain line\n")
    say(b"after\n")
    assert capfd.readouterr().err == (
        "E0000 00:00:1795340357.599020    7953 graph.cc:1] something failed\na plain line\nafter\n"
    )


def test_errors_pass_through_and_the_terminal_returns(capfd):
    with pytest.raises(ValueError), without_native_chatter():
        say(b"E0000 why it failed\n")
        raise ValueError
    say(b"still here\n")
    assert capfd.readouterr().err == "E0000 why it failed\nstill here\n"


def test_nested_use(capfd):
    with without_native_chatter(), without_native_chatter():
        say(b"inner\n")
    assert capfd.readouterr().err == "inner\n"
