"""Single lines on stderr."""

import sys


def complain(words: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(words + "\n")


def one_line(words: str) -> str:
    """Return a text without line breaks and control characters, which a terminal might obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())
