"""Goal: what is asked of a bucket is found in its access log, in S3's format, and a bucket that does
not let logs in gets none.

Method: boto3; records are delivered every second, or when the server stops.
"""
import json
import re
import shlex

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.server import Embedded
from harness.wait import until


@pytest.fixture(scope="module")
def logged(session_space):
    made = Embedded(session_space / "logged", args=["--access-log-interval", "1s"])
    yield made
    made.close()


def fields(line):
    found = shlex.split(line.replace("[", '"').replace("]", '"'))
    assert len(found) == 26, line
    names = ["owner", "bucket", "time", "peer", "requester", "request", "operation", "key", "line",
             "status", "error", "sent", "size", "total", "turnaround", "referer", "agent",
             "version", "host_id", "signature", "cipher", "auth", "host", "tls", "access_point",
             "acl"]
    return dict(zip(names, found))


def allow(client, target, source, prefix="log/"):
    statement = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
                 "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{target}/{prefix}*",
                 "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"}}}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket=target, Policy=json.dumps(policy))


def enable(client, source, target, **more):
    enabled = {"TargetBucket": target, "TargetPrefix": "log/", **more}
    client.put_bucket_logging(Bucket=source, BucketLoggingStatus={"LoggingEnabled": enabled})
    return enabled


def records(client, target):
    lines = []
    for key in h.all_keys(client, target):
        lines += h.get(client, target, key).decode().splitlines()
    return [fields(line) for line in lines]


def test_a_configuration_comes_back_as_it_was_given(logged):
    client = logged.client()
    source, target = new_bucket(client), new_bucket(client)
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=source)
    with h.error("InvalidTargetBucketForLogging", 400):
        enable(client, source, target)
    allow(client, target, source)
    for more in [{}, {"TargetObjectKeyFormat": {"SimplePrefix": {}}}, {"TargetObjectKeyFormat": {
            "PartitionedPrefix": {"PartitionDateSource": "EventTime"}}}]:
        given = enable(client, source, target, **more)
        assert client.get_bucket_logging(Bucket=source)["LoggingEnabled"] == given
    client.put_bucket_logging(Bucket=source, BucketLoggingStatus={})
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=source)


@pytest.mark.parametrize("form,pattern", [
    ({"SimplePrefix": {}}, r"log/\d{4}(-\d\d){5}-[0-9A-F]{16}"),
    ({"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}},
     r"log/\d{12}/us-east-1/{}/\d{4}/\d\d/\d\d/\d{4}(-\d\d){5}-[0-9A-F]{16}"),
], ids=["simple", "partitioned"])
def test_requests_are_recorded(logged, form, pattern):
    client = logged.client()
    source, target = new_bucket(client), new_bucket(client)
    allow(client, target, source)
    enable(client, source, target, TargetObjectKeyFormat=form)
    put = client.put_object(Bucket=source, Key="a b", Body=b"x" * 100)
    client.get_object(Bucket=source, Key="a b")["Body"].read()
    client.get_object(Bucket=source, Key="a b", Range="bytes=0-9")["Body"].read()
    with h.error("NoSuchKey", 404):
        client.get_object(Bucket=source, Key="none")
    client.copy_object(Bucket=source, Key="copy", CopySource={"Bucket": source, "Key": "a b"})
    client.delete_objects(Bucket=source, Delete={"Objects": [{"Key": "copy"}]})
    until(lambda: len(records(client, target)) >= 6, 60, "six records are delivered")
    found = records(client, target)
    told = [(r["operation"], r["key"], r["status"], r["error"], r["sent"], r["size"])
            for r in found]
    expected = [
        ("REST.PUT.OBJECT", "a%20b", "200", "-", "-", "100"),
        ("REST.GET.OBJECT", "a%20b", "200", "-", "100", "100"),
        ("REST.GET.OBJECT", "a%20b", "206", "-", "10", "100")]
    assert [r for r in told if r[2] in ("200", "206") and r[0] in (
        "REST.PUT.OBJECT", "REST.GET.OBJECT")] == expected
    missing = next(r for r in found if r["error"] != "-")
    assert (missing["operation"], missing["status"], missing["error"]) == (
        "REST.GET.OBJECT", "404", "NoSuchKey")
    assert {"REST.COPY.OBJECT", "REST.POST.MULTI_OBJECT_DELETE"} <= {r[0] for r in told}
    first = found[0]
    owner = client.list_buckets()["Owner"]["ID"]
    assert first["owner"] == first["requester"] == owner and first["bucket"] == source
    request = put["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    assert request in {r["request"] for r in found}
    assert (first["peer"], first["signature"], first["auth"]) == (
        "127.0.0.1", "SigV4", "AuthHeader")
    assert "Boto3" in first["agent"] and re.match(r"\d\d/[A-Z][a-z]{2}/\d{4}:", first["time"])
    for key in h.all_keys(client, target):
        assert re.fullmatch(pattern.replace("{}", source), key), key


def test_what_is_left_is_delivered_when_the_server_stops(own_server):
    server = own_server(Embedded, args=["--access-log-interval", "1h"])
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)
    allow(client, target, source)
    enable(client, source, target)
    client.put_object(Bucket=source, Key="k", Body=b"x")
    assert h.all_keys(client, target) == []
    server.restart()
    assert "REST.PUT.OBJECT" in {r["operation"] for r in records(client, target)}
    delivered = server.admin.metrics().total("holdfast_access_log_buffered_bytes")
    assert delivered == 0


def test_a_bucket_that_lets_no_logs_in_any_more_gets_none(logged):
    client = logged.client()
    source, target = new_bucket(client), new_bucket(client)
    allow(client, target, source)
    enable(client, source, target)
    client.delete_bucket_policy(Bucket=target)
    client.put_object(Bucket=source, Key="k", Body=b"x")

    def failures():
        return logged.admin.metrics().total("holdfast_access_log_failures_total") or 0

    until(lambda: failures() > 0, 60, "a delivery failed")
    assert h.all_keys(client, target) == []


def test_the_canned_acl_for_logs_lets_them_in(own_server):
    server = own_server(Embedded, args=["--bucket-acls", "on", "--access-log-interval", "1s"])
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)
    with h.error("InvalidTargetBucketForLogging", 400):
        enable(client, source, target)
    client.put_bucket_acl(Bucket=target, ACL="log-delivery-write")
    enable(client, source, target)
    client.put_object(Bucket=source, Key="k", Body=b"x")
    until(lambda: records(client, target), 60, "records are delivered")
