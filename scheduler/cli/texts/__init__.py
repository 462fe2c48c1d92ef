"""Every text of the command line, in English and Chinese.

``text("zh", "jobs.none")`` gives the Chinese one. A test holds that each text is there in both
languages with the same placeholders, that each one used exists, and that each is used.
"""

from typing import Any, Final

from scheduler.cli.texts.alerts import TEXTS as ALERTS
from scheduler.cli.texts.budgets import TEXTS as BUDGETS
from scheduler.cli.texts.centers import TEXTS as CENTERS
from scheduler.cli.texts.charges import TEXTS as CHARGES
from scheduler.cli.texts.digests import TEXTS as DIGESTS
from scheduler.cli.texts.doctor import TEXTS as DOCTOR
from scheduler.cli.texts.doctor_centers import TEXTS as DOCTOR_CENTERS
from scheduler.cli.texts.doctor_files import TEXTS as DOCTOR_FILES
from scheduler.cli.texts.dry_runs import TEXTS as DRY_RUNS
from scheduler.cli.texts.facts import TEXTS as FACTS
from scheduler.cli.texts.faults import TEXTS as FAULTS
from scheduler.cli.texts.funds import TEXTS as FUNDS
from scheduler.cli.texts.quotes import TEXTS as QUOTES
from scheduler.cli.texts.reasons import TEXTS as REASONS
from scheduler.cli.texts.reconciling import TEXTS as RECONCILING
from scheduler.cli.texts.replicas import TEXTS as REPLICAS
from scheduler.cli.texts.screens import TEXTS as SCREENS
from scheduler.cli.texts.simulating import TEXTS as SIMULATING
from scheduler.cli.texts.statements import TEXTS as STATEMENTS
from scheduler.cli.texts.terms import TEXTS as TERMS

LANGUAGES: Final = ("en", "zh")
#: Key -> (English, Chinese).
CATALOG: Final[dict[str, tuple[str, str]]] = {
    **SCREENS,
    **ALERTS,
    **BUDGETS,
    **CENTERS,
    **CHARGES,
    **DIGESTS,
    **DOCTOR,
    **DOCTOR_CENTERS,
    **DOCTOR_FILES,
    **DRY_RUNS,
    **QUOTES,
    **REASONS,
    **FACTS,
    **FAULTS,
    **RECONCILING,
    **REPLICAS,
    **FUNDS,
    **SIMULATING,
    **STATEMENTS,
    **TERMS,
}


def text(lang: str, key: str, /, **values: Any) -> str:
    """Return a text with its placeholders filled."""
    return CATALOG[key][LANGUAGES.index(lang)].format(**values)
