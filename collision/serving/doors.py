"""Who may ask for what: no other site's page, no other host's name, nobody without the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VISITOR, TOKEN = "collision_visitor", "collision_token"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# Pages of runs come with scripts of their own, maybe from elsewhere: `sandbox` makes them
# strangers to us, so that they cannot ask us for anything.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, which no other reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass
class Doors:
    """Lets in what may come, and gives a visitor a cookie that tells him from others.

    Args:
        app: What is behind.
        token: That a visitor must show once; None: on the loopback, where only names of the
            loopback are answered (other sites can give their names its address).
    """

    app: ASGIApp
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cookies = _cookies(headers)
        shown = _token_in(scope)
        refusal = self._refusal(scope, headers, cookies, shown)
        visitor = cookies.get(VISITOR, "")
        new = not 16 <= len(visitor) <= 64
        scope["visitor"] = secrets.token_urlsafe(24) if new else visitor

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    own.setdefault(name, value)
                own.setdefault("content-security-policy", PAGE_POLICY)
                if scope["path"] == "/":  # a sandboxed page may not have it
                    own.setdefault("cross-origin-opener-policy", "same-origin")
                if not refusal and new and scope["path"] == "/":
                    own.append("set-cookie", _cookie(VISITOR, scope["visitor"]))
                if not refusal and shown and self.token:
                    own.append("set-cookie", _cookie(TOKEN, self.token))
            await send(message)

        answer = self.app if not refusal else PlainTextResponse(refusal, 403)
        await answer(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers, cookies: dict[str, str], shown: str) -> str:
        host = headers.get("host", "")
        if self.token is None and not is_loopback(_name(host)):
            return f"This page answers to localhost alone, not to {host[:100]!r}."
        if refusal := _cross_site(scope, headers, host):
            return refusal
        if self.token is None:
            return ""
        for given in (shown, cookies.get(TOKEN, "")):
            if given and hmac.compare_digest(given.encode(), self.token.encode()):
                return ""
        return "Open the address with the token that `collision serve` has printed."


def _cross_site(scope: Scope, headers: Headers, host: str) -> str:
    """Say why a request that another site's page may have made is refused."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    refusal = "Requests from other sites are refused."
    if origin is not None and urlsplit(origin).netloc != host:
        return refusal
    if scope["method"] not in ("GET", "HEAD"):
        # A form of another site cannot set a header of its own, whatever its browser leaves out.
        is_ours = headers.get("x-collision") == "1" and site in (None, "same-origin")
        return "" if is_ours else refusal
    if site in (None, "same-origin", "none"):
        return ""
    is_visit = headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"
    return "" if is_visit and headers.get("sec-fetch-dest") == "document" else refusal


def _token_in(scope: Scope) -> str:
    if scope["path"] != "/":
        return ""
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _cookie(name: str, value: str) -> str:
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict"
