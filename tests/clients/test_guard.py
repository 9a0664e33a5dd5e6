"""Goal: the classes of holes found in other stores are closed; hostile requests change nothing.

Method: hand-signed requests over a raw socket against the session's server; the state is read
back after each. Processes of their own are in test_guard_processes.py.
"""
import os
import socket
import time

import pytest

from harness import checksums
from harness import rawhttp
from harness import s3 as h
from harness import sigv4
from harness.s3 import KIB, MIB


@pytest.fixture
def client(server):
    return sigv4.client(server)


@pytest.fixture
def old(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    return f"/{bucket}/k"


def unchanged(s3, bucket):
    assert h.all_keys(s3, bucket) == ["k"] and h.get(s3, bucket, "k") == b"old"


# -- subresources: a closed list; what is not known is not something else

OBJECT_SUBRESOURCES = [
    ("PUT", "renameobject"), ("PUT", "encryption"), ("PUT", "no-such-thing"), ("PUT", "torrent"),
    ("DELETE", "no-such-thing"), ("GET", "no-such-thing"), ("GET", "torrent"), ("POST", "select"),
    ("POST", "no-such-thing"), ("POST", "restore"), ("PUT", "annotation"),
]
BUCKET_SUBRESOURCES = [
    ("DELETE", "metadataConfiguration"), ("DELETE", "metadataTable"), ("DELETE", "no-such-thing"),
    ("PUT", "no-such-thing"), ("PUT", "metadataInventoryTable"), ("GET", "no-such-thing"),
    ("POST", "no-such-thing"), ("DELETE", "abac"), ("PUT", "abac"),
]


@pytest.mark.parametrize("method,name", OBJECT_SUBRESOURCES)
def test_unknown_object_subresource_is_not_implemented(client, s3, bucket, old, method, name):
    for query in ([(name, "")], [(name, "x")]):
        answer = client.call(method, old, b"<x/>" if method != "GET" else b"", query=query)
        assert (answer.status, answer.code) == (501, "NotImplemented"), answer
        unchanged(s3, bucket)


@pytest.mark.parametrize("method,name", BUCKET_SUBRESOURCES)
def test_unknown_bucket_subresource_is_not_implemented(client, s3, bucket, method, name):
    answer = client.call(method, f"/{bucket}", query=[(name, "")])
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer
    assert s3.head_bucket(Bucket=bucket)


def test_unknown_subresource_is_refused_on_a_presigned_url_too(client, s3, bucket, old):
    target = client.presign("PUT", old, query=[("encryption", "")])
    answer = client.follow("PUT", target, b"new")
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer
    unchanged(s3, bucket)


def test_subresource_added_to_a_presigned_url_is_refused(client, s3, bucket, old):
    answer = client.follow("DELETE", client.presign("DELETE", old) + "&tagging")
    # What is not implemented may be said to anyone; nothing is done either way.
    assert answer.status in (403, 501), answer
    unchanged(s3, bucket)


# -- traversal and names

TRAVERSAL = ["../../../../tmp/holdfast-escaped", "..", "../index/x", "/etc/holdfast-escaped",
             "a/../../../b", "....//....//x", "%2e%2e/%2e%2e/x", "..\\..\\x", "credentials",
             "drives/0/x", "nul\x00byte"]


def test_keys_never_become_paths(client, server, s3, bucket):
    for key in TRAVERSAL:
        answer = client.call("PUT", f"/{bucket}/{key}", b"escaped-bytes")
        assert answer.status in (200, 400), (key, answer)
        if answer.status == 200:
            assert client.call("GET", f"/{bucket}/{key}").body == b"escaped-bytes", key
            source = {"x-amz-copy-source": sigv4.quote(f"{bucket}/{key}")}
            copied = client.call("PUT", f"/{bucket}/copy", headers=source)
            assert copied.status == 200, (key, copied)
    assert not os.path.exists("/tmp/holdfast-escaped")
    assert not os.path.exists("/etc/holdfast-escaped")
    if server.form == "external":
        return
    names = [os.path.relpath(os.path.join(at, name), server.data)
             for at, dirs, files in os.walk(server.data) for name in (*dirs, *files)]
    assert names
    bad = [n for n in names if "escaped" in n or "copy" in n or bucket in n or ".." in n]
    assert bad == []
    top = {name.split(os.sep)[0] for name in names}
    assert top <= {"drives", "index", "credentials", "master.key", "lock",
                   "cluster.json"}, top


def test_copy_source_cannot_traverse(client, s3, bucket):
    for source in (f"{bucket}/../{bucket}/k", f"../{bucket}/k", "/etc/passwd", "k", "/", "",
                   f"{bucket}", f"{bucket}/", "%zz/%zz"):
        answer = client.call("PUT", f"/{bucket}/to", headers={"x-amz-copy-source": source})
        assert answer.status in (400, 404), (source, answer)
    assert h.all_keys(s3, bucket) == []


def test_crlf_in_response_overrides_is_refused_or_harmless(client, s3, bucket, old):
    for name in ("response-content-type", "response-content-disposition", "response-expires",
                 "response-cache-control", "response-content-language",
                 "response-content-encoding"):
        for value in ("text/plain\r\nset-cookie: a=b", "x\nset-cookie: a=b", "x\rset-cookie: a=b",
                      "x\x00y"):
            answer = client.call("GET", old, query=[(name, value)])
            assert "set-cookie" not in answer.headers, (name, value)
            assert answer.status == 400, (name, value, answer)


def test_metadata_cannot_inject_headers(client, s3, bucket, old):
    """Values that no header may hold are refused on the way in, not replayed on the way out."""
    for value in (b"a\x01b", b"a\x7fb"):
        request = sigv4.Request("PUT", old, [], {"x-amz-meta-a": value.decode("latin-1")}, b"new")
        headers, _, _ = client.signed_headers(request)
        answer = client.send(request, headers)
        assert answer.status in (400, 403), answer
    unchanged(s3, bucket)


def test_internal_looking_headers_from_outside_do_nothing(client, s3, bucket, old):
    for name in ("x-forwarded-for", "x-real-ip", "x-holdfast-internal", "x-forwarded-host",
                 "x-original-url", "x-rewrite-url", "x-http-method-override"):
        answer = client.call("GET", old, alter=lambda head: head.update({name: f"/{bucket}/other"}))
        assert (answer.status, answer.body) == (200, b"old"), name
        anonymous = sigv4.exchange(client.address, "GET", old,
                                   {"host": client.address, name: "127.0.0.1"})
        assert anonymous.status == 403, name


# -- sizes

def test_long_key_and_long_target(client, s3, bucket):
    answer = client.call("PUT", f"/{bucket}/" + "k" * 1025, b"x")
    assert (answer.status, answer.code) == (400, "KeyTooLongError"), answer
    answer = client.call("GET", f"/{bucket}/" + "k" * 20_000)
    assert answer.status in (400, 414, 431), answer
    assert h.all_keys(s3, bucket) == []


def test_too_many_or_too_large_headers_are_refused(client, old):
    for extra in ({f"x-pad-{i}": "v" for i in range(300)}, {"x-pad": "v" * (40 * KIB)}):
        try:
            answer = client.call("GET", old, alter=lambda head: head.update(extra))
        except rawhttp.NoAnswer:
            continue
        assert answer.status in (400, 431), answer
    assert client.call("GET", old).status == 200


def test_declared_body_beyond_the_limit_is_refused_at_once(client, s3, bucket, old):
    request = sigv4.Request("PUT", old, [], {}, b"")
    headers, _, _ = client.signed_headers(request, sigv4.UNSIGNED)
    headers["content-length"] = str(6 << 40)
    answer = client.send(request, headers, b"x" * KIB)
    assert (answer.status, answer.code) == (400, "EntityTooLarge"), answer
    unchanged(s3, bucket)


def test_huge_list_of_ranges_costs_nothing(client, old):
    many = "bytes=" + ",".join(f"{i}-{i}" for i in range(1500))
    assert client.call("GET", old, headers={"range": many}).status in (200, 400, 416, 431)


BAD_XML = {
    "nested": b"<Delete>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</Delete>",
    "large": b"<Delete><Object><Key>" + b"x" * (3 * MIB) + b"</Key></Object></Delete>",
    "entities": b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b '
                b'"&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    "external": b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
                b"<Delete><Object><Key>&a;</Key></Object></Delete>",
    "cut": b"<Delete><Object><Key>k</Key>",
    "not xml": b"{}",
    "empty": b"",
    "binary": bytes(range(256)),
    "other": b"<CreateBucketConfiguration/>",
}


@pytest.mark.parametrize("what", BAD_XML)
def test_bad_xml_is_refused(client, s3, bucket, old, what):
    body = BAD_XML[what]
    md5 = checksums.md5_header(body)
    started = time.monotonic()
    for method, path, query in [("POST", f"/{bucket}", [("delete", "")]),
                                ("POST", old, [("uploadId", "x")])]:
        try:
            answer = client.call(method, path, body, query=query, headers={"content-md5": md5})
        except rawhttp.NoAnswer:
            continue
        assert answer.status in (400, 404, 413), (method, answer)
        assert b"root:" not in answer.body
        unchanged(s3, bucket)
    assert time.monotonic() - started < 60


def test_delete_objects_verifies_its_body(client, s3, bucket, old):
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    query = [("delete", "")]
    wrong = {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    answer = client.call("POST", f"/{bucket}", body, query=query, headers=wrong)
    assert (answer.status, answer.code) == (400, "BadDigest"), answer
    wrong = {"x-amz-checksum-crc32": "AAAAAA=="}
    answer = client.call("POST", f"/{bucket}", body, query=query, headers=wrong)
    assert (answer.status, answer.code) == (400, "BadDigest"), answer
    unchanged(s3, bucket)


# -- fidelity that a proxy or cache would trip over

def test_not_modified_and_head_errors_have_no_body(client, old, bucket):
    etag = client.call("HEAD", old).headers["etag"]
    for method in ("GET", "HEAD"):
        answer = client.call(method, old, headers={"if-none-match": etag})
        assert (answer.status, answer.body) == (304, b"")
    for path, status in ((f"/{bucket}/none", 404), ("/no-such-bucket-here", 404)):
        answer = client.call("HEAD", path)
        assert (answer.status, answer.body) == (status, b"")
        assert answer.headers["x-amz-request-id"]


def test_lists_and_bad_dates_in_conditions(client, old):
    etag = client.call("HEAD", old).headers["etag"]
    listed = f'"00000000000000000000000000000000", {etag}'
    assert client.call("GET", old, headers={"if-match": listed}).status == 200
    assert client.call("GET", old, headers={"if-none-match": listed}).status == 304
    for name in ("if-modified-since", "if-unmodified-since"):
        assert client.call("GET", old, headers={name: "not a date"}).status == 200


def test_repeated_user_metadata_is_joined(client, s3, bucket, old):
    request = sigv4.Request("PUT", old, [], {"x-amz-meta-a": "one,two"}, b"new")
    headers, _, _ = client.signed_headers(request)
    pairs = [(n, v) for n, v in headers.items() if n != "x-amz-meta-a"]
    pairs += [("x-amz-meta-a", "one"), ("x-amz-meta-a", "two"), ("content-length", "3")]
    answer = sigv4.exchange(client.address, "PUT", old, pairs, b"new")
    assert answer.status == 200, answer
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "one,two"}


def test_errors_are_xml_with_all_fields(client, bucket):
    answer = client.call("GET", f"/{bucket}/none")
    for field in ("Code", "Message", "Resource", "RequestId", "HostId"):
        assert answer.error_field(field), field
    assert answer.headers["x-amz-request-id"] == answer.error_field("RequestId")
    assert answer.headers["content-type"] == "application/xml"


def test_post_object_form_is_refused_without_a_policy(client, s3, bucket, old):
    form = (b"--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--x\r\n"
            b"Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nnew\r\n"
            b"--x--\r\n")
    answer = sigv4.exchange(client.address, "POST", f"/{bucket}", {
        "host": client.address, "content-type": "multipart/form-data; boundary=x"}, form)
    assert answer.status in (400, 403, 501), answer
    unchanged(s3, bucket)


def test_options_without_cors_rules_opens_nothing(client, old):
    answer = sigv4.exchange(client.address, "OPTIONS", old, {
        "host": client.address, "origin": "https://evil.example",
        "access-control-request-method": "PUT"})
    assert "access-control-allow-origin" not in answer.headers, answer.headers
    answer = client.call("GET", old, alter=lambda head: head.update(origin="https://evil.example"))
    assert "access-control-allow-credentials" not in answer.headers


# -- the wire

def _raw(client, data):
    """Sends bytes on a fresh connection; returns everything the server says."""
    with rawhttp.connect(client.address) as sock:
        sock.sendall(data)
        sock.settimeout(30)
        got = b""
        try:
            while more := sock.recv(65536):
                got += more
        except (TimeoutError, ConnectionResetError):
            pass
        return got


@pytest.mark.parametrize("headers", [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Content-Length: +5\r\n", "Content-Length: 0x5\r\n", "Content-Length: -1\r\n",
    " folded: x\r\n",
])
def test_ambiguous_framing_never_yields_two_requests(client, s3, bucket, old, headers):
    host = client.address
    inner = f"DELETE {old} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    data = (f"PUT {old} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
            f"0\r\n\r\n{inner}").encode()
    answer = _raw(client, data)
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert answer == b"" or int(answer.split()[1]) in (400, 403, 411, 501), answer
    unchanged(s3, bucket)


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\r\n\r\n\r\n", b"\x00" * 64,
    b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\n\r\n",
], ids=range(8))
def test_garbage_on_the_wire_leaves_the_server_well(client, old, data):
    with rawhttp.connect(client.address) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(20)
        try:
            while sock.recv(65536):
                pass
        except (ConnectionResetError, TimeoutError):
            pass
    assert client.call("GET", old).body == b"old"


