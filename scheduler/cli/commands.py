"""All commands, by name: which module has each, and what help says of it in a line.

The modules are imported when they are used, so that help is quick and a command works where the
packages of others are not installed.
"""

from collections.abc import Mapping
from typing import Final

from scheduler.cli.groups import Lazy

COMMANDS: Final[Mapping[str, Lazy]] = {
    name: Lazy(module, panel, words)
    for panel, commands in {
        "Jobs": (
            ("submit", "submit_cmd", "Submit the jobs of files and print their ids."),
            (
                "quote",
                "submit_cmd",
                "Show what jobs would cost at most, who would pay, and when they might start.",
            ),
            ("jobs", "jobs_cmd", "List jobs, newest first."),
            ("job", "jobs_cmd", "Show one job with its runs and its charge."),
            (
                "explain",
                "jobs_cmd",
                "Say why a job waits: whose limit binds, what changes it, when it may start, "
                "how it waited.",
            ),
            ("cancel", "change_cmd", "Cancel jobs by id, or all that a filter chooses."),
            ("hold", "change_cmd", "Hold queued jobs: they wait until they are released."),
            ("release", "change_cmd", "Release held jobs."),
            ("emergency", "change_cmd", "Let a waiting job go before all others; for operators."),
            (
                "watch",
                "watch_cmd",
                "Show events as they come, until interrupted; a lost connection is taken up again.",
            ),
            ("logs", "watch_cmd", "Print what a job wrote, as its center has it."),
        ),
        "Quotas and money": (
            ("quota", "quota_cmd", "Quotas of cities and enterprises."),
            ("budget", "budget_cmd", "Budgets: hours that may be used in a month or quarter."),
            ("loan", "loan_cmd", "Hours lent between cities."),
            ("programme", "programme_cmd", "Subsidy programmes."),
            (
                "approve",
                "approve_cmd",
                "Changes that need two persons: asked for by one, decided by another.",
            ),
            ("fund", "fund_cmd", "Funds of subsidy programmes."),
            ("voucher", "voucher_cmd", "Vouchers of enterprises, and free hours."),
            ("wallet", "wallet_cmd", "Wallets: enterprises' own money."),
            ("charge", "charge_cmd", "Charges of settled runs."),
            ("period", "period_cmd", "Months of the books and periods of funds."),
            ("reconcile", "reconcile_cmd", "Our records of use beside the centers' own."),
            (
                "statement",
                "statement_cmd",
                "Statements of closed months: made, issued, paid or disputed, and their files.",
            ),
            ("ledger", "money_cmd", "The subsidy ledger."),
        ),
        "Centers and people": (
            ("center", "center_cmd", "Compute centers."),
            ("city", "center_cmd", "Cities of the corridor."),
            ("enterprise", "identity_cmd", "Enterprises."),
            ("token", "identity_cmd", "Tokens by which callers are known."),
            ("audit", "audit_cmd", "List what people changed, newest first, and why."),
            (
                "replicas",
                "replicas_cmd",
                "List the services on this database: where each is, and which one leads.",
            ),
        ),
        "This machine": (
            ("profile", "profile_cmd", "Profiles: service, token, language."),
            ("whoami", "identity_cmd", "Say who the token belongs to, and which service answers."),
            (
                "version",
                "version_cmd",
                "Print the versions of Corridor, its API and what it runs on.",
            ),
        ),
        "Service": (
            (
                "demo",
                "demo_cmd",
                "Run the whole service on a three-day workload with two simulated centers.",
            ),
            ("serve", "serve_cmd", "Run the service: API, planner, control loop, metrics."),
            ("health", "health_cmd", "Ask a service whether it takes calls, without a token."),
            (
                "doctor",
                "doctor_cmd",
                "Look at what the service stands on, and say what to do about it; changes nothing.",
            ),
            (
                "agent",
                "agent_cmd",
                "Work near one center: the service reaches it without a port that is open to it.",
            ),
            (
                "init",
                "init_cmd",
                "Make the database, load the data files, print the first operator's token.",
            ),
            (
                "migrate",
                "migrate_cmd",
                "Bring the schema of the database to this version.",
            ),
            ("backup", "backup_cmd", "Copy the database into a folder, and verify the copy."),
            ("restore", "backup_cmd", "Make the database from a backup, and verify it."),
            (
                "config",
                "config_cmd",
                "Print the effective settings of the service and where each came from.",
            ),
        ),
        "Planning": (
            (
                "replay",
                "replay_cmd",
                "Replay a workload in virtual time and print its waits, use and fairness.",
            ),
        ),
    }.items()
    for name, module, words in commands
}
