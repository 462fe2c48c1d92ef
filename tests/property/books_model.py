"""A model of all the books: plain balances in memory that predict every reply of the store.

Money is in exactly one place. Accounts have the names that the ledger gives them; what is posted is
kept net. Each method does what the store should do, and returns what it should answer: the name of
an error, or "" (and figures, where the store gives some).
"""

from dataclasses import dataclass, field

from quota.calendar import natural_year, period_bounds, period_of
from tests.property import books_charges as charges
from tests.property.books_charges import Charge, Leg, Line, Purse
from tests.property.books_facts import (
    CREDIT,
    RULE,
    RULES,
    Fund,
    PlainVoucher,
    Run,
    bearer,
    own_rules,
)
from tests.simulation.world import PRICES


@dataclass
class Books:
    """All there is."""

    now_ms: int
    #: Credits less debits that are posted, and debits that are pending.
    net: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    credit: dict[str, int] = field(default_factory=lambda: dict(CREDIT))
    funds: dict[tuple[str, str], Fund] = field(default_factory=dict)
    vouchers: dict[str, PlainVoucher] = field(default_factory=dict)
    grants: set[tuple[str, str]] = field(default_factory=set)
    caps: dict[tuple[str, str, int], list[int]] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    #: What payers bore of what is due to payees, by the month of the booking.
    flows: dict[tuple[str, str, str], int] = field(default_factory=dict)
    paid: set[tuple[str, str, str]] = field(default_factory=set)
    #: What was written off, by month, who bears it and who owed it.
    offs: dict[tuple[str, str, str], int] = field(default_factory=dict)
    #: When the use was of which somebody has to say what is right.
    differences: list[int] = field(default_factory=list)

    # --- money ------------------------------------------------------------------------------------

    def move(self, debit: str, credit: str, amount: int) -> None:
        """Post an amount."""
        self.net[debit] = self.net.get(debit, 0) - amount
        self.net[credit] = self.net.get(credit, 0) + amount

    def hold(self, account: str, amount: int) -> None:
        """Reserve an amount; below 0 frees it."""
        self.pending[account] = self.pending.get(account, 0) + amount

    def left(self, account: str) -> int:
        """What an account can still give."""
        limit = self.credit[account[7:]] if account.startswith("wallet:") else 0
        return limit + self.net.get(account, 0) - self.pending.get(account, 0)

    def flow(self, run: Run, payer: str, payee: str, amount: int) -> None:
        """Post what a payer bears of what is due to a payee; below 0 gives it back."""
        if not amount:
            return
        self.move(payer, payee, amount)
        if payer.startswith("receivable:"):
            place = (period_of(self.now_ms, 1), payee)
            run.debts[place] = run.debts.get(place, 0) + amount
        if not payer.startswith("grant"):
            key = (period_of(self.now_ms, 1), payer, payee)
            self.flows[key] = self.flows.get(key, 0) + amount

    def cap(self, programme: str, enterprise: str, year: int) -> list[int]:
        """(pending, posted) of a year's counter."""
        return self.caps.setdefault((programme, enterprise, year), [0, 0])

    def cap_left(self, programme: str, enterprise: str) -> int:
        """What a year's counter leaves."""
        limit = RULE[programme].year_cap_fen
        return 1 << 40 if limit is None else limit - sum(self.cap(programme, enterprise, self.year))

    @property
    def year(self) -> int:
        """The natural year."""
        return natural_year(self.now_ms)

    def free(self, account: str) -> int:
        """What a fund's account, voucher or grant has left, but for what is to be taken out."""
        due = sum(sum(fund.reducing.get(account, [])) for fund in self.funds.values())
        return max(0, self.left(account) - due)

    def eat(self) -> None:
        """Reductions take what is free, the oldest first."""
        for fund in self.funds.values():
            for account, orders in fund.reducing.items():
                while orders and self.left(account) > 0:
                    part = min(orders[0], self.left(account))
                    orders[0] -= part
                    fund.put[account] -= part
                    self.move(account, account.replace("fund:", "appropriation:"), part)
                    if not orders[0]:
                        del orders[0]

    def stand_in(self, account: str) -> str:
        """Where money of a closed fund goes instead."""
        kind, _, rest = account.partition(":")
        closed = {key for key, fund in self.funds.items() if fund.state == "CLOSED"}
        if kind in ("fund", "grant") and tuple(rest.split(":")[:2]) in closed:
            programme, period = rest.split(":")[:2]
            return f"lapsed:{rest}" if kind == "fund" else f"grant_pool:{programme}:{period}"
        return account

    # --- runs -------------------------------------------------------------------------------------

    def purse(self, enterprise: str) -> Purse:
        """What programmes have for an enterprise now."""
        sources: dict[str, list[tuple[str, str]]] = {}
        for fund in self.funds.values():
            start_ms, end_ms = period_bounds(fund.period)
            if fund.state == "OPEN" and start_ms <= self.now_ms < end_ms:
                if RULE[fund.programme].unit == "UNIT_S":
                    if (fund.period, enterprise) in self.grants:
                        account = f"grant:{fund.programme}:{fund.period}:{enterprise}"
                        sources[fund.programme] = [("", account)]
                elif RULE[fund.programme].issue == "POOL":
                    sources[fund.programme] = fund.accounts
        valid = sorted(
            (one.end_ms, f"voucher:{number}")
            for number, one in self.vouchers.items()
            if one.enterprise == enterprise and one.state == "ISSUED" and one.end_ms > self.now_ms
        )
        sources["n"] = [("", account) for _, account in valid]
        room = {account: self.free(account) for mine in sources.values() for _, account in mine}
        caps = {rule.programme: self.cap_left(rule.programme, enterprise) for rule in RULES}
        return Purse(sources, room, caps)

    def admit(
        self, uid: int, who: str, flavor: str, units: int, limit_s: int, subsidy: str
    ) -> Charge | str:
        """Hold a run's charge; the reason if it cannot be paid."""
        if who in self.blocked:
            return "DEACTIVATED"
        rules = [] if subsidy == "NONE" else own_rules(who)
        found = charges.charge(
            rules, units * limit_s, PRICES[flavor], self.purse(who), settling=False
        )
        if found.first_paid > self.left(f"wallet:{who}"):
            return "WALLET_SHORT"
        run = Run(uid, who, flavor, units, limit_s, self.now_ms, [], rules, limit_s)
        self._hold(run, found)
        self.runs[uid] = run
        return found

    def _hold(self, run: Run, found: Charge) -> None:
        wallet = [Line("", f"wallet:{run.who}", found.first_paid)] if found.first_paid else []
        for line in (*found.lines, *wallet):
            rule = RULE.get(line.programme)
            money = rule is not None and rule.unit == "FEN"
            reserved = money and line.account.startswith("voucher:")
            year = self.vouchers[line.account[8:]].year if reserved else self.year
            leg = Leg(
                line.programme, line.account, self.due(run, line), line.amount,
                year if money else None, reserved,
            )  # fmt: skip
            run.legs.append(leg)
            self.hold(leg.account, leg.amount)
            if money and not reserved:
                self.cap(leg.programme, run.who, year)[0] += leg.amount

    def due(self, run: Run, line: Line) -> str:
        """To whom what a line gives is due."""
        rule = RULE.get(line.programme)
        kind, _, rest = line.account.partition(":")
        if kind in ("grant", "grant_pool"):
            return "consumed:" + ":".join(rest.split(":")[:2])
        if rule is not None and rule.mode == "REIMBURSE":
            return f"claim:{run.who}:" + ":".join(rest.split(":")[:2])
        return f"payable:{run.center}"

    def grow(self, after_s: int, more_s: int) -> tuple[list[int], list[int]]:
        """Top up what runs beyond its hold; returns (topped, unpaid)."""
        topped, unpaid = [], []
        for run in sorted(self.runs.values(), key=lambda one: one.uid):
            gone_s = (self.now_ms - run.start_ms) // 1000
            if run.state != "RUNNING" or gone_s < max(run.held_s, run.limit_s) + after_s:
                continue
            seconds = gone_s - run.held_s + more_s
            found = charges.charge(
                run.rules,
                run.units * seconds,
                PRICES[run.flavor],
                self.purse(run.who),
                settling=True,
            )
            if run.who in self.blocked or found.first_paid > self.left(f"wallet:{run.who}"):
                unpaid.append(run.uid)
                continue
            self._hold(run, found)
            run.held_s += seconds
            run.revs += 1
            topped.append(run.uid)
        return topped, unpaid

    def beyond(self, run: Run) -> Purse:
        """What there is beside a run's legs: of funds that are open, and of caps."""
        open_ = {key for key, fund in self.funds.items() if fund.state == "OPEN"}
        room = {}
        for leg in run.legs:
            if leg.programme:
                voucher = self.vouchers.get(leg.account[8:])
                place = leg.account.split(":")
                key = ("n", voucher.period) if voucher else (place[1], place[2])
                room[leg.account] = self.free(leg.account) if key in open_ else 0
        names = {leg.programme for leg in run.legs if leg.programme}
        return Purse({}, room, {name: max(0, self.cap_left_of(run, name)) for name in names})

    def cap_left_of(self, run: Run, programme: str) -> int:
        """What the counter of the year of a run's use leaves."""
        limit, year = RULE[programme].year_cap_fen, natural_year(run.start_ms)
        return 1 << 40 if limit is None else limit - sum(self.cap(programme, run.who, year))

    def settle(self, run: Run, seconds: int) -> None:
        """Post what was used, free the rest."""
        used, price = run.units * seconds, PRICES[run.flavor]
        lines, wallet, debt, gross = list[Line](), 0, 0, 0
        posted = [0] * len(run.legs)
        if run.billed:
            bill = charges.settle(run.legs, run.rules, used, price, Purse({}, {}), 0)
            if bill.debt:
                own = max(0, self.left(f"wallet:{run.who}"))
                bill = charges.settle(run.legs, run.rules, used, price, self.beyond(run), own)
            lines, debt, gross, posted = (
                bill.charge.lines,
                bill.debt,
                bill.charge.gross,
                bill.posted,
            )
            wallet = bill.more
        for leg, part in zip(run.legs, posted, strict=True):
            self.hold(leg.account, -leg.amount)
            if leg.year is not None and not leg.reserved:
                self.cap(leg.programme, run.who, leg.year)[0] -= leg.amount
            if not leg.programme:
                wallet += part
            elif part < leg.amount:
                self._came_back(leg.account)
        run.state = "SETTLED"
        self.revise(run, gross, lines, wallet, debt)

    def revise(self, run: Run, gross: int, lines: list[Line], wallet: int, debt: int) -> None:
        """Let a run's charge come to this from now on, whatever it was."""
        changed: dict[tuple[str, str], int] = {}
        for sign, found, own, owed in (
            (-1, run.lines, run.wallet, run.debt),
            (1, lines, wallet, debt),
        ):
            payable = f"payable:{run.center}"
            pays = [(one.account, self.due(run, one), one.amount) for one in found]
            pays += [(f"wallet:{run.who}", payable, own), (f"receivable:{run.who}", payable, owed)]
            for payer, payee, amount in pays:
                changed[payer, payee] = changed.get((payer, payee), 0) + sign * amount
            for one in found:
                self._count(run, one, sign * one.amount)
        for (payer, payee), amount in changed.items():
            self.flow(run, self.stand_in(payer), payee, amount)
            if amount and run.revision:
                self._came_back(payer)
        run.gross, run.lines, run.wallet, run.debt = gross, lines, wallet, debt
        run.revision += 1
        self.eat()

    def _count(self, run: Run, line: Line, amount: int) -> None:
        """Count what a line gives in the year of the use, or of the issue of its voucher."""
        if RULE[line.programme].unit != "FEN":
            return
        voucher = self.vouchers.get(line.account[8:]) if line.account[:8] == "voucher:" else None
        year = voucher.year if voucher else natural_year(run.start_ms)
        counter = self.cap(line.programme, run.who, year)
        counter[0] -= amount if voucher else 0
        counter[1] += amount

    def _came_back(self, account: str) -> None:
        if account.startswith("voucher:"):
            self.vouchers[account[8:]].drained = False

    def meter_again(self, run: Run, seconds: int) -> str:
        """Use that is stated after the settlement: the whole charge is made out anew."""
        if run.decided or run.written_off or run.clawed:
            self.differences.append(run.start_ms + seconds * 1000)
            return "DIFFERENCE"
        if not run.billed:
            self.revise(run, 0, [], 0, 0)
            return ""
        legs, gave = [], {one.account: one.amount for one in run.lines}
        own = run.wallet
        for leg in run.legs:
            held = gave.pop(leg.account, 0) if leg.programme else own
            own = own if leg.programme else 0
            legs.append(Leg(leg.programme, leg.account, leg.credit, held, leg.year, leg.reserved))
        if own:
            legs.append(Leg("", f"wallet:{run.who}", "", own))
        bill = charges.settle(
            legs, run.rules, run.units * seconds, PRICES[run.flavor], self.beyond(run),
            max(0, self.left(f"wallet:{run.who}")),
        )  # fmt: skip
        paid = sum(part for leg, part in zip(legs, bill.posted, strict=True) if not leg.programme)
        self.revise(run, bill.charge.gross, bill.charge.lines, paid + bill.more, bill.debt)
        return ""

    def correct(self, run: Run, gross: int) -> str:
        """A person lowers a charge."""
        if not run.written_off <= gross < run.gross:
            return "InvalidRequest"
        if run.clawed:
            return "WrongState"
        money = [one for one in run.lines if not one.account.startswith("grant:")]
        borne = [(one.amount, self.due(run, one).startswith("claim:")) for one in money]
        now, wallet, debt = charges.lowered(
            borne, run.wallet, run.debt - run.written_off, gross - run.written_off
        )
        lines = [one for one in run.lines if one.account.startswith("grant:")]
        lines += [
            Line(one.programme, one.account, fen)
            for one, fen in zip(money, now, strict=True)
            if fen
        ]
        run.decided = True
        self.revise(run, gross, lines, wallet, debt + run.written_off)
        return ""

    def owed(self, run: Run) -> dict[str, int]:
        """What is owed for a run and was not paid, by who would bear it: first its center."""
        center, due = f"write_off:{run.center}", dict[str, int]()
        for (month, payee), fen in run.debts.items():
            paid = (month, f"receivable:{run.who}", payee) in self.paid
            due[bearer(payee)] = due.get(bearer(payee), 0) + (0 if paid else fen)
        most, found = run.debt + sum(run.clawed.values()) - run.written_off, dict[str, int]()
        for account in sorted(due, key=lambda one: (one != center, one)):
            fen = min(due[account] - run.off_left.get(account, 0), most)
            if account == center:
                fen = min(fen, run.debt - run.off.get(center, 0))
            found[account] = max(0, fen)
            most -= found[account]
        return found

    def write_off(self, run: Run, amount: int) -> str:
        """A debt is given up."""
        owed = self.owed(run)
        if not 0 < amount <= sum(owed.values()):
            return "InvalidRequest"
        for account, fen in owed.items():
            part = min(fen, amount)
            amount -= part
            run.off[account] = run.off.get(account, 0) + part
            run.off_left[account] = run.off_left.get(account, 0) + part
            place = (period_of(self.now_ms, 1), account, run.who)
            self.offs[place] = self.offs.get(place, 0) + part
            self.move(account, f"receivable:{run.who}", part)
        return ""

    def claw_back(self, run: Run, programme: str, amount: int) -> str:
        """A subsidy is taken back, and its enterprise blocked."""
        left = {
            one.account: one.amount - run.clawed.get(one.account, 0)
            for one in run.lines
            if one.programme == programme and RULE[programme].unit == "FEN"
        }
        if not 0 < amount <= sum(left.values()):
            return "InvalidRequest"
        for account, fen in left.items():
            part = min(fen, amount)
            amount -= part
            if part:
                run.clawed[account] = run.clawed.get(account, 0) + part
                voucher = self.vouchers.get(account[8:])
                fund = account if voucher is None else f"fund:n:{voucher.period}"
                self.flow(run, f"receivable:{run.who}", self.stand_in(fund), part)
        self.blocked.add(run.who)
        self.eat()
        return ""
