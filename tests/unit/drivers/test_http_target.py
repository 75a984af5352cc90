from __future__ import annotations

import pytest

from holdfast.server.drivers.http import CallFailure, Target


@pytest.mark.parametrize(
    ("url", "origin", "path", "host"),
    [
        ("http://localhost:3000/x?fnId=a", "http://localhost:3000", b"/x?fnId=a", b"localhost:3000"),
        ("http://example.com", "http://example.com:80", b"/", b"example.com"),
        ("HTTPS://Example.COM:443/x#frag", "https://example.com:443", b"/x", b"example.com"),
        ("https://example.com:8443?a=b", "https://example.com:8443", b"/?a=b", b"example.com:8443"),
        ("http://[::1]:3000/", "http://::1:3000", b"/", b"[::1]:3000"),
        ("http://[2001:db8::1]/", "http://2001:db8::1:80", b"/", b"[2001:db8::1]"),
        ("http://mü.example/ü ä?ß", "http://xn--m-eha.example:80", b"/%C3%BC%20%C3%A4?%C3%9F", b"xn--m-eha.example"),
        ("http://h/a%20b%2Fc?x=%26", "http://h:80", b"/a%20b%2Fc?x=%26", b"h"),
        ("  http://h/\r\nX: y ", "http://h:80", b"/X:%20y", b"h"),
        ("http://h:0/", "http://h:0", b"/", b"h:0"),
    ],
)  # fmt: skip
def test_parse(url, origin, path, host):
    target = Target.parse(url)
    assert (target.origin, target.path) == (origin, path)
    assert target.fixed.startswith(b"Host: " + host + b"\r\n")
    assert target.secure == origin.startswith("https")


def test_at():
    target = Target.parse("http://user@h:3000/x?fnId=a&stepId=step").at(b"/x?fnId=a&stepId=0123")
    assert target.url == "http://h:3000/x?fnId=a&stepId=0123"
    assert target.path == b"/x?fnId=a&stepId=0123"
    assert target.fixed == Target.parse("http://user@h:3000/").fixed


def test_parsed_once():
    assert Target.parse("http://h/once") is Target.parse("http://h/once")


@pytest.mark.parametrize("url", ["http://localhost/", "http://127.0.0.1/", "http://127.8.8.8:1/", "http://[::1]/"])
def test_loopback_is_not_asked_to_compress(url):
    assert b"Accept-Encoding" not in Target.parse(url).fixed


@pytest.mark.parametrize("url", ["http://example.com/", "http://10.0.0.1/", "http://app:3000/"])
def test_others_may_compress(url):
    assert b"Accept-Encoding: gzip, br\r\n" in Target.parse(url).fixed


def test_user_info():
    target = Target.parse("http://user:p%3Aw@example.com/")
    assert b"Authorization: Basic dXNlcjpwOnc=\r\n" in target.fixed
    assert "user" not in target.url
    assert b"Authorization: Basic dXNlcjo=\r\n" in Target.parse("http://user@example.com/").fixed


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ftp://h/", 'unsupported protocol scheme "ftp"'),
        ("/relative", 'unsupported protocol scheme ""'),
        ("http:///path", "no host in request URL"),
        ("http://h:x/", "invalid URL"),
        ("http://[h/", "invalid URL"),
        ("http://a\x00b/", "invalid host"),
        ("http://" + "ü" * 80 + "/", "invalid host"),
    ],
)
def test_refused(url, text):
    with pytest.raises(CallFailure) as caught:
        Target.parse(url)
    assert caught.value.text.startswith("error performing request: " + text)
