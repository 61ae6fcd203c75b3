"""The two ways a run ends early that a person should read about in one line."""


class InputError(ValueError):
    """Bad input. The message is one line for a person: what came, what is expected, what to do."""


class Cancelled(Exception):
    """The person asked to stop; nothing is wrong."""
