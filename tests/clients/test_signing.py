"""Goal: only a correct, fresh signature of this region over everything that matters is accepted.

Method: a SigV4 signer written here, checked against the published examples and botocore first;
then each request is wrong in exactly one way, over a raw socket. After a refused write the old
state is read back.
"""
import datetime
import re

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness import checksums
from harness import s3 as h
from harness import sigv4
from harness.sigv4 import Client, Signer

# The keys and time of the examples in S3's documentation.
EXAMPLE = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                 when=datetime.datetime(2013, 5, 24, tzinfo=datetime.timezone.utc))
CHUNKS = [b"a" * 65536, b"a" * 1024]


# -- the signer itself

def test_signer_gives_the_published_chunk_signatures():
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    frames = Client("http://x", EXAMPLE).frames(CHUNKS, sigv4.STREAMING, seed, EXAMPLE.when)
    found = [re.search(rb"chunk-signature=(\w+)", frame).group(1).decode() for frame in frames]
    assert found == ["ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                     "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                     "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"]


def test_signer_gives_the_published_trailer_signature():
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    trailer = ("x-amz-checksum-crc32c", checksums.value("CRC32C", b"".join(CHUNKS)))
    frames = Client("http://x", EXAMPLE).frames(CHUNKS, sigv4.STREAMING_TRAILER, seed,
                                                EXAMPLE.when, trailer)
    assert trailer[1] == "sOO8/Q=="
    assert frames[-1].split(b"x-amz-trailer-signature:")[1].strip() == (
        b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435")


def test_signer_agrees_with_botocore(server):
    client = sigv4.client(server)
    keys = Credentials(server.access_key, server.secret_key)
    query = [("prefix", "ü b+"), ("list-type", "2")]
    headers, signature, when = client.signed_headers(
        sigv4.Request("GET", "/b/k ü", query, {"x-amz-meta-a": "b"}))
    target = server.s3_url.rstrip("/") + "/b/k%20%C3%BC?" + sigv4.canonical_query(query)
    auth = S3SigV4Auth(keys, "s3", "us-east-1")
    request = AWSRequest("GET", target, headers={
        name: headers[name] for name in ("x-amz-meta-a", "x-amz-content-sha256", "host")})
    request.context["timestamp"] = sigv4.stamp(when)
    request.headers["X-Amz-Date"] = sigv4.stamp(when)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert auth.signature(text, request) == signature


# -- what is accepted

@pytest.fixture
def client(server):
    return sigv4.client(server)


@pytest.fixture
def old(s3, bucket):
    """A key with known content that refused writes must not change."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    return f"/{bucket}/k"


def test_signed_and_unsigned_payloads_are_accepted(client, old):
    for payload in (None, sigv4.UNSIGNED):
        assert client.call("PUT", old, b"new", payload=payload).status == 200
        assert client.call("GET", old, payload=payload).body == b"new"


def test_presigned_requests_are_accepted(client, old):
    assert client.follow("PUT", client.presign("PUT", old), b"new").status == 200
    assert client.follow("GET", client.presign("GET", old)).body == b"new"
    signed = client.presign("GET", old, expires=604_800)
    assert client.follow("GET", signed).status == 200


def test_a_client_clock_within_the_window_is_accepted(server, old):
    for minutes in (-14, 14):
        client = sigv4.client(server, when=sigv4.now(minutes))
        assert client.call("GET", old).status == 200, minutes


# -- what is refused: each wrong in one way

def refused(s3, answer, path, *expected):
    """403 or 400 with one of the codes, and the object as it was."""
    assert answer.code in expected and answer.status in (400, 403), answer
    bucket, key = path[1:].split("/", 1)
    assert h.get(s3, bucket, key) == b"old"


def test_wrong_secret(server, s3, old):
    client = sigv4.client(server)
    client.signer.secret_key += "x"
    for answer in (client.call("PUT", old, b"new"),
                   client.follow("PUT", client.presign("PUT", old), b"new")):
        refused(s3, answer, old, "SignatureDoesNotMatch")


def test_unknown_access_key(server, s3, old):
    client = sigv4.client(server)
    client.signer.access_key = "AKNOBODY00000000"
    for answer in (client.call("PUT", old, b"new"),
                   client.follow("PUT", client.presign("PUT", old), b"new")):
        refused(s3, answer, old, "InvalidAccessKeyId")


def test_anonymous_requests_are_denied(client, s3, old, bucket):
    host = {"host": client.address}
    for method, target, body in [("GET", old, b""), ("PUT", old, b"new"), ("DELETE", old, b""),
                                 ("GET", f"/{bucket}", b""), ("DELETE", f"/{bucket}", b""),
                                 ("POST", old + "?uploads", b""), ("GET", "/", b""),
                                 ("POST", f"/{bucket}?delete", b"<Delete/>"),
                                 ("PUT", "/a-new-bucket-by-nobody", b"")]:
        answer = sigv4.exchange(client.address, method, target, host, body)
        refused(s3, answer, old, "AccessDenied")


def test_anonymous_head_is_denied_without_a_hint(client, bucket, old):
    for key in ("k", "none"):
        answer = sigv4.exchange(client.address, "HEAD", f"/{bucket}/{key}",
                                {"host": client.address})
        assert answer.status == 403 and answer.body == b""


def _other_digit(digit):
    return "0" if digit != "0" else "1"


TAMPERED = {
    "path": lambda r, head: setattr(r, "path", r.path + "2"),
    "query": lambda r, head: r.query.append(("x-id", "PutObject")),
    "method": lambda r, head: setattr(r, "method", "DELETE"),
    "signed header": lambda r, head: head.update({"x-amz-meta-a": "tampered"}),
    "host": lambda r, head: head.update({"host": "elsewhere.example.com"}),
    "date": lambda r, head: head.update({"x-amz-date": sigv4.stamp(sigv4.now(1))}),
    "payload hash": lambda r, head: head.update({"x-amz-content-sha256": sigv4.UNSIGNED}),
    "signature": lambda r, head: head.update(
        {"authorization": head["authorization"][:-1] + _other_digit(head["authorization"][-1])}),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampered_request(client, s3, old, what):
    request = sigv4.Request("PUT", old, [], {"x-amz-meta-a": "b"}, b"new")
    headers, _, _ = client.signed_headers(request)
    TAMPERED[what](request, headers)
    refused(s3, client.send(request, headers), old, "SignatureDoesNotMatch", "AccessDenied")


def test_body_that_is_not_the_signed_one(client, s3, old):
    for signed, sent in ((b"new", b"now"), (h.body(3_000_000, 1), h.body(3_000_000, 2))):
        request = sigv4.Request("PUT", old, [], {}, signed)
        headers, _, _ = client.signed_headers(request)
        refused(s3, client.send(request, headers, sent), old, "XAmzContentSHA256Mismatch")


def test_clock_skew_beyond_the_window(server, s3, old):
    for minutes in (-16, 16):
        client = sigv4.client(server, when=sigv4.now(minutes))
        refused(s3, client.call("PUT", old, b"new"), old, "RequestTimeTooSkewed")


def test_presigned_url_from_the_past_or_future(server, s3, old):
    past = sigv4.client(server, when=sigv4.now(-11))
    target = past.presign("PUT", old, expires=600)
    refused(s3, past.follow("PUT", target, b"new"), old, "AccessDenied")
    future = sigv4.client(server, when=sigv4.now(16))
    refused(s3, future.follow("PUT", future.presign("PUT", old), b"new"), old, "AccessDenied",
            "RequestTimeTooSkewed")


@pytest.mark.parametrize("text", ["0", "-1", "604801", "99999999999999999999", "", "1e3", "abc"])
def test_presigned_lifetime_out_of_bounds(client, s3, old, text):
    target = client.presign("PUT", old, expires_text=text)
    refused(s3, client.follow("PUT", target, b"new"), old, "AuthorizationQueryParametersError",
            "AccessDenied")


def test_scope_date_that_is_not_the_requests_date(server, s3, old):
    client = sigv4.client(server, scope_date="20200102")
    refused(s3, client.call("PUT", old, b"new"), old, "AuthorizationHeaderMalformed",
            "SignatureDoesNotMatch")
    refused(s3, client.follow("PUT", client.presign("PUT", old), b"new"), old,
            "AuthorizationQueryParametersError", "SignatureDoesNotMatch")


def test_wrong_region_is_refused_and_the_right_one_named(server, s3, old):
    client = sigv4.client(server, region="eu-central-1")
    answer = client.call("PUT", old, b"new")
    refused(s3, answer, old, "AuthorizationHeaderMalformed")
    assert answer.error_field("Region") == "us-east-1" and b"eu-central-1" in answer.body
    answer = client.follow("PUT", client.presign("PUT", old), b"new")
    refused(s3, answer, old, "AuthorizationQueryParametersError", "AuthorizationHeaderMalformed")
    assert b"us-east-1" in answer.body


def test_wrong_service_is_refused(server, s3, old):
    client = sigv4.client(server, service="iam")
    refused(s3, client.call("PUT", old, b"new"), old, "AuthorizationHeaderMalformed",
            "SignatureDoesNotMatch")


MALFORMED = ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x", "Bearer abc", "Basic YTpi",
             "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
             "AWS4-HMAC-SHA512 Credential=a/20260101/us-east-1/s3/aws4_request, "
             "SignedHeaders=host, Signature=00", ""]


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_authorization(client, s3, old, text):
    answer = client.call("PUT", old, b"new", alter=lambda head: head.update(authorization=text))
    refused(s3, answer, old, "AuthorizationHeaderMalformed", "InvalidArgument", "AccessDenied",
            "InvalidRequest")


def test_sigv2_is_refused(server, s3, client, old):
    legacy = server.client(signature_version="s3")
    with h.error(("AccessDenied", "InvalidRequest", "SignatureDoesNotMatch",
                  "AuthorizationHeaderMalformed", "InvalidArgument")) as failure:
        legacy.put_object(Bucket=old.split("/")[1], Key="k", Body=b"new")
    assert failure.status in (400, 403)
    assert "AWS4-HMAC-SHA256" in failure.response["Error"]["Message"], "says what to use instead"
    url = legacy.generate_presigned_url("put_object", {"Bucket": old.split("/")[1], "Key": "k"})
    assert "AWSAccessKeyId=" in url
    target = "/" + url.split("/", 3)[3]
    answer = client.follow("PUT", target, b"new")
    assert answer.status in (400, 403) and b"AWS4-HMAC-SHA256" in answer.body, answer
    assert h.get(s3, old.split("/")[1], "k") == b"old"


# -- signed headers

def test_missing_signed_header(client, s3, old):
    answer = client.call("PUT", old, b"new", claim=("x-amz-meta-claimed",))
    refused(s3, answer, old, "SignatureDoesNotMatch", "AccessDenied",
            "AuthorizationHeaderMalformed")


def test_host_must_be_signed(client, s3, old):
    answer = client.call("PUT", old, b"new", leave_unsigned=("host",))
    refused(s3, answer, old, "SignatureDoesNotMatch", "AccessDenied",
            "AuthorizationHeaderMalformed", "InvalidRequest")


UNSIGNED_HEADERS = {
    "x-amz-copy-source": "{bucket}/secret", "x-amz-meta-a": "b", "x-amz-acl": "public-read",
    "x-amz-metadata-directive": "REPLACE", "x-amz-tagging": "a=b",
    "x-amz-website-redirect-location": "/", "x-amz-storage-class": "GLACIER",
    "x-amz-copy-source-range": "bytes=0-1", "x-amz-security-token": "made-up",
}


@pytest.mark.parametrize("name", UNSIGNED_HEADERS)
def test_unsigned_amz_header_is_refused(client, s3, old, bucket, name):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    value = UNSIGNED_HEADERS[name].format(bucket=bucket)
    added = {name: value}
    codes = ("AccessDenied", "SignatureDoesNotMatch", "InvalidToken", "InvalidRequest")
    answer = client.call("PUT", old, b"new", alter=lambda head: head.update(added))
    refused(s3, answer, old, *codes)
    answer = client.follow("PUT", client.presign("PUT", old), b"new", headers=added)
    refused(s3, answer, old, *codes)


def test_signed_copy_source_on_a_presigned_url_works(client, s3, old, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"copied")
    added = {"x-amz-copy-source": f"{bucket}/from"}
    target = client.presign("PUT", old, headers=added)
    assert client.follow("PUT", target, headers=added).status == 200
    assert h.get(s3, bucket, "k") == b"copied"


def test_security_token_without_a_session_is_refused(client, s3, old):
    answer = client.call("PUT", old, b"new", headers={"x-amz-security-token": "made-up"})
    refused(s3, answer, old, "InvalidToken", "InvalidAccessKeyId", "AccessDenied")
    target = client.presign("PUT", old, query=[("X-Amz-Security-Token", "made-up")])
    refused(s3, client.follow("PUT", target, b"new"), old, "InvalidToken",
            "InvalidAccessKeyId", "AccessDenied")


def test_both_header_and_query_signature_is_refused(client, s3, old):
    request = sigv4.Request("PUT", old, [], {}, b"new")
    headers, _, _ = client.signed_headers(request)
    answer = sigv4.exchange(client.address, "PUT", client.presign("PUT", old), headers, b"new")
    refused(s3, answer, old, "InvalidArgument", "InvalidRequest", "AccessDenied",
            "SignatureDoesNotMatch")


def test_repeated_header_cannot_smuggle_a_second_value(client, s3, old, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    request = sigv4.Request("PUT", old, [], {"x-amz-copy-source": f"{bucket}/k"}, b"")
    headers, _, _ = client.signed_headers(request)
    pairs = [*headers.items(), ("x-amz-copy-source", f"{bucket}/secret"), ("content-length", "0")]
    answer = sigv4.exchange(client.address, "PUT", old, pairs)
    assert answer.status >= 400, answer
    assert h.get(s3, bucket, "k") == b"old"
