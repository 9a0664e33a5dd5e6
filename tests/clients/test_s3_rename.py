"""Goal: a rename gives an object another name and changes nothing else of it; what was acknowledged
is so after kills and without the index, and under kills the object is never under no name.

Method: boto3 with default settings (it makes up a client token for each call) and, where it has no
word for it, requests signed by hand; a server of its own to kill.
"""

import threading
import time
import urllib.parse

import pytest
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from conftest import new_bucket
from harness import s3 as h
from harness import sigv4
from harness.s3 import MIB
from harness.server import Embedded


def rename(s3, bucket, source, key, **more):
    return s3.rename_object(Bucket=bucket, Key=key, RenameSource=urllib.parse.quote(source), **more)


def seen(s3, bucket, key):
    head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    head.pop("ResponseMetadata")
    head.pop("AcceptRanges", None)
    return head, s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"], h.get(s3, bucket, key)


@pytest.mark.parametrize("length", [0, 300, 3 * MIB])
def test_only_the_name_changes(s3, bucket, length):
    s3.put_object(Bucket=bucket, Key="a b+c/ünï %2B", Body=h.body(length, 7), Tagging="a=b&c=d",
                  ContentType="text/plain", Metadata={"color": "blue"}, ChecksumAlgorithm="SHA256",
                  StorageClass="REDUCED_REDUNDANCY", CacheControl="no-store")
    before = seen(s3, bucket, "a b+c/ünï %2B")
    s3.put_object(Bucket=bucket, Key="new", Body=b"replaced")
    time.sleep(1.1)
    rename(s3, bucket, "a b+c/ünï %2B", "new")
    assert h.all_keys(s3, bucket) == ["new"]
    assert seen(s3, bucket, "new") == before
    rename(s3, bucket, "/new", "x/y")
    assert h.all_keys(s3, bucket) == ["x/y"]
    assert seen(s3, bucket, "x/y") == before


