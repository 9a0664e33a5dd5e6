"""Goal: presigned URLs work with curl, and both address styles reach the same objects.

Method: URLs made by boto3 are handed to curl as a user would; virtual-host style goes through
boto3 with names resolving to the server, and by hand with a Host header.
"""
import subprocess
import time

import pytest

from harness import s3 as h
from harness import sigv4
from harness.server import DOMAIN


def curl(*arguments):
    """Runs curl; returns (status code, body bytes)."""
    command = ["curl", "-sS", "--path-as-is", "--max-time", "60", "-w", "\n%{http_code}"]
    done = subprocess.run([*command, *arguments], capture_output=True, check=True)
    data, status = done.stdout.rsplit(b"\n", 1)
    return int(status), data


def url(s3, operation, expires=300, **params):
    return s3.generate_presigned_url(operation, Params=params, ExpiresIn=expires)


@pytest.fixture
def signer(server):
    """A client that presigns with SigV4, as `aws s3 presign` does."""
    return server.client(signature_version="s3v4")


@pytest.mark.parametrize("key", ["k", "a b/ü+%/#?&=.txt", "日本/🦀", "dots/../x", "//"])
def test_presigned_get_with_curl(s3, signer, bucket, key):
    data = h.body(70_000)
    s3.put_object(Bucket=bucket, Key=key, Body=data, ContentType="text/plain")
    assert curl(url(signer, "get_object", Bucket=bucket, Key=key)) == (200, data)


def test_presigned_get_with_a_range_and_response_headers(s3, signer, bucket):
    data = h.body(3_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    signed = url(signer, "get_object", Bucket=bucket, Key="k",
                 ResponseContentDisposition='attachment; filename="ü x.bin"')
    assert curl("-r", "1048570-1048585", signed) == (206, data[1_048_570:1_048_586])
    status, text = curl("-D", "-", "-o", "/dev/null", signed)
    assert status == 200 and b"content-disposition: attachment;" in text.lower()


def test_presigned_put_with_curl(s3, signer, bucket, space):
    data = h.body(6_000_001)
    (space / "file").write_bytes(data)
    signed = url(signer, "put_object", Bucket=bucket, Key="up load", ContentType="text/x-y")
    status, _ = curl("-T", str(space / "file"), "-H", "Content-Type: text/x-y", signed)
    assert status == 200
    got = s3.get_object(Bucket=bucket, Key="up load")
    assert got["Body"].read() == data and got["ContentType"] == "text/x-y"


def test_presigned_head_list_and_delete(s3, signer, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    status, text = curl("-I", url(signer, "head_object", Bucket=bucket, Key="k"))
    assert status == 200 and b"content-length: 5" in text.lower()
    status, text = curl(url(signer, "list_objects_v2", Bucket=bucket))
    assert status == 200 and b"<Key>k</Key>" in text
    assert curl("-X", "DELETE", url(signer, "delete_object", Bucket=bucket, Key="k"))[0] == 204
    assert h.all_keys(s3, bucket) == []


def test_presigned_multipart_with_curl(s3, signer, bucket, space):
    parts = [h.body(h.PART_MIN), b"end"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for number, data in enumerate(parts, 1):
        (space / "part").write_bytes(data)
        signed = url(signer, "upload_part", Bucket=bucket, Key="k", UploadId=upload,
                     PartNumber=number)
        assert curl("-T", str(space / "part"), signed)[0] == 200
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in listed]})
    assert h.get(s3, bucket, "k") == b"".join(parts)


def test_presigned_url_is_for_its_method_and_key_only(s3, signer, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    signed = url(signer, "get_object", Bucket=bucket, Key="k")
    assert curl(signed.replace("/k?", "/secret?"))[0] == 403
    assert curl("-X", "PUT", "-d", "new", signed)[0] == 403
    assert curl("-X", "DELETE", signed)[0] == 403
    assert h.get(s3, bucket, "k") == b"old"


def test_presigned_url_expires(s3, signer, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    signed = url(signer, "get_object", expires=1, Bucket=bucket, Key="k")
    deadline = time.monotonic() + 20
    while (answer := curl(signed))[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert answer[0] == 403 and b"<Code>AccessDenied</Code>" in answer[1]


# -- virtual-host style

@pytest.fixture
def virtual(server):
    """A boto3 client that puts the bucket into the host name."""
    if server.form == "external":
        pytest.skip("the other endpoint's domain is not known")
    port = server.s3_url.rsplit(":", 1)[1]
    with h.resolving(DOMAIN):
        yield h.client(f"http://{DOMAIN}:{port}", server.access_key, server.secret_key,
                       s3={"addressing_style": "virtual"})


def test_virtual_host_style_reaches_the_same_objects(s3, virtual, bucket):
    data = h.body(2_000_000)
    virtual.put_object(Bucket=bucket, Key="a/b c+ü", Body=data)
    assert h.get(s3, bucket, "a/b c+ü") == data
    s3.put_object(Bucket=bucket, Key="path", Body=b"x")
    assert h.all_keys(virtual, bucket) == ["a/b c+ü", "path"]
    assert h.get(virtual, bucket, "a/b c+ü", Range="bytes=5-9") == data[5:10]
    virtual.delete_object(Bucket=bucket, Key="path")
    with h.error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="path")
    with h.error("NoSuchBucket", 404):
        virtual.list_objects_v2(Bucket="no-such-bucket-at-all")


def test_buckets_can_be_made_and_listed_in_virtual_host_style(s3, virtual):
    name = "virtual-" + h.sha256(h.body(8))[:12]
    virtual.create_bucket(Bucket=name)
    assert name in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert name in [b["Name"] for b in virtual.list_buckets()["Buckets"]]
    virtual.delete_bucket(Bucket=name)


def test_key_named_like_a_bucket_path_stays_in_the_hosts_bucket(s3, virtual, bucket):
    virtual.put_object(Bucket=bucket, Key=f"{bucket}/k", Body=b"nested")
    assert h.all_keys(s3, bucket) == [f"{bucket}/k"]


@pytest.mark.parametrize("host", ["localhost", "some-service.example.com", "127.0.0.1"])
def test_other_host_names_are_path_style(server, s3, bucket, host):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    port = server.s3_url.rsplit(":", 1)[1]
    answer = sigv4.client(server).call("GET", f"/{bucket}/k", headers={"Host": f"{host}:{port}"})
    assert (answer.status, answer.body) == (200, b"x")
