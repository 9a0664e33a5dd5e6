"""Goal: each checksum a client sends is verified, stored and returned; a wrong one changes nothing.

Method: boto3 for headers (its trailers need https; they are sent by hand in
test_signing_streaming.py), each of the five algorithms, whole objects and multipart.
"""
import pytest

from harness import checksums as c
from harness import s3 as h
from harness import sigv4
from harness.s3 import MIB

DATA = h.body(2 * MIB + 77, seed=7)
WRONG = b"not the data"

each = pytest.mark.parametrize("algorithm", c.ALGORITHMS)


def _stored(answer):
    return {a: answer[c.field(a)] for a in c.ALGORITHMS if c.field(a) in answer}


@each
def test_checksum_is_stored_and_returned(s3, bucket, algorithm):
    want = c.value(algorithm, DATA)
    put = s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm=algorithm)
    assert put[c.field(algorithm)] == want
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == DATA
    for answer in (head, got):
        assert _stored(answer) == {algorithm: want}
        assert answer["ChecksumType"] == "FULL_OBJECT"
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert listed["ChecksumAlgorithm"] == [algorithm]


@each
def test_precomputed_checksum_is_verified(s3, bucket, algorithm):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA,
                  **{c.field(algorithm): c.value(algorithm, DATA)})
    for data in (b"small", DATA):
        with h.error("BadDigest", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=data,
                          **{c.field(algorithm): c.value(algorithm, WRONG)})
    assert h.get(s3, bucket, "k") == DATA


@each
def test_malformed_checksum_is_refused(s3, bucket, algorithm):
    for bad in ("", "AAA", "not base64!", c.value("SHA256", DATA) + "AAAA"):
        with h.error("InvalidRequest", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=DATA, **{c.field(algorithm): bad})
    assert h.status_of(s3, bucket, "k") == 404


