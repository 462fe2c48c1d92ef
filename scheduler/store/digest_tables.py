"""The table of the ledger's signed daily digests; see ``tables`` and ``quota.digests``."""

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel

from scheduler.store.tables import _big as big


class LedgerDigest(SQLModel, table=True):
    """The digest of all chains after a day ended in Shanghai, as it was signed; insert-only."""

    __tablename__ = "ledger_digest"
    day: str = Field(primary_key=True)
    made_ms: int = big()
    body: str
    sha256: str
    key_id: str
    public_pem: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)
