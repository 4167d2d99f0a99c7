"""Listing the keys of a bucket."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from holdfast.stores.nats_errors import refusal, status_of, unexpected
from holdfast.stores.nats_keys import decode
from holdfast.stores.nats_reads import marks_deletion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nats.aio.msg import Msg

    from holdfast.stores.nats_bucket import Bucket
    from holdfast.stores.nats_link import Link

__all__ = ["list_keys"]

_PAGE: Final = 2_000
_IDLE_NS: Final = 30 * 10**9
"""How long a consumer outlives a listing that was broken off."""

_DOING: Final = "listing keys"
_NONE_LEFT: Final = {"404", "408"}


async def list_keys(link: Link, bucket: Bucket, prefix: str) -> AsyncIterator[str]:
    """List the keys that exist and begin with a prefix, each once.

    A consumer sends the newest message of each subject without its value, page by page as they are asked for. The
    stream's own list of subjects would be quicker, and holds those whose newest message marks a deletion.
    """
    name = f"keys-{secrets.token_hex(8)}"
    pending = await _create_consumer(link, bucket, name)
    seen: set[str] = set()
    while pending:
        page = await _next_page(link, bucket, name, min(pending, _PAGE))
        pending = page[-1].metadata.num_pending if page else 0
        for message in page:
            key = decode(message.subject.removeprefix(bucket.prefix))
            # A document that is written meanwhile comes a second time.
            if key is not None and key.startswith(prefix) and key not in seen and not marks_deletion(message.headers):
                seen.add(key)
                yield key
    await link.call_api(f"CONSUMER.DELETE.{bucket.stream}.{name}", None, doing=_DOING)


async def _create_consumer(link: Link, bucket: Bucket, name: str) -> int:
    """Create a consumer that lasts no longer than it is used, and say how many messages it has to send."""
    config: dict[str, Any] = {
        "name": name,
        "deliver_policy": "last_per_subject",
        "filter_subject": f"{bucket.prefix}>",
        "headers_only": True,
        "ack_policy": "none",
        "replay_policy": "instant",
        "inactive_threshold": _IDLE_NS,
        "mem_storage": True,
        "num_replicas": 1,
    }
    request = {"stream_name": bucket.stream, "config": config}
    call = f"CONSUMER.CREATE.{bucket.stream}.{name}.{bucket.prefix}>"
    answer = await link.call_api(call, request, doing=_DOING)
    if "error" in answer:
        raise refusal(answer["error"], _DOING)
    return int(answer["num_pending"])


async def _next_page(link: Link, bucket: Bucket, name: str, size: int) -> list[Msg]:
    page = await link.ask_for_many(
        f"$JS.API.CONSUMER.MSG.NEXT.{bucket.stream}.{name}",
        b'{"batch":%d,"no_wait":true}' % size,
        is_last=_counter(size),
        doing=_DOING,
        consumer=name,
    )
    if status_of(page[-1]):
        end = page.pop()
        if status_of(end) not in _NONE_LEFT:
            raise unexpected(end, _DOING)
    return page


def _counter(size: int) -> Callable[[Msg], object]:
    """Make the test for the last message of a page: it is full, or a status says that there are no more."""
    left = iter(range(size - 1, -1, -1))
    return lambda message: status_of(message) or next(left) == 0
