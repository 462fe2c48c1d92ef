"""Files of programmes and of versions of their rules.

    apiVersion: corridor/v1
    kind: RuleVersion            # or Programme, with city, name, document_ref and sample
    programme: ezhou-voucher
    effective_from: 2027-01-01   # midnight in Shanghai; left out: from the approval on
    rule:
      rate_bp: 2500
      tiers:
        - {rate_bp: 5000, startup: true}
      year_cap_fen: 60000000
      funders:
        - {funder: ezhou, share_bp: 5000}
        - {funder: hubei, share_bp: 5000}

A file says the whole rule: what it leaves out has its default. ``schema`` is its JSON Schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corridor.v1 import rule_pb2 as pb

from scheduler.cli.flaws import BadFile, Flaw
from scheduler.cli.kinds import Field, Flag, ListOf, Notes, OneOf, Record, Text, Whole
from scheduler.cli.moments import Moment
from scheduler.cli.nodes import read_documents
from scheduler.problem import Problem

API_VERSION: Final = "corridor/v1"
VERSION: Final = "RuleVersion"
PROGRAMME: Final = "Programme"
_BP: Final = Whole(0, 10_000)
_FEN: Final = Whole(0, 10**15)
_NAMES: Final = ListOf(Text(256, 1), most=1_000)
_WORD: Final = Text(256)
_TIER: Final = Record(
    {
        "rate_bp": Field(_BP, "Rate in hundredths of a percent.", mandatory=True),
        "startup": Field(Flag(), "Only start-ups."),
        "size_classes": Field(_NAMES, "Only enterprises of these sizes."),
        "sectors": Field(_NAMES, "Only enterprises of these sectors."),
        "domestic": Field(Flag(), "Only hardware of domestic make."),
        "project_list": Field(_WORD, "Only jobs of a project on this published list."),
    },
    {"rate": "rate_bp", "startup_only": "startup", "size_class": "size_classes"},
)
_FUNDER: Final = Record(
    {
        "funder": Field(Text(256, 1), "A city's code, or the name of another.", mandatory=True),
        "share_bp": Field(_BP, "Its share; all add up to 10000.", mandatory=True),
    },
    {"name": "funder", "share": "share_bp"},
)
RULE: Final = Record(
    {
        "rate_bp": Field(_BP, "Rate in hundredths of a percent.", mandatory=True),
        "tiers": Field(ListOf(_TIER, most=1_000), "Rates for some; the highest that fits holds."),
        "priority": Field(Whole(-(10**6), 10**6), "Programmes give in this order."),
        "exclusive_group": Field(_WORD, "Of the programmes of one group only one gives."),
        "base": Field(OneOf(("GROSS", "REMAINING")), "Of what the rate is taken."),
        "flavors": Field(_NAMES, "Flavors it pays for."),
        "size_classes": Field(_NAMES, "Sizes of enterprises that it supports."),
        "sectors": Field(_NAMES, "Sectors that it supports."),
        "startup_only": Field(Flag(), "Only start-ups."),
        "domestic_only": Field(Flag(), "Only hardware of domestic make."),
        "project_list": Field(_WORD, "Only jobs of a project on this published list."),
        "job_cap_fen": Field(_FEN, "The most it gives a job."),
        "year_cap_fen": Field(_FEN, "The most it gives an enterprise in a natural year."),
        "minimum_fen": Field(_FEN, "Less than so much is nothing."),
        "ceiling_bp": Field(Whole(1, 10_000), "The most that all programmes up to it give."),
        "mode": Field(OneOf(("DEDUCT", "REIMBURSE")), "Taken off the bill, or paid back later."),
        "issue": Field(OneOf(("POOL", "VOUCHER")), "From the fund, or from vouchers."),
        "unit": Field(OneOf(("FEN", "UNIT_S")), "Money, or free unit-seconds of a grant."),
        "funders": Field(ListOf(_FUNDER, most=1_000), "Who pays which share."),
        "contract_once": Field(
            OneOf(("PROGRAMME", "JOB")), "A contract is subsidized by one programme, or one job."
        ),
        "support_years": Field(Whole(1, 100), "How many natural years an enterprise is supported."),
        "validity_months": Field(Whole(1, 1_200), "For how many months a voucher is valid."),
        "cap_on": Field(OneOf(("USE", "ISSUE")), "When the cap of a year is counted."),
        "boundary": Field(OneOf(("SPLIT", "BY_START")), "From which period's fund a run is paid."),
        "related_parties": Field(Flag(), "Whether enterprises related to the center get it too."),
    },
    {
        "rate": "rate_bp", "enterprise_year_cap_fen": "year_cap_fen", "year_cap": "year_cap_fen",
        "job_cap": "job_cap_fen", "minimum": "minimum_fen", "ceiling": "ceiling_bp",
        "startup": "startup_only", "domestic": "domestic_only",
    },
)  # fmt: skip
_COMMON: Final = {
    "programme": Field(Text(63, 1), "The programme.", mandatory=True),
    "document_ref": Field(_WORD, "The document it follows."),
    "effective_from": Field(Moment(), "In force from then on; left out: from its approval on."),
    "effective_to": Field(Moment(), "In force until then, not included; left out: no end."),
    "rule": Field(RULE, "The whole rule.", mandatory=True),
}
_HINTS: Final = {
    "api_version": "apiVersion", "effective_time": "effective_from", "end_time": "effective_to",
    "display_name": "name", "document": "document_ref",
}  # fmt: skip
FILES: Final = {
    kind: Record(
        {
            "apiVersion": Field(OneOf((API_VERSION,)), "Version of this form.", mandatory=True),
            "kind": Field(OneOf((kind,)), "What the file says.", mandatory=True),
            **fields,
            **_COMMON,
        },
        _HINTS,
    )
    for kind, fields in {
        VERSION: {},
        PROGRAMME: {
            "city": Field(Text(256, 1), "Its city, or corridor.", mandatory=True),
            "name": Field(Text(256, 1), "Name for people.", mandatory=True),
            "sample": Field(Flag(), "A sample that is no city's policy."),
        },
    }.items()
}
#: Fields of requests that files call otherwise.
_FILE_NAMES: Final = {
    "effective_time": "effective_from", "end_time": "effective_to", "display_name": "name",
}  # fmt: skip


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a file of a kind."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **FILES[kind].schema()}


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a file says, and the line of every field by its path."""

    file: str
    values: Mapping[str, Any]
    places: Mapping[str, int]

    @property
    def rule(self) -> pb.SubsidyRule:
        """The rule as a message."""
        said = dict(self.values["rule"])
        tiers = [pb.RuleTier(**one) for one in said.pop("tiers", ())]
        funders = [pb.RuleFunder(**one) for one in said.pop("funders", ())]
        return pb.SubsidyRule(**said, tiers=tiers, funders=funders)

    def raise_refusal(self, problem: Problem) -> None:
        """Raise ``BadFile`` where the service names fields of the file, with their lines."""
        flaws = []
        for one in problem.violations:
            name, dot, rest = one.field.partition(".")
            path = _FILE_NAMES.get(name, name) + dot + rest
            line = self._line(path)
            if line:
                words = {"words": one.description}
                flaws.append(Flaw(self.file, line, path, "field.service", words))
        if flaws and len(flaws) == len(problem.violations):
            raise BadFile(flaws)

    def _line(self, path: str) -> int:
        """Return the line of a field, or of what it would stand in; 0 for neither."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get(path, 0)


def read(path: Path, kind: str) -> RuleFile:
    """Return what a file of a kind says; raises ``BadFile`` with all its flaws."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        values = {"why": error.strerror or str(error)}
        raise BadFile([Flaw(file, 0, "", "file.unreadable", values)]) from error
    except UnicodeDecodeError as error:
        raise BadFile([Flaw(file, 0, "", "file.not_utf8", {})]) from error
    documents = read_documents(text, file)
    if len(documents) != 1:
        raise BadFile([Flaw(file, 1, "", "file.one_document", {})])
    notes = Notes(file)
    values = FILES[kind].read(documents[0], "", notes)
    if notes.flaws:
        raise BadFile(notes.flaws)
    return RuleFile(file, values, notes.places)
