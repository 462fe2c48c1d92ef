"""What people order of the books, in the model: funds, vouchers, grants, wallets, statements."""

from dataclasses import dataclass, field

from quota.calendar import months_of, period_bounds, period_of
from tests.property.books_facts import CITY, RULE, Fund, PlainVoucher, Run, bearer
from tests.property.books_model import Books

CITY_OF_CENTER = {"ai": "", "sc": ""}


def source_of(account: str) -> str:
    """Where the money of a fund's account comes from."""
    return account.replace("fund:", "appropriation:", 1).replace("lapsed:", "appropriation:", 1)


@dataclass
class Ordered(Books):
    """The books, and what people order of them; each order answers "" or the name of an error."""

    closed: list[str] = field(default_factory=list)
    #: State of the last statement by (kind, owner, month).
    statements: dict[tuple[str, str, str], str] = field(default_factory=dict)

    # --- funds ------------------------------------------------------------------------------------

    def open_fund(self, programme: str, period: str) -> str:
        """Open a fund for a period that is not over."""
        found = self.funds.get((programme, period))
        if period_bounds(period)[1] <= self.now_ms or (found and found.state != "OPEN"):
            return "WrongState"
        if found is None:
            self.funds[programme, period] = fund = Fund(programme, period)
            fund.put = {account: 0 for _, account in fund.accounts}
            fund.reducing = {account: [] for _, account in fund.accounts}
        return ""

    def appropriate(self, programme: str, period: str, funder: str, fen: int) -> str:
        """Put a funder's money in."""
        fund = self.funds.get((programme, period))
        if fund is None:
            return "NotFound"
        if fund.state != "OPEN":
            return "WrongState"
        account = dict(fund.accounts)[funder]
        fund.put[account] += fen
        self.move(source_of(account), account, fen)
        self.eat()
        return ""

    def lower(self, programme: str, period: str, funder: str, fen: int, *, pending: bool) -> str:
        """Take a funder's money out, now or as it comes free."""
        fund = self.funds.get((programme, period))
        if fund is None:
            return "NotFound"
        account = dict(fund.accounts)[funder]
        free, bound = self.left(account), self.pending.get(account, 0)
        if account == fund.accounts[0][1]:
            mine = [f"voucher:{no}" for no in self._vouchers_of(fund)]
            bound += sum(self.left(one) + self.pending.get(one, 0) for one in mine)
        most = max(free, free + bound - sum(fund.reducing[account]))
        if fund.state != "OPEN" or fen > most or (fen > free and not pending):
            return "WrongState"
        fund.reducing[account].append(fen)
        self.eat()
        return ""

    def _vouchers_of(self, fund: Fund) -> list[str]:
        if fund.programme != "n":
            return []
        return [no for no, one in self.vouchers.items() if one.period == fund.period]

    def close(self, programme: str, period: str) -> str:
        """Let a fund close whose period is over."""
        fund = self.funds.get((programme, period))
        if fund is None:
            return "NotFound"
        if fund.state == "OPEN":
            if self.now_ms < fund.end_ms:
                return "WrongState"
            fund.state = "CLOSING"
            self._close(fund)
        return ""

    def _close(self, fund: Fund) -> None:
        """Close it unless something may still be used of it or come back to it."""
        grants = [f"grant:hours:{period}:{who}" for period, who in self.grants
                  if (fund.programme, fund.period) == ("hours", period)]  # fmt: skip
        accounts = [account for _, account in fund.accounts]
        held = any(self.pending.get(one, 0) for one in (*accounts, *grants))
        if held or not all(self.vouchers[no].drained for no in self._vouchers_of(fund)):
            return
        fund.state = "CLOSED"
        for account in accounts:
            self.move(account, account.replace("fund:", "lapsed:", 1), self.left(account))
            fund.reducing[account].clear()
        for account in grants:
            self.move(account, f"grant_pool:hours:{fund.period}", self.left(account))

    # --- vouchers, grants, wallets ----------------------------------------------------------------

    def issue(self, number: str, who: str, face: int, end_ms: int) -> str:
        """Issue a voucher out of this year's fund."""
        fund = self.funds.get(("n", str(self.year)))
        if fund is None:
            return "NotFound"
        if fund.state != "OPEN":
            return "WrongState"
        if CITY[who] != "wuhan" or who in self.blocked:
            return "InvalidRequest"
        account = fund.accounts[0][1]
        if face > (0 if fund.reducing[account] else self.left(account)):
            return "WrongState"
        if face > self.cap_left("n", who):
            return "QuotaExceeded"
        self.cap("n", who, self.year)[0] += face
        self.move(account, f"voucher:{number}", face)
        self.vouchers[number] = PlainVoucher(who, fund.period, face, end_ms, self.year)
        return ""

    def revoke(self, number: str) -> str:
        """End a voucher now."""
        one, account = self.vouchers[number], f"voucher:{number}"
        pending = self.pending.get(account, 0)
        used = one.face - one.returned - self.left(account) - pending
        if used == one.face or (one.state == "ISSUED" and not self.left(account) and not pending):
            return "WrongState"
        if one.state == "REVOKED":
            return ""
        if one.state != "ISSUED" or one.end_ms <= self.now_ms:
            return "WrongState"
        one.state, one.end_ms = "REVOKED", self.now_ms
        self._give_back(number)
        return ""

    def _give_back(self, number: str) -> None:
        """What an ended voucher has left goes back to its fund."""
        one, account = self.vouchers[number], f"voucher:{number}"
        left = self.left(account)
        if one.drained or (not left and self.pending.get(account, 0)):
            return
        fund = self.funds["n", one.period]
        home = fund.accounts[0][1]
        if fund.state == "CLOSED":
            home = home.replace("fund:", "lapsed:", 1)
        self.move(account, home, left)
        one.returned += left
        self.cap("n", one.enterprise, one.year)[0] -= left
        one.state = "EXPIRED" if one.state == "ISSUED" else one.state
        one.drained = not self.pending.get(account, 0)
        self.eat()

    def grant(self, period: str, who: str, unit_s: int) -> str:
        """Grant free unit-seconds."""
        fund = self.funds.get(("hours", period))
        if fund is None or CITY[who] != "wuhan":
            return "NotFound"
        if fund.state != "OPEN":
            return "WrongState"
        self.grants.add((period, who))
        self.move(f"grant_pool:hours:{period}", f"grant:hours:{period}:{who}", unit_s)
        return ""

    def pay_in(self, who: str, fen: int) -> str:
        """An enterprise pays in."""
        self.move("external", f"wallet:{who}", fen)
        return ""

    def set_credit(self, who: str, fen: int) -> str:
        """An operator sets how far it may go."""
        account = f"wallet:{who}"
        if fen < max(0, self.pending.get(account, 0) - self.net.get(account, 0)):
            return "WrongState"
        self.credit[who] = fen
        return ""

    # --- time -------------------------------------------------------------------------------------

    def keep(self) -> None:
        """What comes due by itself."""
        self.eat()
        for _, number in sorted((one.end_ms, number) for number, one in self.vouchers.items()):
            if self.vouchers[number].end_ms <= self.now_ms:
                self._give_back(number)
        for fund in self.funds.values():
            if fund.state == "CLOSING":
                self._close(fund)

    def close_month(self, month: str) -> str:
        """Close a month of the books."""
        end_ms = period_bounds(month)[1]
        if month in self.closed:
            return ""
        months = months_of(month[:4])
        earlier = [one for one in ("2026-12", *months) if "2026-12" <= one < month]
        if end_ms > self.now_ms or any(one not in self.closed for one in earlier):
            return "WrongState"
        if any(use_ms < end_ms for use_ms in self.differences):
            return "WrongState"
        self.closed.append(month)
        return ""

    # --- statements -------------------------------------------------------------------------------

    def state_month(self, kind: str, owner: str, month: str) -> str:
        """Make a statement."""
        if month not in self.closed:
            return "WrongState"
        state = self.statements.get((kind, owner, month), "")
        if state in ("ISSUED", "PAID"):
            return "AlreadyThere"
        self.statements[kind, owner, month] = "DRAFT"
        return ""

    def advance(self, place: tuple[str, str, str], to: str) -> str:
        """Issue, dispute or pay the last statement of a place."""
        state = self.statements[place]
        if state == to and to != "DISPUTED":
            return ""
        if state != ("DRAFT" if to == "ISSUED" else "ISSUED"):
            return "WrongState" if state != to else ""
        self.statements[place] = to
        if to == "PAID":
            self._pay(*place)
        return ""

    def parts(self, kind: str, owner: str, month: str) -> list[tuple[str, str, int]]:
        """(payer, payee, fen) of what a statement pays, in order."""
        return [
            (payer, payee, fen)
            for (at, payer, payee), fen in sorted(self.flows.items())
            if at == month
            and (fen or payer.startswith("receivable:"))
            and self._is_mine(kind, owner, payer, payee)
        ]

    def stated_due(self, kind: str, owner: str, month: str) -> int:
        """What a statement says is due: what its owner bears, or gets, but for what nobody pays."""
        due = sum(fen for _, _, fen in self.parts(kind, owner, month))
        offs = [(by, who, fen) for (at, by, who), fen in self.offs.items() if at == month]
        if kind == "CENTER":
            return due - sum(fen for by, _, fen in offs if by == f"write_off:{owner}")
        if kind == "ENTERPRISE":
            return due - sum(fen for _, who, fen in offs if who == owner)
        back = sum(
            fen
            for (at, payer, payee), fen in self.flows.items()
            if at == month and payer.startswith("receivable:") and self._gave(payee, owner)
        )
        return due - back + sum(fen for by, _, fen in offs if self._gave(by, owner))

    def _gave(self, account: str, city: str) -> bool:
        """Whether a fund's account, or what it forgoes, is of a city."""
        kind, _, rest = account.partition(":")
        return kind in ("fund", "lapsed", "forgone") and RULE[rest.split(":")[0]].city == city

    def _is_mine(self, kind: str, owner: str, payer: str, payee: str) -> bool:
        if kind == "CENTER":
            return payee == f"payable:{owner}"
        word, _, rest = payer.partition(":")
        if word in ("wallet", "receivable"):
            return kind == "ENTERPRISE" and rest == owner
        programme = "n" if word == "voucher" else rest.split(":")[0]
        return kind == "CITY" and RULE[programme].city == owner

    def home_of(self, account: str) -> str:
        """The appropriation behind a fund's, voucher's or lapsed account."""
        if account.startswith("voucher:"):
            return source_of(f"fund:n:{self.vouchers[account[8:]].period}")
        return source_of(account)

    def _pay(self, kind: str, owner: str, month: str) -> None:
        for payer, payee, fen in self.parts(kind, owner, month):
            if (month, payer, payee) in self.paid:
                continue
            self.paid.add((month, payer, payee))
            own = payer.startswith(("wallet:", "receivable:"))
            debit, credit = payee, "external" if own else self.home_of(payer)
            if payee.startswith(("fund:", "lapsed:", "voucher:")):
                debit, credit = self.home_of(payee), "external"
            for run in self.runs.values():
                if payer == f"receivable:{run.who}":
                    off = self._use(run, month, payee)
                    self.move(debit, bearer(payee), off)
                    fen -= off
            self.move(debit, credit, fen)
            owed = min(fen, max(0, -self.net.get(payer, 0))) if own else 0
            if owed > 0:
                self.move("external", payer, owed)

    def _use(self, run: Run, month: str, payee: str) -> int:
        """Use what was written off of a run for a part that is paid."""
        account = bearer(payee)
        left = run.off_left.get(account, 0)
        off = max(0, min(run.debts.get((month, payee), 0), left))
        if off:
            run.off_left[account] = left - off
        return off


def month_of(now_ms: int) -> str:
    """The month of the books of an instant."""
    return period_of(now_ms, 1)
