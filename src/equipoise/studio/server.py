"""The server: pages, tasks and the pages of runs, on 127.0.0.1 and nowhere else.

    GET  /TAB                 a page: inspect, steer, watch, theory, runs
    GET  /static/NAME         the style and the script
    POST /task/NAME           start a task with the fields of a form; answers {"task": NUMBER}
    GET  /task/NUMBER         how it stands
    POST /task/NUMBER/cancel  end it
    GET  /run/ID/PAGE         a page of a run, report or against; runs are named by a hash

Nothing is served by its path: static files are two known names, runs are found among those listed.
"""

import json
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.studio.admission import (
    HEADERS,
    JSON,
    PATIENCE,
    RUN_PAGE_POLICY,
    find_body_fault,
    find_fault,
)
from equipoise.studio.library import find_page
from equipoise.studio.page import TABS, render_page
from equipoise.studio.task import Tasks
from equipoise.studio.work import WORKS, Studio

STATIC = {"studio.css": "text/css", "studio.js": "text/javascript", "style.css": "text/css"}
HTML = "text/html"


class StudioServer(ThreadingHTTPServer):
    """An HTTP server that knows its runs and its tasks."""

    daemon_threads = True

    def __init__(self, port: int, studio: Studio) -> None:
        self.studio = studio
        self.tasks = Tasks()
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - inherited
        """Pass over what a browser causes by leaving; tell the rest as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def build_server(runs: Path, *, port: int = 0, device: str = "cpu") -> StudioServer:
    """Build the server of a studio; `serve_forever()` runs it.

    Args:
        runs: Folder with the runs to browse, and where vectors are kept.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        device: Where models compute.
    """
    return StudioServer(port, Studio(runs, device))


class Handler(BaseHTTPRequestHandler):
    """Answers one request; everything that is not known is refused."""

    server: StudioServer  # pyright: ignore[reportIncompatibleVariableOverride] - as documented
    server_version = "equipoise"
    sys_version = ""
    timeout = PATIENCE

    def handle_one_request(self) -> None:
        """Read one request, which has to arrive within `PATIENCE` seconds as a whole."""
        limit = threading.Timer(PATIENCE, self.connection.shutdown, (socket.SHUT_RD,))
        limit.daemon = True
        limit.start()
        try:
            super().handle_one_request()
        finally:
            limit.cancel()

    def parse_request(self) -> bool:
        """Refuse what other pages or hosts ask for, before the method is looked at."""
        if not super().parse_request():
            return False
        fault = find_fault(self.headers, self.server.server_port)
        if fault is not None:
            self._refuse(HTTPStatus.FORBIDDEN, fault)
        return fault is None

    def do_GET(self) -> None:
        """Give a page, a static file, the state of a task, or the page of a run."""
        match self.path.partition("?")[0].split("/")[1:]:
            case [""]:
                self._redirect("/inspect")
            case [tab] if tab in TABS:
                self._send(render_page(tab, self.server.studio).encode(), HTML)
            case ["static", name] if name in STATIC:
                self._send(read_static(name), STATIC[name])
            case ["task", number]:
                self._tell_task(number)
            case ["run", key, page]:
                self._send_run(key, page)
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        """Start or cancel a task."""
        fault = find_body_fault(self.headers)
        if fault is not None:
            self._refuse(HTTPStatus(fault[0]), fault[1])
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive")
            return
        match self.path.split("/")[1:]:
            case ["task", name] if name in WORKS:
                self._start(name, body)
            case ["task", number, "cancel"] if task := self._find_task(number):
                task.cancel()
                self._send_json({})
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "there is no such task")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401 - as inherited
        """Write no line a request."""

    def _start(self, name: str, body: bytes) -> None:
        try:
            fields = json.loads(body)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "the fields of a form are expected")
            return
        work = WORKS[name](self.server.studio, fields)
        self._send_json({"task": self.server.tasks.start(work)})

    def _find_task(self, number: str) -> Any:  # noqa: ANN401 - a Task or None
        known = number.isascii() and number.isdigit()
        return self.server.tasks.find(int(number)) if known else None

    def _tell_task(self, number: str) -> None:
        task = self._find_task(number)
        if task is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such task")
        else:
            self._send_json(task.describe())

    def _send_run(self, key: str, page: str) -> None:
        try:
            found = find_page(self.server.studio.runs, key, page)
        except EquipoiseError as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
            return
        self._send(found.read_bytes(), HTML, policy=RUN_PAGE_POLICY)

    def _send_json(self, document: dict[str, Any]) -> None:
        self._send(json.dumps(document).encode(), JSON)

    def _redirect(self, place: str) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # what else was sent is not read
        self._send(reason.encode(), "text/plain", status=status)

    def _send(
        self, content: bytes, kind: str, *, status: HTTPStatus = HTTPStatus.OK,
        policy: str | None = None,
    ) -> None:  # fmt: skip
        self.send_response(status)
        headers = {**HEADERS, **({"Content-Security-Policy": policy} if policy else {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def read_static(name: str) -> bytes:
    """Read the style of all pages, or a file of the studio."""
    room = "report" if name == "style.css" else "studio"
    return files(f"equipoise.{room}").joinpath("templates", name).read_bytes()
