"""Goal: old programs that sign by version 2 are let in where the operator says so, and only there.

Method: boto3 with `signature_version="s3"`, and URLs that it presigns so, fetched with curl; a
server with `--sigv2 true` (that the default refuses them is in test_signing.py).
"""
import subprocess

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.server import Embedded


@pytest.fixture(scope="module")
def old_server(session_space):
    server = Embedded(session_space / "legacy", args=["--sigv2", "true"])
    yield server
    server.close()


def curl(*args):
    done = subprocess.run(["curl", "-sS", "-o", "-", "-w", "\n%{http_code}", *args],
                          capture_output=True, check=True, timeout=60)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def test_a_client_of_version_2_does_what_one_of_version_4_does(old_server):
    old, new = old_server.client(signature_version="s3"), old_server.client()
    bucket = new_bucket(old)
    key = "folder/a key+with ünusual=signs&more"
    old.put_object(Bucket=bucket, Key=key, Body=b"body", Metadata={"a": "1"},
                   Tagging="x=1&y=2", ContentType="text/plain")
    found = new.get_object(Bucket=bucket, Key=key)
    assert (found["Body"].read(), found["Metadata"]) == (b"body", {"a": "1"})
    assert old.get_object(Bucket=bucket, Key=key)["Body"].read() == b"body"
    tags = old.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"x": "1", "y": "2"}
    listed = old.list_objects_v2(Bucket=bucket, Prefix="folder/", MaxKeys=10)
    assert [entry["Key"] for entry in listed["Contents"]] == [key]
    part = b"p" * (5 << 20)
    upload = old.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    sent = old.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=part)
    old.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]})
    assert new.get_object(Bucket=bucket, Key="parts")["Body"].read() == part
    old.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}, {"Key": "parts"}]})
    old.delete_bucket(Bucket=bucket)


def test_a_wrong_secret_is_refused(old_server):
    bucket = new_bucket(old_server.client())
    wrong = h.client(old_server.s3_url, old_server.access_key, "not-the-secret",
                     old_server.region, signature_version="s3")
    with h.error("SignatureDoesNotMatch"):
        wrong.put_object(Bucket=bucket, Key="k", Body=b"new")
    unknown = h.client(old_server.s3_url, "AKNOBODY", "not-the-secret",
                       old_server.region, signature_version="s3")
    with h.error("InvalidAccessKeyId"):
        unknown.list_objects_v2(Bucket=bucket)
    assert old_server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_urls_of_version_2_hold_until_their_end(old_server):
    old = old_server.client(signature_version="s3")
    bucket = new_bucket(old)
    named = {"Bucket": bucket, "Key": "k"}
    put = old.generate_presigned_url("put_object", named)
    assert "AWSAccessKeyId=" in put
    status, _ = curl("-X", "PUT", "-H", "Content-Type:", "-d", "body", put)
    assert status == 200
    get = old.generate_presigned_url("get_object", {**named, "ResponseContentType": "text/html"})
    assert curl(get) == (200, b"body")
    status, said = curl(get.replace("text%2Fhtml", "text%2Fplain"))
    assert (status, b"SignatureDoesNotMatch" in said) == (403, True)
    status, said = curl(old.generate_presigned_url("get_object", named, ExpiresIn=-10))
    assert (status, b"has expired" in said) == (403, True)
