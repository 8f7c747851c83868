from email.message import Message

import pytest

from equipoise.studio.admission import MAX_BODY, find_body_fault, find_fault

PORT = 7717


def build(headers):
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return message


@pytest.mark.parametrize("host", ["127.0.0.1:7717", "localhost:7717"])
def test_the_own_pages_are_answered(host):
    assert find_fault(build({"Host": host}), PORT) is None
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert find_fault(build(own), PORT) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "evil.example"},
        {"Host": "evil.example:7717"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:80"},
        {"Host": "127.0.0.1:7717.evil.example"},
        {"Host": "localhost:7717", "Origin": "null"},
        {"host": "localhost:7717", "origin": "http://evil.example"},
        {"Host": "localhost:7717", "Origin": "http://evil.example"},
        {"Host": "localhost:7717", "Origin": "https://localhost:7717"},
        {"Host": "localhost:7717", "Origin": "http://localhost:7718"},
        {"Host": "localhost:7717", "Origin": "http://localhost:7717.evil.example"},
        {"Host": "localhost:7717", "Sec-Fetch-Site": "cross-site"},
        {"Host": "localhost:7717", "Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_other_hosts_and_pages_are_refused(headers):
    assert find_fault(build(headers), PORT) is not None


def test_two_hosts_or_origins_are_refused_whichever_comes_first():
    for name, values in (
        ("Host", ("localhost:7717", "evil.example")),
        ("Origin", ("http://localhost:7717", "http://evil.example")),
    ):
        for order in (values, values[::-1]):
            message = build({} if name == "Host" else {"Host": "localhost:7717"})
            for value in order:
                message.add_header(name, value)
            assert find_fault(message, PORT) is not None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain", "Content-Length": "2"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "2"}, 415),
        ({"Content-Length": "2"}, 415),
        ({"Content-Type": "application/json"}, 411),
        ({"Content-Type": "application/json", "Content-Length": "-1"}, 411),
        ({"Content-Type": "application/json", "Content-Length": "\u0661"}, 411),
        ({"Content-Type": "application/json", "Content-Length": str(MAX_BODY + 1)}, 413),
    ],
    ids=str,
)
def test_bodies_are_json_of_a_known_and_bounded_length(headers, status):
    assert find_body_fault(build(headers))[0] == status


def test_a_body_within_the_bounds_is_read():
    fine = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(MAX_BODY)}
    assert find_body_fault(build(fine)) is None
