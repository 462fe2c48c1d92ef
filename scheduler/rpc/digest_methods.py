"""SubsidyService, its signed daily digests."""

from corridor.v1 import digest_pb2 as pb

from quota.digests import BadDigest, parse
from scheduler.rpc.messages import (
    CallContext,
    page_key,
    page_size,
    page_token,
    split_page,
    timestamp,
)
from scheduler.services import digests
from scheduler.services.context import Context
from scheduler.store.digests import StoredDigest


class DigestMethods:
    """Mixed into the servicer of SubsidyService."""

    _context: Context

    async def ListLedgerDigests(
        self, request: pb.ListLedgerDigestsRequest, context: CallContext
    ) -> pb.ListLedgerDigestsResponse:
        size = page_size(request.page_size)
        before = page_key(request.page_token, str) or ("",)
        found = await digests.list_digests(self._context, size + 1, before[0])
        rows, more = split_page(found, size)
        return pb.ListLedgerDigestsResponse(
            digests=[_digest(one) for one in rows],
            next_page_token=page_token(rows[-1].day) if more else "",
        )

    async def GetLedgerDigest(
        self, request: pb.GetLedgerDigestRequest, context: CallContext
    ) -> pb.GetLedgerDigestResponse:
        found = await digests.get_digest(self._context, request.day)
        return pb.GetLedgerDigestResponse(
            digest=_digest(found),
            text=found.body.encode(),
            signature=found.signature,
            public_key_pem=found.public_pem,
        )

    async def VerifyLedgerHeads(
        self, request: pb.VerifyLedgerHeadsRequest, context: CallContext
    ) -> pb.VerifyLedgerHeadsResponse:
        heads = {one.shard: (one.sequence, one.hash) for one in request.heads}
        problems = await digests.check_heads(self._context, heads)
        return pb.VerifyLedgerHeadsResponse(problems=problems)


def _digest(one: StoredDigest) -> pb.LedgerDigest:
    try:
        heads = parse(one.body)
        counts = (heads.entries, len(heads.heads))
    except BadDigest:  # it was changed: verification says so, and whoever holds a copy sees it
        counts = (0, 0)
    return pb.LedgerDigest(
        day=one.day,
        made_time=timestamp(one.made_ms),
        entry_count=counts[0],
        shard_count=counts[1],
        sha256=one.sha256,
        key_id=one.key_id,
    )
