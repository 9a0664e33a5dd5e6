"""SigV4 by hand: every way of signing that S3 has, with a hook before each step to do it wrong.

Written from the public specification; test_signing.py checks it against the published examples
and against botocore before it judges a server with it.
"""
import datetime
import hashlib
import hmac
import urllib.parse
from dataclasses import dataclass, field

from . import checksums
from .rawhttp import exchange

EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
ALGORITHM = "AWS4-HMAC-SHA256"


def now(minutes=0):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)


def stamp(when):
    return when.strftime("%Y%m%dT%H%M%SZ")


def quote(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def canonical_query(query):
    pairs = sorted((quote(k), quote(v)) for k, v in query)
    return "&".join(f"{k}={v}" for k, v in pairs)


@dataclass
class Signer:
    """Keys and scope; `when` is the time that requests claim (default: now)."""

    access_key: str
    secret_key: str
    region: str = "us-east-1"
    service: str = "s3"
    when: datetime.datetime = None
    scope_date: str = None

    def time(self):
        return self.when or now()

    def scope(self, when):
        date = self.scope_date or when.strftime("%Y%m%d")
        return f"{date}/{self.region}/{self.service}/aws4_request"

    def key(self, when):
        key = f"AWS4{self.secret_key}".encode()
        for part in self.scope(when).split("/"):
            key = _hmac(key, part)
        return key

    def sign(self, when, text):
        return _hmac(self.key(when), text).hex()

    def sign_request(self, when, method, path, query, headers, signed, payload):
        """The seed signature over a canonical request; `headers` has lower-case names."""
        lines = [f"{n}:{' '.join(headers[n].split())}\n" for n in signed if n in headers]
        canonical = "\n".join([method, quote(path, "-_.~/"), canonical_query(query),
                               "".join(lines), ";".join(signed), payload])
        text = "\n".join([ALGORITHM, stamp(when), self.scope(when),
                          hashlib.sha256(canonical.encode()).hexdigest()])
        return self.sign(when, text)

    def sign_chunk(self, when, previous, data):
        return self.sign(when, "\n".join([
            f"{ALGORITHM}-PAYLOAD", stamp(when), self.scope(when), previous, EMPTY,
            hashlib.sha256(data).hexdigest()]))

    def sign_trailer(self, when, previous, trailer):
        return self.sign(when, "\n".join([
            f"{ALGORITHM}-TRAILER", stamp(when), self.scope(when), previous,
            hashlib.sha256(trailer).hexdigest()]))


@dataclass
class Request:
    """A request before it is signed. `path` is the decoded key path, `query` a list of pairs."""

    method: str
    path: str
    query: list = field(default_factory=list)
    headers: dict = field(default_factory=dict)
    body: bytes = b""


class Client:
    """Sends hand-signed requests to one endpoint over a plain socket."""

    def __init__(self, url, signer):
        self.address = url.split("//")[1].rstrip("/")
        self.signer = signer

    # -- signing by header

    def signed_headers(self, request, payload=None, extra=None, leave_unsigned=(), claim=()):
        """Headers of `request` with Authorization; returns (headers, seed signature, time).

        `payload` is the x-amz-content-sha256 value (default: the body's hash). Headers named in
        `leave_unsigned` are sent but not signed; names in `claim` are signed but not sent.
        """
        when = self.signer.time()
        payload = payload or hashlib.sha256(request.body).hexdigest()
        headers = {"host": self.address, "x-amz-date": stamp(when),
                   "x-amz-content-sha256": payload,
                   **{k.lower(): v for k, v in {**request.headers, **(extra or {})}.items()}}
        signed = sorted({*headers, *claim} - set(leave_unsigned))
        signature = self.signer.sign_request(when, request.method, request.path, request.query,
                                             headers, signed, payload)
        headers["authorization"] = (
            f"{ALGORITHM} Credential={self.signer.access_key}/{self.signer.scope(when)}, "
            f"SignedHeaders={';'.join(signed)}, Signature={signature}")
        return headers, signature, when

    def send(self, request, headers, body=None, **more):
        target = quote(request.path, "-_.~/")
        if request.query:
            target += "?" + canonical_query(request.query)
        return exchange(self.address, request.method, target, headers,
                        request.body if body is None else body, **more)

    def call(self, method, path, body=b"", query=(), headers=None, payload=None, alter=None,
             **signing):
        """Signs by header and sends; `alter(headers)` may change them after signing."""
        request = Request(method, path, list(query), headers or {}, body)
        ready, _, _ = self.signed_headers(request, payload, **signing)
        if alter:
            alter(ready)
        return self.send(request, ready)

    # -- presigned

    def presign(self, method, path, expires=300, query=(), headers=None, expires_text=None):
        """The request target of a presigned request; sign `headers` with it (host always is)."""
        when = self.signer.time()
        known = {"host": self.address, **{k.lower(): v for k, v in (headers or {}).items()}}
        signed = sorted(known)
        full = [*query, ("X-Amz-Algorithm", ALGORITHM),
                ("X-Amz-Credential", f"{self.signer.access_key}/{self.signer.scope(when)}"),
                ("X-Amz-Date", stamp(when)),
                ("X-Amz-Expires", str(expires) if expires_text is None else expires_text),
                ("X-Amz-SignedHeaders", ";".join(signed))]
        signature = self.signer.sign_request(when, method, path, full, known, signed, UNSIGNED)
        return (quote(path, "-_.~/") + "?" + canonical_query(full)
                + f"&X-Amz-Signature={signature}")

    def follow(self, method, target, body=b"", headers=None):
        """Sends to a presigned target."""
        return exchange(self.address, method, target, {"host": self.address, **(headers or {})},
                        body)

    # -- streaming

    def stream(self, path, chunks, kind=STREAMING, method="PUT", query=(), headers=None,
               trailer=None, alter=None, decoded=None, **more):
        """Uploads `chunks` in one of the streaming kinds.

        `trailer` is (name, value) for the trailing kinds (default: the right CRC32).
        `alter(frames)` may change the list of encoded frames before they are sent; `decoded`
        overrides x-amz-decoded-content-length.
        """
        whole = b"".join(chunks)
        trailing = kind in (STREAMING_TRAILER, UNSIGNED_TRAILER)
        if trailing and trailer is None:
            trailer = (checksums.header("CRC32"), checksums.value("CRC32", whole))
        own = {"content-encoding": "aws-chunked",
               "x-amz-decoded-content-length": str(len(whole) if decoded is None else decoded)}
        if trailing:
            own["x-amz-trailer"] = trailer[0]
        request = Request(method, path, list(query), {**own, **(headers or {})})
        ready, seed, when = self.signed_headers(request, kind)
        frames = self.frames(chunks, kind, seed, when, trailer)
        if alter:
            frames = alter(frames)
        body = b"".join(frames)
        return self.send(request, {**ready, "content-length": str(len(body))}, body, **more)

    def frames(self, chunks, kind, previous, when, trailer=None):
        """The aws-chunked encoding, one element per chunk, the last with the trailer."""
        signing, frames = kind != UNSIGNED_TRAILER, []
        for data in [*chunks, b""]:
            line = f"{len(data):x}"
            if signing:
                previous = self.signer.sign_chunk(when, previous, data)
                line += f";chunk-signature={previous}"
            ending = b"\r\n" if data or not trailer else b""
            frames.append(line.encode() + b"\r\n" + data + ending)
        if trailer:
            text = f"{trailer[0]}:{trailer[1]}"
            frames[-1] += text.encode() + b"\r\n"
            if signing:
                signature = self.signer.sign_trailer(when, previous, text.encode() + b"\n")
                frames[-1] += f"x-amz-trailer-signature:{signature}\r\n".encode()
            frames[-1] += b"\r\n"
        return frames


def client(server, **scope):
    """A client of a harness server with its administrator's keys."""
    return Client(server.s3_url, Signer(server.access_key, server.secret_key, **scope))
