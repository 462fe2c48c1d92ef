"""The end of a demonstration: API, store and centers held against each other, and shown."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from scheduler.demo import checks, collecting, report, scraping, tables
from scheduler.demo.checks import Check
from scheduler.demo.collecting import Said
from scheduler.demo.course import Course
from scheduler.demo.journals import Stay
from scheduler.demo.setup import Site
from scheduler.demo.texts import Texts
from scheduler.store import evidence


def _nothing_more(said: Said) -> list[Check]:
    return []


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Concludes one demonstration.

    ``stays`` reads what the centers wrote down of the store's runs, ``more`` makes the checks of
    this demonstration alone. Amounts and hours are shown with so many ``digits``.
    """

    console: Console
    texts: Texts
    site: Site
    stays: Callable[[Sequence[evidence.RunRow]], list[Stay]]
    more: Callable[[Said], list[Check]] = _nothing_more
    title: str = "by_center"
    digits: int = 0

    async def all_held(self, course: Course, names: Mapping[str, str]) -> bool:
        """Print tables by city (``names`` are for people) and checks; whether all of them held."""
        console, texts, site = self.console, self.texts, self.site
        said = await collecting.collect(course.client)
        scrape = await asyncio.to_thread(scraping.fetch, course.service.metrics)
        site.metrics.write_text(scrape, encoding="utf-8")
        rows = await asyncio.to_thread(evidence.read_file, site.database_url)
        stayed = await asyncio.to_thread(self.stays, rows.runs)
        held_units = checks.holdings(rows.runs, stayed)
        nominal = {key: limits.nominal for key, limits in said.limits.items()}
        uses = report.use_by_city(rows.runs, stayed, rows.transfers, held_units, nominal)
        jobs = report.jobs_by_city(said.ended, rows.runs)
        console.print(tables.jobs_table(texts, jobs, names, title=self.title))
        console.print(tables.use_table(texts, uses, names, digits=self.digits))
        self._print_events(course, scraping.read(scrape))
        driven = course.driver.driven
        found = [
            checks.no_run_doubled(stayed, rows.runs),
            self._ledger(said, rows, stayed),
            checks.quota_kept(held_units, said.limits, said.capacities),
            _with(checks.none_lost(driven.acknowledged, said.seen), driven.differing),
            *self.more(said),
            checks.nothing_went_wrong(site.log.read_text("utf-8", "replace").splitlines()),
        ]
        tables.print_checks(console, texts, found)
        return all(check.ok for check in found)

    def _ledger(self, said: Said, rows: evidence.Evidence, stayed: list[Stay]) -> Check:
        """The check of the ledger, with what the service's own verification found beside it."""
        prices = self.site.prices_ufen
        check = checks.ledger_holds(
            rows.transfers, rows.accounts, rows.open_holds, stayed, prices, said.charged
        )
        return _with(check, list(said.verified.problems))

    def _print_events(self, course: Course, scraped: scraping.Scraped) -> None:
        texts, tally, driven = self.texts, course.tally, course.driver.driven
        refused = ", ".join(f"{why} {count:,}" for why, count in sorted(scraped.refused.items()))
        failures = ", ".join(f"{why} {count:,}" for why, count in sorted(tally.failures.items()))
        self.console.print(
            texts(
                "events",
                failures=failures or texts("none"),
                retried=tally.kinds["REQUEUED"],
                unknown=tally.kinds["RUN_UNKNOWN"],
                calls=driven.calls,
                repeated=driven.repeated,
                cancelled=driven.cancelled,
                refused=refused or texts("none"),
            )
        )
        if driven.refused:
            why = next(iter(driven.refused.values()))
            self.console.print(texts("refused", count=len(driven.refused), why=why))


def print_places(console: Console, texts: Texts, site: Site) -> None:
    """Print where the files of a demonstration lie."""
    console.print(f"[bold]{texts('where')}")
    for key, place in site.places():
        console.print(f"  {texts(key)}: {place}", soft_wrap=True)


def _with(check: Check, more: list[str]) -> Check:
    return replace(check, problems=(*check.problems, *more))
