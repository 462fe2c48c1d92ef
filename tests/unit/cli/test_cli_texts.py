"""Texts of the command line: each in both languages, none missing, none unused."""

import importlib
import pkgutil
import re
import string
from collections import Counter
from pathlib import Path

import typer.main
from corridor.v1 import (
    budget_pb2,
    center_service_pb2,
    charge_pb2,
    identity_service_pb2,
    job_pb2,
    quota_service_pb2,
    reconciliation_pb2,
    statement_pb2,
    voucher_pb2,
)

from adapters.checking import Level, Topic
from quota.alerting import AlertKind
from quota.charges import Binding
from quota.rules import Why
from scheduler import doctor
from scheduler.cli import exits, texts
from scheduler.cli.commands import COMMANDS
from scheduler.cli.groups import Lazy, Stub, say_help
from scheduler.cli.main import app
from scheduler.cli.texts import CATALOG, LANGUAGES, text
from scheduler.cli.texts.help_zh import HELP
from scheduler.doctor import findings
from scheduler.doctor.checks import CHECKS
from scheduler.domain.approving import ChangeKind, ChangeState
from scheduler.domain.events import EventKind
from scheduler.domain.inventory import Standing

SOURCES = sorted(
    [*Path(exits.__file__).parent.glob("*.py"), *Path(doctor.__file__).parent.glob("*.py")]
)
#: Keys put together while running: prefix -> what may follow.
MADE = {
    "state.": {
        *(name.removeprefix("JOB_STATE_") for name, number in job_pb2.JobState.items() if number),
        *(name.removeprefix("RUN_STATE_") for name, number in job_pb2.RunState.items() if number),
        *(
            name.removeprefix("CENTER_STATE_")
            for name, number in center_service_pb2.CenterState.items()
            if number
        ),
        *("OPEN", "CLOSING", "CLOSED"),
    },
    "change.": {
        name.removeprefix("QUOTA_CHANGE_STATE_")
        for name, number in quota_service_pb2.QuotaChangeState.items()
        if number
    },
    "stop.": {
        name.removeprefix("STOP_STATE_")
        for name, number in quota_service_pb2.StopState.items()
        if number
    },
    "failure.": {
        name.removeprefix("FAILURE_CLASS_")
        for name, number in job_pb2.FailureClass.items()
        if number
    },
    "why.": {
        name.removeprefix("REASON_CODE_") for name, number in job_pb2.ReasonCode.items() if number
    },
    "advice.": {
        name.removeprefix("REASON_CODE_") for name, number in job_pb2.ReasonCode.items() if number
    },
    "short.": {
        name.removeprefix("REASON_CODE_") for name, number in job_pb2.ReasonCode.items() if number
    },
    "event.": {str(kind) for kind in EventKind if not str(kind).endswith("_CHANGED")},
    "role.": {
        name.removeprefix("ROLE_") for name, number in identity_service_pb2.Role.items() if number
    },
    "binding.": {str(binding) for binding in Binding},
    "refused.": {str(why) for why in Why},
    "node.": {"corridor", "cities", "enterprises", "centers", "jobs", "programmes", "funds"},
    "alert.": {str(kind) for kind in AlertKind},
    "difference.": {
        name.removeprefix("DIFFERENCE_KIND_")
        for name, number in reconciliation_pb2.DifferenceKind.items()
        if number
    },
    "correction.": {
        "USAGE",
        *(
            name.removeprefix("CORRECTION_CODE_")
            for name, number in charge_pb2.CorrectionCode.items()
            if number
        ),
    },
    "size.": {"MICRO", "SMALL", "MEDIUM", "LARGE"},
    "unit.": {"card", "core"},
    "found.": {*(str(level) for level in Level), *(str(level) for level in findings.Level)},
    "check.": {check.name for check in CHECKS},
    "standing.": {str(standing) for standing in Standing},
    "counted.": {"pending", "submitting", "accepted", "running", "unknown"},
    "topic.": {str(topic) for topic in Topic},
    "mode.": {
        name.removeprefix("BUDGET_MODE_")
        for name, number in budget_pb2.BudgetMode.items()
        if number
    },
    "voucher.": {
        name.removeprefix("VOUCHER_STATE_")
        for name, number in voucher_pb2.VoucherState.items()
        if number
    },
    "lent.": {
        name.removeprefix("LOAN_STATE_") for name, number in budget_pb2.LoanState.items() if number
    },
    "stated.": {
        name.removeprefix("STATEMENT_STATE_")
        for name, number in statement_pb2.StatementState.items()
        if number
    },
    "owner.": {
        name.removeprefix("STATEMENT_KIND_")
        for name, number in statement_pb2.StatementKind.items()
        if number
    },
    "asked.": {str(kind) for kind in ChangeKind},
    "decided.": {str(state) for state in ChangeState},
    "term.": {"PLANNED", "IN_FORCE", "ENDED"},
    "verb.": {"cancel", "hold", "release"},
    "changed.": {
        *("cancelled_count", "requested_count", "ended_count", "held_count"),
        *("released_count", "skipped_count"),
    },
    "time.": {"d", "h", "m", "s"},
}


