"""Who may ask the server of `rsi view`, and what: the one who was given the token, by reading, from this machine.

A page of another site that the same browser shows can send requests to loopback too. It knows no token; its cookies
are not sent along (SameSite); a name of its own that it points here (DNS rebinding) is not a Host that is answered;
and it may neither frame what it gets nor read it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_TOKEN = 200


class Gate:
    """Lets through what may pass, and gives every answer the headers that keep it where it is."""

    def __init__(self, app: ASGIApp, token: str, port: int, policy: str) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"rsi-view-{port}"
        """Browsers tell hosts apart in cookies, not ports."""
        self._headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, self._guarded(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse("This address is not the one that `rsi view` printed; open that one.\n", 400)
        if scope["method"] not in {"GET", "HEAD"}:
            return PlainTextResponse("Nothing can be changed here.\n", 405, {"allow": "GET, HEAD"})
        given = parse_qs(scope["query_string"][:2000].decode("latin-1")).get("token", [""])[0]
        if self._is_token(given):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return answer
        if not self._is_token(self._of_cookie(headers)):
            return PlainTextResponse("Open the address that `rsi view` printed: it holds the token.\n", 403)
        return None

    def _of_cookie(self, headers: Mapping[str, str]) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")[:8000]).get(self._cookie)
        except CookieError:
            return ""
        return found.value if found is not None else ""

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given[:LONGEST_TOKEN].encode("utf-8", "replace"), self._token.encode())

    def _guarded(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in self._headers.items()]
                own = {name.encode() for name in self._headers}
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in own]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        return guarded
