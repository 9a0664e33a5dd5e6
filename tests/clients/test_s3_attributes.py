"""Goal: GetObjectAttributes says of an object what HEAD, and of its parts what their uploads said.

Method: boto3 with default settings; the raw document for what SDKs hide.
"""
import base64
import hashlib

import pytest

from harness import s3 as h
from harness import sigv4
from harness.s3 import PART_MIN

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


def attributes(s3, bucket, key="k", asked=ALL, **more):
    return s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=asked, **more)


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_an_object_of_one_piece_has_no_parts(s3, bucket):
    data = h.body(1234)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm="SHA256")
    got = attributes(s3, bucket)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert got["ETag"] == put["ETag"].strip('"')
    assert got["ObjectSize"] == len(data) and got["StorageClass"] == "STANDARD"
    assert got["LastModified"] == head["LastModified"]
    assert got["Checksum"] == {"ChecksumSHA256": sha256(data), "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in got and "DeleteMarker" not in got


@pytest.mark.parametrize("asked", ALL)
def test_only_what_is_asked_for_is_told(s3, bucket, asked):
    h.multipart(s3, bucket, "k", [h.body(PART_MIN), h.body(9)])
    got = attributes(s3, bucket, asked=[asked])
    assert set(got) - {"ResponseMetadata", "LastModified"} == {asked}


def test_parts_come_in_pages(s3, bucket):
    parts = [h.body(PART_MIN), h.body(PART_MIN + 1), h.body(PART_MIN + 2), h.body(5)]
    create = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    upload = create["UploadId"]
    named = [h.put_part(s3, bucket, "k", upload, number, part, ChecksumAlgorithm="SHA256")
             for number, part in enumerate(parts, 1)]
    done = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload,
                                        MultipartUpload={"Parts": named})
    got = attributes(s3, bucket)
    assert got["ETag"] == done["ETag"].strip('"')
    assert got["ObjectSize"] == sum(map(len, parts))
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    assert got["Checksum"] == {"ChecksumSHA256": sha256(digests) + "-4",
                               "ChecksumType": "COMPOSITE"}
    told = got["ObjectParts"]
    assert (told["TotalPartsCount"], told["IsTruncated"], told["MaxParts"]) == (4, False, 1000)
    assert [(part["PartNumber"], part["Size"], part["ChecksumSHA256"]) for part in told["Parts"]] \
        == [(at, len(part), sha256(part)) for at, part in enumerate(parts, 1)]
    seen, marker = [], 0
    while True:
        page = attributes(s3, bucket, asked=["ObjectParts"], MaxParts=3,
                          PartNumberMarker=marker)["ObjectParts"]
        assert (page["PartNumberMarker"], page["MaxParts"]) == (marker, 3)
        assert page["TotalPartsCount"] == 4
        seen += [part["PartNumber"] for part in page["Parts"]]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    assert seen == [1, 2, 3, 4]
    beyond = attributes(s3, bucket, asked=["ObjectParts"], PartNumberMarker=9)["ObjectParts"]
    assert not beyond["IsTruncated"] and not beyond.get("Parts")


def test_the_document_is_that_of_s3(server, s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = sigv4.client(server).call("GET", f"/{bucket}/k", query=[("attributes", "")],
                                       headers={"x-amz-object-attributes": "ETag,ObjectSize"})
    assert answer.status == 200
    etag = put["ETag"].strip('"')
    assert f"<ETag>{etag}</ETag>".encode() in answer.body
    assert b"<ObjectSize>1</ObjectSize>" in answer.body


def test_errors_are_those_of_s3(s3, bucket):
    with h.error("NoSuchKey", 404):
        attributes(s3, bucket, "none")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with h.error("InvalidArgument", 400):
        attributes(s3, bucket, asked=["Colour"])
    with h.error("InvalidArgument", 400):
        attributes(s3, bucket, asked=["ObjectParts"], MaxParts=-1)
    with h.error("InvalidArgument", 400):
        attributes(s3, bucket, VersionId="3/L4kqtJlcpXroDTDmJ")
