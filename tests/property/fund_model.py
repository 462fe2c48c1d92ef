"""A small model of one fund and its vouchers: plain numbers, no ledger, no database."""

from dataclasses import dataclass, field


@dataclass
class PlainVoucher:
    """A voucher: face = held + used + returned + left."""

    face: int
    end_ms: int
    left: int
    held: int = 0
    used: int = 0
    returned: int = 0
    revoked: bool = False

    @property
    def drained(self) -> bool:
        """Whether it can never give anything back any more."""
        return not self.left and not self.held


@dataclass
class PlainFund:
    """A fund of a period that ends at ``end_ms``; ``cap`` bounds what is issued to an enterprise.

    Money is in exactly one place: free, held, in a voucher, spent, or lapsed.
    """

    put_in: int
    end_ms: int
    cap: int
    free: int = 0
    spent: int = 0
    lapsed: int = 0
    state: str = "OPEN"
    #: What is left of each order to lower it, the oldest first.
    reducing: list[int] = field(default_factory=list)
    #: What each leg holds, and of which voucher ("" for the fund itself).
    legs: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: What each settled leg posted.
    posted: dict[str, tuple[str, int]] = field(default_factory=dict)
    vouchers: dict[str, PlainVoucher] = field(default_factory=dict)
    now_ms: int = 0

    def __post_init__(self) -> None:
        self.free = self.put_in

    @property
    def held(self) -> int:
        """What is held of the fund itself."""
        return sum(fen for voucher, fen in self.legs.values() if not voucher)

    @property
    def bound(self) -> int:
        """What may still come free: all that is held, and what vouchers can give."""
        return sum(fen for _, fen in self.legs.values()) + sum(
            one.left for one in self.vouchers.values()
        )

    def counted(self) -> int:
        """What counts against the cap of the one enterprise: faces less what went back."""
        return sum(one.face - one.returned for one in self.vouchers.values())

    def add(self, fen: int) -> bool:
        """Put money in."""
        if self.state != "OPEN":
            return False
        self.put_in += fen
        self.free += fen
        self._eat()
        return True

    def lower(self, fen: int, *, pending: bool) -> bool:
        """Order a reduction; what is free is taken at once."""
        most = max(self.free, self.free + self.bound - sum(self.reducing))
        if self.state != "OPEN" or fen > most or (fen > self.free and not pending):
            return False
        self.reducing.append(fen)
        self._eat()
        return True

    def _eat(self) -> None:
        """Reductions take what is free, the oldest first."""
        while self.free and self.reducing:
            part = min(self.free, self.reducing[0])
            self.free -= part
            self.put_in -= part
            self.reducing[0] -= part
            if not self.reducing[0]:
                del self.reducing[0]

    def issue(self, number: str, face: int, end_ms: int) -> bool:
        """Issue a voucher."""
        free = 0 if self.reducing else self.free
        if self.state != "OPEN" or face > free or self.counted() + face > self.cap:
            return False
        self.free -= face
        self.vouchers[number] = PlainVoucher(face, end_ms, face)
        return True

    def available(self, voucher: str) -> int:
        """What can be held now of the fund or a voucher."""
        if not voucher:
            return self.free if self.state == "OPEN" else 0
        one = self.vouchers[voucher]
        return one.left if one.end_ms > self.now_ms else 0

    def hold(self, leg: str, voucher: str, fen: int) -> None:
        """Hold what is available."""
        self.legs[leg] = (voucher, fen)
        if voucher:
            self.vouchers[voucher].left -= fen
            self.vouchers[voucher].held += fen
        else:
            self.free -= fen

    def settle(self, leg: str, posted: int) -> None:
        """Spend a part of a leg, free the rest."""
        voucher, fen = self.legs.pop(leg)
        self.posted[leg] = (voucher, posted)
        if voucher:
            one = self.vouchers[voucher]
            one.held -= fen
            one.used += posted
            one.left += fen - posted
        else:
            self.spent += posted
            self.free += fen - posted
            self._eat()

    def correct(self, leg: str, fen: int) -> None:
        """Take back a part of what a leg posted."""
        voucher, posted = self.posted[leg]
        self.posted[leg] = (voucher, posted - fen)
        if voucher:
            self.vouchers[voucher].used -= fen
            self.vouchers[voucher].left += fen
        else:
            self.spent -= fen
            self.free += fen
            self._eat()

    def revoke(self, number: str) -> None:
        """End a voucher now."""
        one = self.vouchers[number]
        one.revoked, one.end_ms = True, min(one.end_ms, self.now_ms)
        self._give_back(one)

    def _give_back(self, one: PlainVoucher) -> None:
        one.returned += one.left
        if self.state == "CLOSED":
            self.lapsed += one.left
        else:
            self.free += one.left
        one.left = 0
        if self.state != "CLOSED":
            self._eat()

    def close(self) -> bool:
        """Let it close."""
        if self.state == "OPEN":
            if self.now_ms < self.end_ms:
                return False
            self.state = "CLOSING"
        return True

    def keep(self) -> None:
        """What comes due by itself: ended vouchers give back, and it closes if nothing is left."""
        for one in sorted(self.vouchers.values(), key=lambda one: one.end_ms):
            if one.end_ms <= self.now_ms:
                self._give_back(one)
        over = all(one.end_ms <= self.now_ms and one.drained for one in self.vouchers.values())
        if self.state == "CLOSING" and over and not self.held:
            self.state = "CLOSED"
            self.lapsed += self.free
            self.free = 0
            self.reducing.clear()
