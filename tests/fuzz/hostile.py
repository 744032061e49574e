"""Hostile inputs by name: whole requests as bytes, and what a client sends on a live socket."""

import base64
from collections.abc import Callable, Iterator
from urllib.parse import quote_plus

URLENCODED = "application/x-www-form-urlencoded"

TEXTS = {
    "empty": b"",
    "NUL": b"a\0b",
    "CRLF": b"a\r\nSet-Cookie: evil=1",
    "tabs": b"\t\t",
    "escape": b"\x1b[31m",
    "quote": b"' OR 1=1 --",
    "double quote": b'"; DROP TABLE users; --',
    "LIKE": b"%_%\\",
    "script": b"<script>alert(1)</script>",
    "image": b"<img src=x onerror=alert(1)>",
    "template": b"{{ 7*7 }}{% for x in y %}",
    "format": b"%s%n{0}{0.__class__}",
    "dots": b"../../../etc/passwd",
    "foreign URL": b"//evil.example/\\x",
    "javascript": b"javascript:alert(1)",
    "long": b"x" * 3000,
    "not UTF-8": b"\xff\xfe\x80",
    "overlong": b"\xc0\xaf",
    "half surrogate": b"\xed\xa0\x80",
    "emoji": "\U0001f468\u200d\U0001f469".encode(),
    "Cyrillic a": "\u0430lice".encode(),
    "right to left": "\u202eecila".encode(),
    "zero width": "ali\u200bce".encode(),
    "combining": ("a" + "\u0301" * 200).encode(),
    "number": b"9" * 400,
    "negative": b"-1",
    "float": b"1e309",
    "NaN": b"NaN",
    "Arabic digits": "\u0661\u0662".encode(),
    "73 bytes": b"p" * 73,
    "72 bytes and NUL": b"p" * 71 + b"\0",
    "list": b"[]",
    "deep JSON": b"[" * 2000,
    "token": b"AAAA.BBBB==",
    "spaces": b"   ",
    "dotted I": "\u0130".encode(),
}
QUERIES = {
    "/": ("q", "here", "after", "next"),
    "/api/users": ("q", "here", "after", "limit"),
    "/log_in/": ("next",),
    "/users/": ("cursor",),
    "/admin/accounts/": ("q", "kind", "page"),
    "/admin/rooms/": ("app", "room"),
    "/admin/visits/": ("app", "day", "time", "user"),
    "/admin/visits.csv": ("user",),
    "/admin/log/": ("whom", "before"),
}
FORMS = {
    "/sign_up/": ("csrf_token", "username", "password1", "password2", "surplus"),
    "/log_in/": ("csrf_token", "username", "password", "next", "device"),
    "/log_out/": ("csrf_token",),
    "/account/password": ("csrf_token", "old_password", "password1"),
    "/account/end": ("csrf_token", "device"),
    "/account/delete": ("csrf_token", "password"),
    "/admin/accounts/": ("username",),
    "/admin/accounts/1/name": ("name",),
    "/admin/import/make": ("table",),
    "/admin/invitations/": ("uses",),
    "/admin/apps/": ("name",),
    "/admin/apps/1/set": ("origins", "webhook", "grace", "visits"),
    "/admin/apps/1/token": ("user", "room", "permission"),
}
PATHS = (
    *dict.fromkeys((*QUERIES, *FORMS)),
    "/account/",
    "/healthz",
    "/readyz",
    "/static/x/page.js",
    "/nothing",
    "*",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
HEADERS = (
    "Host",
    "Cookie",
    "Origin",
    "Referer",
    "Sec-Fetch-Site",
    "X-Forwarded-For",
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "Transfer-Encoding",
    "Connection",
    "Upgrade",
    "Expect",
    "Range",
    "If-Modified-Since",
    "If-None-Match",
    "Accept-Encoding",
    "User-Agent",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
)
VALUES = {
    "empty": b"",
    "NUL": b"\0",
    "high": b"\xff\xfe\x80",
    "UTF-8": "\u00e4\U0001f600".encode(),
    "long": b"x" * 7000,
    "too long": b"x" * 70_000,
    "commas": b",,,;;;===",
    "quotes": b'"\\"',
    "number": b"99999999999999999999",
    "minus": b"-1",
    "folded": b"a\r\n b",
    "doubled": b"a\r\n%s: b",
    "control": b"\x01\x7f",
    "known": b"websocket, close, chunked, gzip",
    "broken address": b"http://[::1",
    "bad port": b"http://x:99999/",
    "address with bytes": b"http://x\xff/",
    "key of bytes": b"\xff" * 24,
}
UPGRADE = {
    "Connection": b"Upgrade",
    "Upgrade": b"websocket",
    "Sec-WebSocket-Version": b"13",
    "Sec-WebSocket-Key": base64.b64encode(b"k" * 16),
    "Sec-WebSocket-Protocol": b"presence.v1",
}
BELOW_HTTP = {
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n\r\n",
    "no version": b"GET / \r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "half a request": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare CR": b"GET / HTTP/1.1\rHost: x\r\r",
    "space before colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
    "nameless header": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a thousand headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "high path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad escape": b"GET /%zz%%% HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"GET http://evil.example:99999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "broken absolute": b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "length and chunks": b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    b"Content-Length: 5\r\n\r\nabcde",
    "plus length": b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd",
    "bad chunk": b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nZZ\r\nx",
    "negative chunk": b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n-1\r\nx",
    "huge chunk": b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nFFFFFFFFFFFFFFFFF\r\nx",
    "chunk extension": b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n1;" + b"a" * 20_000 + b"\r\nx\r\n",
    "body that ends early": b"POST /sign_up/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nab",
    "endless pipeline": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 300,
    "smuggled": b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n"
    b"GET /users/ HTTP/1.1\r\nHost: x\r\n\r\n",
}


def request(
    method: str,
    path: bytes,
    headers: dict[str, bytes],
    body: bytes = b"",
    *,
    close: bool = True,
) -> bytes:
    lines = [method.encode() + b" " + path + b" HTTP/1.1"]
    if close:
        headers = {"Connection": b"close", **headers}
    lines += [name.encode() + b": " + value for name, value in headers.items()]
    return b"\r\n".join([*lines, b"", body])


def form(path: str, fields: dict[str, bytes], headers: dict[str, bytes]) -> bytes:
    body = "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items()).encode()
    length = str(len(body)).encode()
    headers = {**headers, "Content-Type": URLENCODED.encode(), "Content-Length": length}
    return request("POST", path.encode(), headers, body)


def named_requests(
    headers: Callable[[], dict[str, bytes]], token: bytes
) -> Iterator[tuple[str, bytes]]:
    """Of an administrator whose headers and token are these."""
    for path, names in QUERIES.items():
        for name in names:
            for what, text in TEXTS.items():
                target = f"{path}?{name}={quote_plus(text)}".encode()
                yield f"GET {path} {name}={what}", request("GET", target, headers())
    for path, fields in FORMS.items():
        for field in fields:
            for what, text in TEXTS.items():
                filled = {"csrf_token": token, **dict.fromkeys(fields, b"johnson123"), field: text}
                if path == "/log_out/" and field == "csrf_token":
                    filled = {field: text}
                yield f"POST {path} {field}={what}", form(path, filled, headers())
    for path in PATHS:
        for method in METHODS:
            # With its token /log_out/ would just do what it is for.
            yield f"{method} {path}", request(method, path.encode(), headers())
    for header in HEADERS:
        for what, value in VALUES.items():
            filled_value = value.replace(b"%s", header.encode())
            changed = {header: filled_value}
            yield f"upgrade with {header}: {what}", request(
                "GET", b"/users/", {**headers(), **UPGRADE, **changed}
            )
            stranger = {**headers(), "Cookie": b""}
            yield f"{header}: {what}", request("GET", b"/log_in/", {**stranger, **changed})
            yield f"POST with {header}: {what}", request(
                "POST",
                b"/sign_up/",
                {**headers(), "Content-Length": b"3", **changed},
                b"a=b",
            )
    for what, data in BELOW_HTTP.items():
        yield f"below HTTP: {what}", data


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Masked with zeros, as a client must mask it."""
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


FRAMES = {
    **{f"text of {what}": frame(1, text) for what, text in TEXTS.items()},
    **{
        f"status {what}": frame(1, b'{"type":"status","status":"' + text + b'"}')
        for what, text in TEXTS.items()
    },
    **{f"opcode {opcode}": frame(opcode, b"x") for opcode in range(16)},
    **{f"opcode {opcode}, empty": frame(opcode, b"") for opcode in range(16)},
    **{f"opcode {opcode}, not final": frame(opcode, b"x", final=False) for opcode in range(16)},
    **{f"reserved bits {bits:#x}": bytes([0x81 | bits]) + b"\x80\0\0\0\0" for bits in (16, 32, 64)},
    "unmasked": b"\x81\x02{}",
    "huge": b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    "top bit of the length": b"\x81\xff" + b"\xff" * 8 + b"\0\0\0\0",
    "half a frame": b"\x81\xfe\x01",
    "long ping": frame(9, b"x" * 126),
    "many pings": frame(9, b"") * 150,
    "many pongs": frame(10, b"") * 150,
    "many texts": frame(1, b"{}") * 50,
    "many fragments": frame(1, b"{", final=False) + frame(0, b"", final=False) * 500,
    "fragments too big": frame(1, b"x", final=False) + frame(0, b"x" * 1000, final=False) * 20,
    "16 KiB": frame(1, b'"' + b"x" * 16_382 + b'"'),
    "1 MB": frame(1, b"x" * 1_000_000),
    "binary": frame(2, b"\0" * 100),
    "close of one byte": frame(8, b"x"),
    "close 0": frame(8, b"\0\0"),
    "close 999": frame(8, b"\x03\xe7"),
    "close 1005": frame(8, b"\x03\xed"),
    "close 65535": frame(8, b"\xff\xff"),
    "close with bytes": frame(8, b"\x03\xe8\xff\xfe"),
    "close twice": frame(8, b"\x03\xe8") * 2,
    "text after close": frame(8, b"\x03\xe8") + frame(1, b"{}"),
    "HTTP again": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "random": bytes(range(256)) * 8,
}
