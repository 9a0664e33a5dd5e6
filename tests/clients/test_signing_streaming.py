"""Goal: in every upload mode the bytes that are stored are the bytes that were signed for.

Method: the four streaming kinds by hand over a raw socket, for PutObject and UploadPart; a chunk
or trailer is changed after signing. After a refused write the old object is read back.
"""
import pytest

from harness import checksums as c
from harness import rawhttp
from harness import s3 as h
from harness import sigv4
from harness.s3 import KIB, MIB
from harness.sigv4 import STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER

KINDS = [STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER]
SIGNED = [STREAMING, STREAMING_TRAILER]
TRAILING = [STREAMING_TRAILER, UNSIGNED_TRAILER]
kinds = pytest.mark.parametrize("kind", KINDS)
CHUNKS = [h.body(64 * KIB, 1), h.body(64 * KIB, 2), h.body(700, 3)]


@pytest.fixture
def client(server):
    return sigv4.client(server)


class Target:
    """Something to upload to: how to read it back, and what it holds before."""

    def __init__(self, s3, bucket, operation):
        self.s3, self.bucket, self.operation = s3, bucket, operation
        self.path, self.query = f"/{bucket}/k", ()
        if operation == "PutObject":
            s3.put_object(Bucket=bucket, Key="k", Body=b"old")
        else:
            self.upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
            self.part = h.put_part(s3, bucket, "k", self.upload, 1, b"old")
            self.query = [("partNumber", "1"), ("uploadId", self.upload)]

    def unchanged(self):
        if self.operation == "PutObject":
            assert h.get(self.s3, self.bucket, "k") == b"old"
            return
        listed = self.s3.list_parts(Bucket=self.bucket, Key="k", UploadId=self.upload)["Parts"]
        assert [(p["ETag"], p["Size"]) for p in listed] == [(self.part["ETag"], 3)]

    def stored(self):
        if self.operation == "UploadPart":
            listed = self.s3.list_parts(Bucket=self.bucket, Key="k", UploadId=self.upload)
            self.s3.complete_multipart_upload(
                Bucket=self.bucket, Key="k", UploadId=self.upload, MultipartUpload={
                    "Parts": [{"PartNumber": 1, "ETag": listed["Parts"][0]["ETag"]}]})
        return self.s3.get_object(Bucket=self.bucket, Key="k")


@pytest.fixture(params=["PutObject", "UploadPart"])
def target(request, s3, bucket):
    return Target(s3, bucket, request.param)


def send(client, target, chunks, kind, **more):
    return client.stream(target.path, chunks, kind, query=target.query, **more)


def refused(target, answer, *codes):
    assert answer.status in (400, 403, 411) and answer.code in codes, answer
    target.unchanged()


# -- accepted

@kinds
@pytest.mark.parametrize("chunks", [[], [b"x"], CHUNKS, [h.body(MIB, 5), h.body(MIB, 6), b"end"]],
                         ids=["empty", "one", "small", "stripes"])
def test_streamed_upload_is_stored_without_its_framing(client, target, kind, chunks):
    answer = send(client, target, chunks, kind)
    assert answer.status == 200, answer
    assert answer.headers["etag"] == f'"{h.md5(b"".join(chunks))}"'
    got = target.stored()
    assert got["Body"].read() == b"".join(chunks)
    # aws-chunked is how it travelled, not how it is encoded.
    assert "aws-chunked" not in got.get("ContentEncoding", "")


@kinds
def test_content_encoding_beside_aws_chunked_is_kept(client, s3, bucket, kind):
    answer = client.stream(f"/{bucket}/k", CHUNKS, kind,
                           headers={"content-encoding": "aws-chunked,gzip"})
    assert answer.status == 200, answer
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("algorithm", c.ALGORITHMS)
@pytest.mark.parametrize("kind", TRAILING)
def test_trailing_checksum_is_stored(client, s3, bucket, kind, algorithm):
    want = c.value(algorithm, b"".join(CHUNKS))
    answer = client.stream(f"/{bucket}/k", CHUNKS, kind, trailer=(c.header(algorithm), want))
    assert answer.status == 200, answer
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[c.field(algorithm)] == want