def test_slow_headers_are_cut_off(client, old):
    """A head that never ends is dropped within the header timeout (10 s) and a margin."""
    with rawhttp.connect(client.address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        sock.settimeout(2)
        end = time.monotonic() + 40
        while time.monotonic() < end:
            try:
                sock.sendall(b"x-drip: 1\r\n")
                if sock.recv(4096) == b"":
                    break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("the connection was still open after 40 s of dripping headers")
    assert client.call("GET", old).status == 200


@pytest.mark.parametrize("size", [4 * KIB, 3 * MIB])
def test_body_that_never_ends_is_cut_off(client, s3, bucket, old, size):
    """A body that pauses longer than the idle limit (30 s) ends, and nothing of it is seen."""
    request = sigv4.Request("PUT", old, [], {"content-length": str(size)}, b"")
    headers, _, _ = client.signed_headers(request, sigv4.UNSIGNED)
    with rawhttp.connect(client.address) as sock:
        sock.sendall(rawhttp.head("PUT", old, headers) + b"x" * (size // 2))
        sock.settimeout(90)
        try:
            answer = rawhttp.read_answer(sock)
            assert (answer.status, answer.code) == (400, "RequestTimeout"), answer
        except rawhttp.NoAnswer as ended:
            assert "timed out" not in str(ended), "still open after 90 s"
    unchanged(s3, bucket)


def test_many_idle_connections_do_not_stop_others(client, old):
    held = [rawhttp.connect(client.address) for _ in range(300)]
    try:
        for sock in held[:150]:
            sock.sendall(b"GET / HTTP/1.1\r\n")
        assert client.call("GET", old).status == 200
    finally:
        for sock in held:
            sock.close()