def used_keys() -> set[str]:
    """Every text of a source that looks like a key of the catalog."""
    found = set()
    for path in SOURCES:
        found |= set(re.findall(r'"([a-z]+\.[A-Za-z_0-9]+)"', path.read_text(encoding="utf-8")))
    return found


def placeholders(words: str) -> set[str]:
    """Names to be filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


def test_each_text_is_there_in_both_languages_with_the_same_placeholders() -> None:
    for key, both in CATALOG.items():
        assert len(both) == len(LANGUAGES), key
        english, chinese = both
        assert bool(english) == bool(chinese) or key == "time.joint", key
        assert placeholders(english) == placeholders(chinese), key


def test_no_text_hides_another_of_the_same_key() -> None:
    """Each subject has its file; a key that stands in two of them would be told by chance."""
    keys = [
        key
        for module in pkgutil.iter_modules(texts.__path__, f"{texts.__name__}.")
        for key in getattr(importlib.import_module(module.name), "TEXTS", {})
    ]
    assert sorted(key for key, times in Counter(keys).items() if times > 1) == []
    assert set(keys) == set(CATALOG)


def test_chinese_texts_are_chinese() -> None:
    same = {key for key, (english, chinese) in CATALOG.items() if english == chinese and english}
    assert same == {"field.service", "profile.tls_ca"}


def test_each_text_that_is_used_exists_and_each_that_exists_is_used() -> None:
    prefixes = {key.partition(".")[0] for key in CATALOG}
    used = {key for key in used_keys() if key.partition(".")[0] in prefixes}
    made = {prefix + word for prefix, words in MADE.items() for word in words}
    reasons = {key for key in CATALOG if key.startswith("reason.") and key[7:].isupper()}
    assert sorted((used - MODULES) - set(CATALOG)) == []
    assert sorted(made - set(CATALOG)) == []
    assert sorted(set(CATALOG) - used - made - reasons) == []


#: Words with a dot in them that are no keys.
MODULES = {"time.time", "ledger.digest_dir", "ledger.key_file"}


def test_a_text_is_filled_in() -> None:
    assert text("en", "time.ago", span="2h") == "2h ago"
    assert text("zh", "time.ago", span="2小时") == "2小时前"


def helps(command: object, lang: str) -> dict[str, str]:
    """Help of a command, its options and the commands under it, by where each stands."""
    loaded = command.load() if isinstance(command, Stub) else command
    say_help(loaded, lang)
    found = {str(getattr(loaded, "name", "")): str(getattr(loaded, "help", "") or "")}
    for param in getattr(loaded, "params", ()):
        if getattr(param, "help", None):
            found[f"{getattr(loaded, 'name', '')} {param.name}"] = param.help
    for name, one in getattr(loaded, "commands", {}).items():
        if not isinstance(one, Stub):
            found |= {f"{name}: {key}": value for key, value in helps(one, lang).items()}
    return found


def test_help_of_the_clients_commands_is_there_in_chinese() -> None:
    root = typer.main.get_command(app)
    client = {"Jobs", "Quotas and money", "Centers and people"}
    names = [name for name, lazy in COMMANDS.items() if lazy.panel in client]
    missing = {}
    for name in [*names, "profile", "whoami"]:
        for where, words in helps(Stub(name, COMMANDS[name]), "zh").items():
            if not re.search(r"[\u4e00-\u9fff]", words) and words not in HELP.values():
                missing[where] = words
    for where, words in helps(root, "zh").items():
        if not re.search(r"[\u4e00-\u9fff]", words):
            missing[where] = words
    assert missing == {}


def test_lists_of_commands_say_what_the_commands_say() -> None:
    for name, lazy in COMMANDS.items():
        command = Stub(name, lazy).load()
        assert command.help.partition("\n")[0] == lazy.help, name
        assert lazy.help in HELP, name


def test_a_lazy_command_keeps_its_panel() -> None:
    lazy = Lazy("jobs_cmd", "Jobs", "List jobs, newest first.")
    assert Stub("jobs", lazy).rich_help_panel == Stub("jobs", lazy).load().rich_help_panel
