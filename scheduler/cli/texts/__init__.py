"""Every text of the command line, in English and Chinese.

``text("zh", "jobs.none")`` gives the Chinese one. A test holds that each text is there in both
languages with the same placeholders, that each one used exists, and that each is used.
"""

from typing import Any, Final

from scheduler.cli.texts import faults, reasons, screens

LANGUAGES: Final = ("en", "zh")
#: Key -> (English, Chinese).
CATALOG: Final[dict[str, tuple[str, str]]] = {
    **screens.TEXTS,
    **reasons.TEXTS,
    **faults.TEXTS,
}


def text(lang: str, key: str, /, **values: Any) -> str:
    """Return a text with its placeholders filled."""
    return CATALOG[key][LANGUAGES.index(lang)].format(**values)
