"""POSTs to a webhook: with retries, without following a redirect to another host, and without telling its URL."""

import asyncio
import socket
from collections.abc import Mapping

import aiohttp
from yarl import URL

from podsupd.core.backoff import retry_delay
from podsupd.errors import WebhookFailed
from podsupd.model.spec import Webhook
from podsupd.probes.text import reason, seconds

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0
MAX_REDIRECTS = 3
AGAIN = frozenset({408, 425, 429})  # RFC 9110, 8470 and 6585: the same request may be taken later
SAME_METHOD = frozenset({307, 308})  # RFC 9110: the others make a GET of a POST


class _Refused(Exception):  # noqa: N818  inside this module: another try would end the same
    pass


class _Failed(Exception):  # noqa: N818  inside this module: another try may be taken
    pass


class WebhookClient:
    """Implements ports.WebhookPoster. Every call has a connection of its own; the proxy environment is ignored."""

    def __init__(self, user_agent: str) -> None:
        self._headers = {"User-Agent": user_agent}
        self._host = socket.gethostname()

    async def post(self, webhook: Webhook, body: Mapping[str, object]) -> str:
        """POST until a try is taken; see ports.WebhookPoster. ``host`` is added to the body."""
        tries = 0
        while True:
            tries += 1
            try:
                async with asyncio.timeout(webhook.timeout_s):
                    return await self._try(webhook, {**body, "host": self._host})
            except _Refused as error:
                raise WebhookFailed(str(error)) from error
            except TimeoutError:
                failure = f"no answer within {seconds(webhook.timeout_s)}"
            except _Failed as error:
                failure = str(error)
            if tries > webhook.retries:
                raise WebhookFailed(f"{failure} (tried {tries} times)" if tries > 1 else failure)
            await asyncio.sleep(retry_delay(tries, FIRST_RETRY_S, LAST_RETRY_S, webhook.url))

    async def _try(self, webhook: Webhook, body: Mapping[str, object]) -> str:
        url = URL(webhook.url)
        async with aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(), connector=aiohttp.TCPConnector(force_close=True)
        ) as session:
            for _ in range(MAX_REDIRECTS + 1):
                try:
                    async with session.post(url, json=body, allow_redirects=False) as response:
                        status, target = response.status, response.headers.get("Location", "")
                except (aiohttp.ClientError, OSError) as error:
                    raise _Failed(_words(error)) from error
                if status not in SAME_METHOD:
                    return _judge(status)
                url = _redirected(url, target)
        raise _Refused(f"more than {MAX_REDIRECTS} redirects")


def _judge(status: int) -> str:
    """Return the answer in words when the call was taken; raises _Failed or _Refused."""
    answer = f"HTTP {status}"
    if 200 <= status < 300:  # noqa: PLR2004  RFC 9110: successful
        return answer
    if status in AGAIN or status >= 500:  # noqa: PLR2004  RFC 9110: server error
        raise _Failed(answer)
    raise _Refused(answer)


def _redirected(url: URL, target: str) -> URL:
    """Return where a redirect leads; raises _Refused for another host, and out of TLS."""
    try:
        found = url.join(URL(target))
    except ValueError as error:
        raise _Refused("a redirect to what is no URL") from error
    if not target or found.host != url.host or found.scheme not in {"http", "https"}:
        raise _Refused(f"a redirect to another host ({found.host}) is not followed")
    if url.scheme == "https" and found.scheme == "http":
        raise _Refused("a redirect from https to http is not followed")
    return found


def _words(error: BaseException) -> str:
    """Say what went wrong without the URL, which aiohttp's own words may repeat."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return reason(error.os_error)
    if isinstance(error, aiohttp.InvalidURL):
        return "not a URL"
    return reason(error) if isinstance(error, OSError) else type(error).__name__
