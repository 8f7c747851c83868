"""Which requests are answered: those of the studio's own pages, and nothing else.

A server on the loopback interface can be reached by every page that a browser on this machine has
open. So every request, whatever its method, must name this host and port (which defeats DNS
rebinding), and must not come from another origin (which defeats forged requests). What is posted
is JSON of a bounded size, sent at a bounded pace.
"""

from collections.abc import Mapping
from email.message import Message

MAX_BODY = 24 * 1024 * 1024  # bytes: pictures come in base64
PATIENCE = 20  # seconds within which a request has to arrive as a whole
HOSTS = ("127.0.0.1", "localhost")
JSON = "application/json"

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every answer."""

RUN_PAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""For the page of a run, which is a file that others may have changed: it can run nothing."""


def find_fault(headers: Message, port: int) -> str | None:
    """Say why a request is refused by its headers; None where it is not."""
    own = {f"{host}:{port}" for host in HOSTS}
    hosts = headers.get_all("Host", [])
    if len(hosts) != 1 or hosts[0] not in own:
        return "this host is not served"
    origins = headers.get_all("Origin", [])
    sites = headers.get_all("Sec-Fetch-Site", [])
    foreign = [one for one in origins if one not in {f"http://{name}" for name in own}]
    if foreign or set(sites) - {"same-origin", "none"}:
        return "requests of other pages are not served"
    return None


def find_body_fault(headers: Message) -> tuple[int, str] | None:
    """Say why what is posted is refused, with the HTTP status; None where it is not."""
    if headers.get("Content-Type", "").partition(";")[0].strip() != JSON:
        return 415, "JSON is expected"
    length = headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        return 411, "the length of the body is needed"
    if int(length) > MAX_BODY:
        return 413, f"more than {MAX_BODY // 2**20} MiB"
    return None
