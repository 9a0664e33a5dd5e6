"""Forms as browsers post them: whole, in pieces, and wrong in one way."""
import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta, timezone

from harness import rawhttp

BOUNDARY = "----holdfast7MA4YWxkTrZu0gW"


def encode(fields, file=b"", filename="file.bin", after=(), end=True):
    """The bytes of a form; `fields` is a dict or a list of pairs. Without `end` it is cut off
    behind the file's last byte."""
    pairs = fields.items() if isinstance(fields, dict) else fields
    return head(pairs, filename) + file + (tail(after) if end else b"")


def head(pairs, filename="file.bin"):
    """All that is before the file's first byte."""
    return (b"".join(_part(name, value) for name, value in pairs)
            + f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
              f'filename="{filename}"\r\nContent-Type: text/html\r\n\r\n'.encode())


def tail(after=()):
    """All that is behind the file's last byte."""
    more = b"".join(_part(name, value) for name, value in after)
    return b"\r\n" + more + f"--{BOUNDARY}--\r\n".encode()


def _part(name, value):
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return start.encode() + value.encode() + b"\r\n"


def headers(address, **more):
    return {"host": address, "content-type": f"multipart/form-data; boundary={BOUNDARY}",
            **{name.replace("_", "-"): value for name, value in more.items()}}


def post(server, bucket, fields, file=b"", **form):
    """Posts a form and reads the answer."""
    address = server.s3_url.split("//")[1]
    return rawhttp.exchange(address, "POST", f"/{bucket}", headers(address),
                            encode(fields, file, **form))


def policy(conditions, seconds=600, expiration=None):
    """A policy document in Base64."""
    until = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    expiration = expiration or until.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = json.dumps({"expiration": expiration, "conditions": conditions})
    return base64.b64encode(text.encode()).decode()


def signed_v2(server, document, fields):
    """The fields with a signature of version 2."""
    mac = hmac.new(server.secret_key.encode(), document.encode(), hashlib.sha1).digest()
    return {**fields, "AWSAccessKeyId": server.access_key, "policy": document,
            "signature": base64.b64encode(mac).decode()}