def test_default_put_has_a_checksum(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    (algorithm, stored), = _stored(head).items()
    assert stored == c.value(algorithm, DATA)


def test_checksums_are_returned_only_when_asked(s3, server, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm="SHA256")
    plain = sigv4.client(server).call("HEAD", f"/{bucket}/k")
    assert plain.status == 200
    assert not [name for name in plain.headers if name.startswith("x-amz-checksum")]
    asked = sigv4.client(server).call("HEAD", f"/{bucket}/k",
                                      headers={"x-amz-checksum-mode": "ENABLED"})
    assert asked.headers["x-amz-checksum-sha256"] == c.value("SHA256", DATA)


def test_range_carries_no_whole_object_checksum_that_would_not_match(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm="CRC32")
    part = s3.get_object(Bucket=bucket, Key="k", Range="bytes=5-99", ChecksumMode="ENABLED")
    assert part["Body"].read() == DATA[5:100]


def test_two_checksums_are_refused(s3, bucket):
    with h.error("InvalidRequest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumCRC32=c.value("CRC32", DATA),
                      ChecksumSHA1=c.value("SHA1", DATA))
    assert h.status_of(s3, bucket, "k") == 404


def test_content_md5_is_verified(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ContentMD5=c.md5_header(DATA))
    with h.error("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=DATA, ContentMD5=c.md5_header(WRONG))
    for bad in ("AAAA", "not base64", ""):
        with h.error("InvalidDigest", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"new", ContentMD5=bad)
    assert h.get(s3, bucket, "k") == DATA


def test_copy_keeps_or_computes_a_checksum(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm="SHA256")
    source = {"Bucket": bucket, "Key": "k"}
    kept = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)["CopyObjectResult"]
    assert kept["ChecksumSHA256"] == c.value("SHA256", DATA)
    changed = s3.copy_object(Bucket=bucket, Key="changed", CopySource=source,
                             ChecksumAlgorithm="CRC32C")["CopyObjectResult"]
    assert changed["ChecksumCRC32C"] == c.value("CRC32C", DATA)
    head = s3.head_object(Bucket=bucket, Key="changed", ChecksumMode="ENABLED")
    assert _stored(head) == {"CRC32C": c.value("CRC32C", DATA)}


# -- multipart

PARTS = [h.body(5 * MIB, seed=1), h.body(5 * MIB + 1, seed=2), h.body(99, seed=3)]
WHOLE = b"".join(PARTS)


def _upload(s3, bucket, **create):
    """Creates an upload and its parts; returns the arguments of Complete."""
    algorithm = create["ChecksumAlgorithm"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **create)["UploadId"]
    done = []
    for number, data in enumerate(PARTS, 1):
        done.append(h.put_part(s3, bucket, "k", upload, number, data,
                               ChecksumAlgorithm=algorithm))
        assert done[-1][c.field(algorithm)] == c.value(algorithm, data)
    return {"Bucket": bucket, "Key": "k", "UploadId": upload, "MultipartUpload": {"Parts": done}}


@pytest.mark.parametrize("algorithm", [a for a in c.ALGORITHMS if a != "CRC64NVME"])
def test_composite_checksum_of_a_multipart_object(s3, bucket, algorithm):
    answer = s3.complete_multipart_upload(**_upload(s3, bucket, ChecksumAlgorithm=algorithm))
    want = c.composite(algorithm, PARTS)
    assert answer[c.field(algorithm)] == want and answer["ChecksumType"] == "COMPOSITE"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    # HEAD and GET say the same checksum; AWS adds the part count to it.
    assert head[c.field(algorithm)] == want and head["ChecksumType"] == "COMPOSITE"
    assert h.get(s3, bucket, "k") == WHOLE


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksum_of_a_multipart_object(s3, bucket, algorithm):
    arguments = _upload(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    with h.error("BadDigest", 400):
        s3.complete_multipart_upload(**arguments, ChecksumType="FULL_OBJECT",
                                     **{c.field(algorithm): c.value(algorithm, WRONG)})
    assert h.status_of(s3, bucket, "k") == 404
    answer = s3.complete_multipart_upload(**arguments, ChecksumType="FULL_OBJECT",
                                          **{c.field(algorithm): c.value(algorithm, WHOLE)})
    assert answer[c.field(algorithm)] == c.value(algorithm, WHOLE)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == WHOLE  # boto3 verifies the full checksum while reading
    assert got["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("algorithm,kind", [
    ("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"),
])
def test_impossible_checksum_type_is_refused(s3, bucket, algorithm, kind):
    with h.error("InvalidRequest", 400):
        s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm,
                                   ChecksumType=kind)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_part_with_a_wrong_checksum_is_refused(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k",
                                        ChecksumAlgorithm="SHA256")["UploadId"]
    with h.error("BadDigest", 400):
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x",
                       ChecksumSHA256=c.value("SHA256", WRONG))
    with h.error("BadDigest", 400):
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x",
                       ChecksumAlgorithm="SHA256", ContentMD5=c.md5_header(WRONG))
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_complete_with_a_wrong_part_checksum_is_refused(s3, bucket):
    arguments = _upload(s3, bucket, ChecksumAlgorithm="CRC32")
    right = arguments["MultipartUpload"]["Parts"]
    wrong = [dict(part) for part in right]
    wrong[1]["ChecksumCRC32"] = c.value("CRC32", WRONG)
    with h.error("InvalidPart", 400):
        s3.complete_multipart_upload(**{**arguments, "MultipartUpload": {"Parts": wrong}})
    assert h.status_of(s3, bucket, "k") == 404
    s3.complete_multipart_upload(**arguments)
    assert h.get(s3, bucket, "k") == WHOLE


def test_list_parts_shows_the_parts_checksums(s3, bucket):
    arguments = _upload(s3, bucket, ChecksumAlgorithm="CRC32C")
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=arguments["UploadId"])
    assert listed["ChecksumAlgorithm"] == "CRC32C"
    assert [p["ChecksumCRC32C"] for p in listed["Parts"]] == [c.value("CRC32C", p) for p in PARTS]
