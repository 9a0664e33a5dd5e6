"""HTTP/1.1 on a bare socket: what is sent is exactly what the test says, byte for byte."""
import re
import socket
import xml.etree.ElementTree as ET

TIMEOUT = 60


class Answer:
    """Status, headers (lower-case names; the last of equal names) and body of one response."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        """The S3 error code, or None when the body is no S3 error."""
        return self.error_field("Code")

    def error_field(self, name):
        try:
            return ET.fromstring(self.body).findtext(name)
        except ET.ParseError:
            return None

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class NoAnswer(Exception):
    """The server closed the connection (or said nothing) instead of answering."""


def connect(address):
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), timeout=TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def head(method, target, headers):
    """The request's head; `headers` is a dict or a list of pairs (for repeated names)."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape")


def exchange(address, method, target, headers, body=b"", stop_after=None):
    """One request on a connection of its own.

    Content-Length is added when missing. With `stop_after` only that many body bytes are sent and
    the sending side is closed: a client that died.
    """
    if isinstance(headers, dict):
        framed = {name.lower() for name in headers} & {"content-length", "transfer-encoding"}
        if not framed and (body or method in ("PUT", "POST")):
            headers = {**headers, "content-length": str(len(body))}
    with connect(address) as sock:
        try:
            sock.sendall(head(method, target, headers))
            sock.sendall(body if stop_after is None else body[:stop_after])
            if stop_after is not None:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused early; the answer, if any, is waiting
        return read_answer(sock, method)


def read_answer(sock, method="GET"):
    """Reads one response."""
    data = _until(sock, b"", b"\r\n\r\n")
    top, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = top.decode("latin-1").split("\r\n")
    status = int(re.match(r"HTTP/1\.[01] (\d{3})", first).group(1))
    headers = {}
    for line in lines:
        name, value = line.split(":", 1)
        headers[name.strip().lower()] = value.strip()
    if 100 <= status < 200:
        return read_answer(_Pushed(sock, rest), method)
    return Answer(status, headers, _body(sock, method, status, headers, rest))


class _Pushed:
    """A socket whose first bytes were read already."""

    def __init__(self, sock, data):
        self._sock, self._data = sock, data

    def recv(self, count):
        if self._data:
            data, self._data = self._data, b""
            return data
        return self._sock.recv(count)


def _until(sock, data, mark):
    while mark not in data:
        try:
            more = sock.recv(65536)
        except (ConnectionResetError, TimeoutError) as error:
            raise NoAnswer(f"{error!r} after {data[:200]!r}") from error
        if not more:
            raise NoAnswer(f"closed after {data[:200]!r}")
        data += more
    return data


def _body(sock, method, status, headers, data):
    if method == "HEAD" or status in (204, 304):
        return data  # anything here should not have been sent
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunked(sock, data)
    if "content-length" in headers:
        length = int(headers["content-length"])
        while len(data) < length:
            more = sock.recv(65536)
            if not more:
                raise NoAnswer(f"body cut after {len(data)} of {length} bytes")
            data += more
        return data[:length]
    while more := sock.recv(65536):
        data += more
    return data


def _chunked(sock, data):
    body = b""
    while True:
        data = _until(sock, data, b"\r\n")
        line, data = data.split(b"\r\n", 1)
        length = int(line.split(b";")[0], 16)
        while len(data) < length + 2:
            more = sock.recv(65536)
            if not more:
                raise NoAnswer(f"chunked body cut after {len(body)} bytes")
            data += more
        body, data = body + data[:length], data[length + 2:]
        if length == 0:
            return body
