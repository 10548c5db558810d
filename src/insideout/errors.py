"""The one error a reader is meant to see: bad input, said in one clear sentence."""


class BadInput(ValueError):
    """Something handed to us cannot be used. The message says what, where, and what to do.

    The command line prints it and leaves with exit code 2; nothing has been overwritten.
    """


def first_line(error: BaseException) -> str:
    """An error's first line, without its full stop: another library's word within a sentence of ours."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).strip().rstrip(".:")