@kinds
def test_chunked_transfer_of_a_streamed_body(client, s3, bucket, kind):
    """HTTP chunks around aws-chunked ones, cut at places that are no frame's end."""
    whole = b"".join(CHUNKS)
    trailing = kind in TRAILING
    own = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(whole)),
           **({"x-amz-trailer": c.header("CRC32")} if trailing else {})}
    request = sigv4.Request("PUT", f"/{bucket}/k", [], own)
    headers, seed, when = client.signed_headers(request, kind)
    trailer = (c.header("CRC32"), c.value("CRC32", whole)) if trailing else None
    body = b"".join(client.frames(CHUNKS, kind, seed, when, trailer))
    cuts = [body[i:i + 1013] for i in range(0, len(body), 1013)]
    wire = b"".join(b"%x\r\n%s\r\n" % (len(cut), cut) for cut in cuts) + b"0\r\n\r\n"
    answer = client.send(request, {**headers, "transfer-encoding": "chunked"}, wire)
    assert answer.status == 200, answer
    assert h.get(s3, bucket, "k") == whole


# -- refused

def _flip(frame, at):
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1:]


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize("alter", [
    lambda f: [_flip(f[0], len(f[0]) // 2), *f[1:]],           # a byte of data
    lambda f: [f[1], f[0], *f[2:]],                            # two chunks swapped
    lambda f: [f[0], f[0], *f[2:]],                            # one chunk twice
    lambda f: [f[0].replace(b"chunk-signature=", b"chunk-signature=0"), *f[1:]],
    lambda f: [f[0][:f[0].index(b";")] + b"\r\n" + f[0].split(b"\r\n", 1)[1], *f[1:]],
], ids=["flipped", "swapped", "repeated", "signature", "unsigned"])
def test_altered_chunk_is_refused(client, target, kind, alter):
    refused(target, send(client, target, CHUNKS, kind, alter=alter), "SignatureDoesNotMatch",
            "InvalidRequest", "IncompleteBody", "XAmzContentSHA256Mismatch",
            "InvalidChunkSizeError")


@kinds
def test_dropped_chunk_is_refused(client, target, kind):
    answer = send(client, target, CHUNKS, kind, alter=lambda f: [f[0], *f[2:]])
    refused(target, answer, "SignatureDoesNotMatch", "IncompleteBody", "BadDigest",
            "InvalidRequest")


@kinds
def test_missing_last_chunk_is_refused(client, target, kind):
    answer = send(client, target, CHUNKS, kind, alter=lambda f: f[:-1])
    refused(target, answer, "IncompleteBody", "SignatureDoesNotMatch", "InvalidRequest",
            "MalformedTrailerError")


@kinds
@pytest.mark.parametrize("by", [-1, 1, -700, 10_000_000])
def test_wrong_decoded_length_is_refused(client, target, kind, by):
    length = sum(map(len, CHUNKS)) + by
    answer = send(client, target, CHUNKS, kind, decoded=length)
    refused(target, answer, "IncompleteBody", "InvalidRequest", "SignatureDoesNotMatch",
            "InvalidArgument")


@kinds
@pytest.mark.parametrize("text", ["", "-1", "abc", "1e9", str(6 << 40)])
def test_nonsensical_decoded_length_is_refused(client, target, kind, text):
    answer = send(client, target, CHUNKS, kind, decoded=text)
    refused(target, answer, "IncompleteBody", "InvalidRequest", "InvalidArgument",
            "MissingContentLength", "EntityTooLarge", "SignatureDoesNotMatch")


@pytest.mark.parametrize("algorithm", c.ALGORITHMS)
@pytest.mark.parametrize("kind", TRAILING)
def test_wrong_trailing_checksum_is_refused(client, target, kind, algorithm):
    wrong = (c.header(algorithm), c.value(algorithm, b"something else"))
    refused(target, send(client, target, CHUNKS, kind, trailer=wrong), "BadDigest")


@pytest.mark.parametrize("alter", [
    lambda f: [*f[:-1], f[-1].replace(b"x-amz-trailer-signature:", b"x-amz-trailer-signature:0")],
    lambda f: [*f[:-1], f[-1].split(b"x-amz-trailer-signature:")[0] + b"\r\n"],
    lambda f: [*f[:-1], f[-1].replace(b"x-amz-checksum-crc32:", b"x-amz-checksum-crc32:A")],
], ids=["signature", "no signature", "value"])
def test_altered_signed_trailer_is_refused(client, target, alter):
    refused(target, send(client, target, CHUNKS, STREAMING_TRAILER, alter=alter),
            "SignatureDoesNotMatch", "MalformedTrailerError", "InvalidRequest", "BadDigest",
            "IncompleteBody")


@pytest.mark.parametrize("kind", TRAILING)
@pytest.mark.parametrize("alter", [
    lambda f: [*f[:-1], f[-1].replace(b"-crc32:", b"-sha1:")],      # not the announced one
    lambda f: [*f[:-1], f[-1].split(b"\r\n")[0] + b"\r\n\r\n"],
], ids=["other name", "absent"])
def test_trailer_that_was_not_announced_is_refused(client, target, kind, alter):
    refused(target, send(client, target, CHUNKS, kind, alter=alter), "MalformedTrailerError",
            "InvalidRequest", "SignatureDoesNotMatch", "IncompleteBody")


@pytest.mark.parametrize("kind", TRAILING)
def test_trailer_cannot_set_anything_else(client, s3, bucket, kind):
    """A trailer is data: it must not become a header of the request."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    answer = client.stream(f"/{bucket}/k", CHUNKS, kind,
                           trailer=("x-amz-copy-source", f"{bucket}/secret"))
    assert answer.status in (400, 403), answer
    assert h.get(s3, bucket, "k") == b"old"


@kinds
def test_giant_chunk_is_refused_before_it_is_read(client, target, kind):
    """A chunk header may declare anything; memory must not follow it."""
    def alter(frames):
        line, rest = frames[0].split(b"\r\n", 1)
        return [line.replace(b"10000", b"ffffffffff", 1) + b"\r\n" + rest, *frames[1:]]

    try:
        answer = send(client, target, CHUNKS, kind, alter=alter)
    except rawhttp.NoAnswer:
        target.unchanged()
        return
    refused(target, answer, "InvalidRequest", "IncompleteBody", "EntityTooLarge",
            "SignatureDoesNotMatch", "InvalidChunkSizeError")


@pytest.mark.parametrize("line", [b"xyz", b"-1", b"", b"0x10", b"1 0000", b"10000" * 50])
def test_malformed_chunk_header_is_refused(client, target, line):
    def alter(frames):
        return [line + frames[0][frames[0].index(b"\r\n"):], *frames[1:]]

    try:
        answer = send(client, target, CHUNKS, UNSIGNED_TRAILER, alter=alter)
    except rawhttp.NoAnswer:
        target.unchanged()
        return
    refused(target, answer, "InvalidRequest", "IncompleteBody", "InvalidChunkSizeError")


@kinds
def test_client_that_dies_in_the_middle_leaves_the_old_object(client, target, kind):
    for stop in (0, 100, 70_000):
        try:
            answer = send(client, target, CHUNKS, kind, stop_after=stop)
        except rawhttp.NoAnswer:
            pass
        else:
            assert answer.status >= 400, answer
        target.unchanged()


@kinds
def test_unsigned_mode_header_cannot_be_swapped(client, target, kind):
    """The kind of payload is signed: a signed stream cannot be passed off as another kind."""
    for other in {*KINDS, sigv4.UNSIGNED} - {kind}:
        whole = b"".join(CHUNKS)
        own = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(whole))}
        if kind in TRAILING:
            own["x-amz-trailer"] = c.header("CRC32")
        request = sigv4.Request("PUT", target.path, list(target.query), own)
        headers, seed, when = client.signed_headers(request, kind)
        headers["x-amz-content-sha256"] = other
        trailer = (c.header("CRC32"), c.value("CRC32", whole)) if kind in TRAILING else None
        body = b"".join(client.frames(CHUNKS, kind, seed, when, trailer))
        refused(target, client.send(request, headers, body), "SignatureDoesNotMatch")


def test_unknown_payload_kind_is_refused(client, target):
    for kind in ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD",
                 "streaming-aws4-hmac-sha256-payload", "abc", "0" * 63):
        request = sigv4.Request("PUT", target.path, list(target.query), {}, b"new")
        headers, _, _ = client.signed_headers(request, kind)
        answer = client.send(request, headers)
        assert answer.status in (400, 403, 501), (kind, answer)
        target.unchanged()