def test_an_object_of_parts_keeps_them(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32C",
                                        ChecksumType="COMPOSITE")["UploadId"]
    at = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    parts = []
    for number, length in ((2, 5 * MIB), (9, 70_000)):
        put = s3.upload_part(**at, PartNumber=number, Body=h.body(length, number),
                             ChecksumAlgorithm="CRC32C")
        parts.append({"PartNumber": number, "ETag": put["ETag"],
                      "ChecksumCRC32C": put["ChecksumCRC32C"]})
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    ask = {"ObjectAttributes": ["ETag", "Checksum", "ObjectParts", "ObjectSize"]}

    def described(key):
        told = s3.get_object_attributes(Bucket=bucket, Key=key, **ask)
        told.pop("ResponseMetadata")
        return told, seen(s3, bucket, key)

    before = described("k")
    assert before[1][0]["ETag"].endswith('-2"')
    rename(s3, bucket, "k", "new")
    assert described("new") == before
    assert h.all_keys(s3, bucket) == ["new"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    s3.put_object(Bucket=bucket, Key="there", Body=b"two")
    for refused in ({"DestinationIfNoneMatch": "*"}, {"DestinationIfMatch": etag},
                    {"SourceIfMatch": '"0"'}, {"SourceIfNoneMatch": etag},
                    {"DestinationIfUnmodifiedSince": "1994-11-06"},
                    {"SourceIfUnmodifiedSince": "1994-11-06"}):
        with h.error("PreconditionFailed", 412):
            rename(s3, bucket, "k", "there", **refused)
    invalid = [("dir/", "InvalidRequest"), ("there", "InvalidRequest")]
    for key, code in (("none", "NoSuchKey"), *invalid):
        with h.error(code):
            rename(s3, bucket, key, "there")
    assert h.get(s3, bucket, "there") == b"two" and h.get(s3, bucket, "k") == b"one"
    rename(s3, bucket, "k", "there", SourceIfMatch=etag, SourceIfModifiedSince="1994-11-06",
           DestinationIfModifiedSince="1994-11-06")
    assert h.get(s3, bucket, "there") == b"one" and h.all_keys(s3, bucket) == ["there"]


def test_a_token_makes_it_once(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"one")
    token = {"ClientToken": "t" * 64}
    rename(s3, bucket, "a", "b", **token)
    s3.put_object(Bucket=bucket, Key="a", Body=b"two")
    rename(s3, bucket, "a", "b", **token)
    assert h.get(s3, bucket, "b") == b"one" and h.get(s3, bucket, "a") == b"two"
    s3.put_object(Bucket=bucket, Key="c", Body=b"three")
    with h.error("IdempotencyParameterMismatch", 400):
        rename(s3, bucket, "c", "b", **token)
    with h.error("IdempotencyParameterMismatch", 400):
        rename(s3, bucket, "b", "c", **token)
    with h.error("InvalidArgument", 400):
        rename(s3, bucket, "c", "b", ClientToken="t" * 65)
    assert h.get(s3, bucket, "b") == b"one" and h.get(s3, bucket, "c") == b"three"


def test_what_it_does_not_apply_is_refused(server, s3, bucket):
    client = sigv4.client(server)
    s3.put_object(Bucket=bucket, Key="k", Body=b"one")
    to = {"query": [("renameObject", "")]}
    source = {"x-amz-rename-source": "k"}
    for extra in ({"x-amz-acl": "public-read"}, {"x-amz-meta-a": "b"}, {"x-amz-tagging": "a=b"},
                  {"x-amz-storage-class": "STANDARD"}, {"x-amz-copy-source": f"/{bucket}/k"}):
        answer = client.call("PUT", f"/{bucket}/new", headers=source | extra, **to)
        assert (answer.status, answer.code) == (501, "NotImplemented"), answer
    answer = client.call("PUT", f"/{bucket}/new", headers=source)
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer
    answer = client.call("PUT", f"/{bucket}/new", headers=source, body=b"x", **to)
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer
    assert h.all_keys(s3, bucket) == ["k"]


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_where_versions_are_kept_it_says_so(s3, bucket, status):
    s3.put_object(Bucket=bucket, Key="k", Body=b"one")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    with h.error("NotImplemented", 501):
        rename(s3, bucket, "k", "new")
    assert h.all_keys(s3, bucket) == ["k"]


def test_an_object_is_never_under_no_name_whatever_is_killed(own_server):
    """Each of a few objects goes to and fro; after a kill it is under one name or both."""
    server = own_server(Embedded)
    bucket = new_bucket(server.client())
    bodies = {str(n): h.body(length, n) for n, length in enumerate((300, 40_000, 2 * MIB))}
    for name, body in bodies.items():
        server.client().put_object(Bucket=bucket, Key=f"{name}/a", Body=body)
    where = dict.fromkeys(bodies, "a")

    def go(name, stop):
        s3 = server.client()
        while not stop.is_set():
            old = where[name]
            new = "b" if old == "a" else "a"
            try:
                rename(s3, bucket, f"{name}/{old}", f"{name}/{new}")
            except (ClientError, ConnectionError, HTTPClientError):
                return
            where[name] = new

    for kill in range(6):
        stop = threading.Event()
        tasks = [threading.Thread(target=go, args=(name, stop)) for name in bodies]
        for task in tasks:
            task.start()
        time.sleep(0.3 + kill * 0.07)
        server.kill9()
        stop.set()
        for task in tasks:
            task.join()
        server.start()
        if kill % 3 == 2:
            server.rebuild_index()
        s3 = server.client()
        there = set(h.all_keys(s3, bucket))
        for name, body in bodies.items():
            old = where[name]
            new = "b" if old == "a" else "a"
            names = {key for key in (f"{name}/{old}", f"{name}/{new}") if key in there}
            assert names, f"{name} is under no name"
            for key in names:
                assert h.get(s3, bucket, key) == body, key
            if f"{name}/{old}" in there and f"{name}/{new}" in there:
                rename(s3, bucket, f"{name}/{old}", f"{name}/{new}")
            where[name] = new if f"{name}/{new}" in there else old
        assert len(h.all_keys(s3, bucket)) == len(bodies)
    server.admin.assert_index_clean()
