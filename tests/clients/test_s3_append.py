"""Goal: an append (PutObject with WriteOffsetBytes) adds to the end of an object, and nothing of it is
lost: not by a kill, not with the index.

Method: boto3 with default settings (it sends checksums in trailers); a server of its own to kill.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from conftest import new_bucket
from harness import s3 as h
from harness.server import Embedded


def append(s3, bucket, offset, body, **more):
    return s3.put_object(Bucket=bucket, Key="k", Body=body, WriteOffsetBytes=offset, **more)


def test_appends_add_up(s3, bucket):
    whole = b""
    for body in (b"one", b"x" * 100_000, b"", b"two" * 700_000):
        got = append(s3, bucket, len(whole), body)
        whole += body
        assert got["Size"] == len(whole)
        assert h.get(s3, bucket, "k") == whole
        assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == got["ETag"]
    with h.error("InvalidWriteOffset", 400):
        append(s3, bucket, 3, b"x")
    with h.error("InvalidRequest", 400):
        append(s3, bucket, len(whole), b"x", Metadata={"a": "b"})
    with h.error("PreconditionFailed", 412):
        append(s3, bucket, len(whole), b"x", IfNoneMatch="*")
    append(s3, bucket, len(whole), b"y", ChecksumAlgorithm="SHA256")
    assert h.get(s3, bucket, "k") == whole + b"y"


def test_an_append_where_versions_are_kept_says_so(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with h.error("NotImplemented", 501):
        append(s3, bucket, 0, b"x")


def test_what_was_appended_survives_kills_and_a_lost_index(own_server):
    server = own_server(Embedded)
    client = server.client()
    bucket = new_bucket(client)
    whole = b""
    for round in range(3):
        with ThreadPoolExecutor(4) as pool:
            bodies = [bytes([65 + round * 4 + at]) * 50_000 for at in range(4)]
            tries = [pool.submit(append, client, bucket, len(whole), body) for body in bodies]
        made = []
        for body, attempt in zip(bodies, tries):
            try:
                attempt.result()
                made.append(body)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "InvalidWriteOffset"
        assert len(made) == 1
        whole += made[0]
        server.kill9()
        server.start()
        if round == 2:
            server.rebuild_index()
        client = server.client()
        assert h.get(client, bucket, "k") == whole
