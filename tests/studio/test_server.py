import json
import socket
import time
from http.client import HTTPConnection

import pytest

from equipoise.studio import server as server_module
from equipoise.studio.admission import MAX_BODY, RUN_PAGE_POLICY
from equipoise.studio.library import list_entries

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND")
TRAVERSALS = (
    "/../secret.html", "/static/../studio.js", "/static/%2e%2e/secret.html", "/static//etc/passwd",
    "/static/..%2f..%2fserver.py", "/run/../secret.html", "/run/one/report", "//etc/passwd",
    "/run/..%2fone/report", "/run/%00/report", "/static/base.html.j2", "/studio/templates/x",
    "/run/one/../../secret.html", "/\\..\\secret.html", "/static/studio.js/..", "/task/-1",
    "/task/1.0", "/task/%D9%A1", "/inspect/", "/nothing",
    "/task/../run",
)  # fmt: skip


def ask(server, method, path, *, body=None, headers=None):
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def post(server, path, fields):
    body = json.dumps(fields)
    status, _, content = ask(
        server, "POST", path, body=body, headers={"Content-Type": "application/json"}
    )
    return status, json.loads(content) if status == 200 else content


def finish(server, number):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        told = json.loads(ask(server, "GET", f"/task/{number}")[2])
        if told["state"] in ("finished", "failed", "cancelled"):
            return told
        time.sleep(0.01)
    raise AssertionError("the task did not end")


def test_pages_and_files_come_with_a_policy_that_forbids_everything_else(server):
    for path in ("/inspect", "/runs", "/static/studio.js", "/static/style.css"):
        status, headers, content = ask(server, "GET", path)
        assert status == 200
        assert content
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(server, "GET", "/")[1]["Location"] == "/inspect"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}], ids=str
)
def test_foreign_hosts_and_origins_are_refused_on_every_method(server, method, headers):
    assert ask(server, method, "/inspect", headers=headers)[0] == 403


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("GET", "POST")])
def test_other_methods_are_not_known(server, method):
    assert ask(server, method, "/inspect")[0] == 501


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out(server, path):
    status, _, content = ask(server, "GET", path)
    assert status in (400, 404)
    assert b"secret" not in content


def test_too_much_and_what_is_no_form_is_refused_before_it_is_read(server):
    head = {"Content-Type": "application/json"}
    large = head | {"Content-Length": str(MAX_BODY + 1)}
    assert ask(server, "POST", "/task/theory", headers=large)[0] == 413
    assert ask(server, "POST", "/task/theory", body="n=1")[0] == 415
    assert ask(server, "POST", "/task/theory", body="{", headers=head)[0] == 400
    assert ask(server, "POST", "/task/theory", body="[1]", headers=head)[0] == 400
    assert ask(server, "POST", "/task/nothing", body="{}", headers=head)[0] == 404


def test_a_slow_client_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(server_module, "PATIENCE", 0.5)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as slow:
        head = f"POST /task/theory HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        slow.sendall(
            f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        answer = slow.recv(1000)
    assert b"408" in answer.split(b"\r\n")[0]


def test_the_page_of_a_run_is_served_by_its_key_and_can_run_nothing(server, folder):
    key = next(e.key for e in list_entries(folder) if e.run.path.name == "one")
    (folder / "one" / "report.html").write_text("<script>changed by others</script>")
    status, headers, content = ask(server, "GET", f"/run/{key}/report")
    assert status == 200
    assert b"changed by others" in content
    assert headers["Content-Security-Policy"] == RUN_PAGE_POLICY
    (folder / "one" / "report.html").unlink()
    assert ask(server, "GET", f"/run/{key}/against")[0] == 404


def test_two_runs_are_compared_and_a_monitor_is_watched(server, folder):
    keys = {entry.run.path.name: entry.key for entry in list_entries(folder)}
    asked = {"earlier": keys["one"], "later": keys["two"]}
    status, started = post(server, "/task/compare", asked)
    assert status == 200
    told = finish(server, started["task"])
    assert told["state"] == "finished"
    assert f"/run/{keys['two']}/against" in told["html"]
    assert ask(server, "GET", f"/run/{keys['two']}/against")[0] == 200
    (folder / "two" / "against.html").unlink()
    told = finish(server, post(server, "/task/watch", {"run": keys["watched"]})[1]["task"])
    assert "no alarm up to step 100" in told["html"]
    told = finish(server, post(server, "/task/watch", {"run": keys["one"]})[1]["task"])
    assert "no monitor" in told["error"]


def test_a_task_can_be_cancelled(server):
    fields = {"n": 5, "p": 8, "sigma": 0.05, "copies": 1, "seed": 0}
    number = post(server, "/task/theory", fields)[1]["task"]
    assert post(server, f"/task/{number}/cancel", {})[0] == 200
    assert finish(server, number)["state"] == "cancelled"
    assert post(server, "/task/999/cancel", {})[0] == 404
