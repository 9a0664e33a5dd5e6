"""Goal: what is locked stays, whoever asks to delete it, until its lock ends; the errors are S3's.

Method: boto3 with default settings; every way to delete or replace a version is tried on one that
is locked.
"""
import datetime
import time

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness import sigv4
from harness.server import Embedded

DAY = datetime.timedelta(days=1)


def future(days=1, **more):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days, **more)
    return when.replace(microsecond=0)


def new_locked(s3, start="lock"):
    name = f"{start}-{h.sha256(h.body(16))[:16]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def locked(s3):
    return new_locked(s3)


def put(s3, bucket, key="k", **more):
    return s3.put_object(Bucket=bucket, Key=key, Body=b"kept", **more)["VersionId"]


def retain(s3, bucket, mode, until, key="k", **more):
    retention = {"Mode": mode, "RetainUntilDate": until}
    s3.put_object_retention(Bucket=bucket, Key=key, Retention=retention, **more)


def default(s3, bucket, rule=None):
    document = {"ObjectLockEnabled": "Enabled"}
    if rule:
        document["Rule"] = {"DefaultRetention": rule}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=document)


def test_the_configuration_of_a_bucket(s3, bucket, locked):
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    got = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert got == {"ObjectLockEnabled": "Enabled"}
    for rule in [{"Mode": "GOVERNANCE", "Days": 7}, {"Mode": "COMPLIANCE", "Years": 2}]:
        default(s3, locked, rule)
        got = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
        assert got["Rule"]["DefaultRetention"] == rule
    with h.error("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Suspended"})
    with h.error("ObjectLockConfigurationNotFoundError", 404):
        s3.get_object_lock_configuration(Bucket=bucket)
    with h.error("InvalidBucketState", 409):
        default(s3, bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    default(s3, bucket)
    assert put(s3, bucket, ObjectLockLegalHoldStatus="ON")


@pytest.mark.parametrize("rule, code", [
    ({"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"),
    ({"Mode": "GOVERNANCE"}, "MalformedXML"), ({"Mode": "governance", "Days": 1}, "MalformedXML"),
    ({"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"),
    ({"Mode": "GOVERNANCE", "Days": 36501}, "InvalidRetentionPeriod"),
    ({"Mode": "COMPLIANCE", "Years": -1}, "InvalidRetentionPeriod"),
])
def test_bad_configurations_are_refused(s3, locked, rule, code):
    with h.error(code, 400):
        default(s3, locked, rule)
    got = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert "Rule" not in got


def test_without_a_configuration_nothing_is_locked(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    for call in [
        lambda: put(s3, bucket, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=future()),
        lambda: put(s3, bucket, ObjectLockLegalHoldStatus="ON"),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", ObjectLockLegalHoldStatus="ON"),
        lambda: retain(s3, bucket, "GOVERNANCE", future()),
        lambda: s3.get_object_retention(Bucket=bucket, Key="k"),
        lambda: s3.get_object_legal_hold(Bucket=bucket, Key="k"),
        lambda: s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"}),
    ]:
        with h.error("InvalidRequest", 400):
            call()
    assert h.get(s3, bucket, "k") == b"data"


def test_locks_are_shown(s3, locked):
    until = future()
    put(s3, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON")
    for got in [s3.head_object(Bucket=locked, Key="k"), s3.get_object(Bucket=locked, Key="k")]:
        assert (got["ObjectLockMode"], got["ObjectLockLegalHoldStatus"]) == ("COMPLIANCE", "ON")
        assert got["ObjectLockRetainUntilDate"] == until
    got = s3.get_object_retention(Bucket=locked, Key="k")["Retention"]
    assert got == {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    put(s3, locked, "free")
    with h.error("NoSuchObjectLockConfiguration", 404):
        s3.get_object_retention(Bucket=locked, Key="free")
    with h.error("NoSuchObjectLockConfiguration", 404):
        s3.get_object_legal_hold(Bucket=locked, Key="free")


def delete_ways(s3, bucket, version):
    """Every way to make a version go."""
    one = {"Bucket": bucket, "Key": "k", "VersionId": version}
    many = {"Objects": [{"Key": "k", "VersionId": version}]}

    def all_at_once(**more):
        answer = s3.delete_objects(Bucket=bucket, Delete=many, **more)
        assert [e["Code"] for e in answer.get("Errors", [])] == ["AccessDenied"]

    def alone(**more):
        with h.error("AccessDenied", 403):
            s3.delete_object(**one, **more)

    return [alone, all_at_once]


@pytest.mark.parametrize("lock, passes", [
    ({"ObjectLockMode": "COMPLIANCE"}, False), ({"ObjectLockMode": "GOVERNANCE"}, True),
    ({"ObjectLockLegalHoldStatus": "ON"}, False),
], ids=["compliance", "governance", "hold"])
def test_what_is_locked_is_not_deleted(s3, locked, lock, passes):
    if "ObjectLockMode" in lock:
        lock = dict(lock, ObjectLockRetainUntilDate=future())
    version = put(s3, locked, **lock)
    for way in delete_ways(s3, locked, version):
        way()
        if not passes:
            way(BypassGovernanceRetention=True)
    # A delete marker and newer versions hide it, and it stays.
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]
    newer = put(s3, locked)
    assert s3.get_object(Bucket=locked, Key="k", VersionId=version)["Body"].read() == b"kept"
    for free in [marker, newer]:
        s3.delete_object(Bucket=locked, Key="k", VersionId=free)
    with h.error("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=locked)
    # Neither tags nor a copy onto itself loosen it.
    s3.put_object_tagging(Bucket=locked, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.copy_object(Bucket=locked, Key="k", CopySource={"Bucket": locked, "Key": "k"},
                   MetadataDirective="REPLACE")
    for way in delete_ways(s3, locked, version):
        way()
    assert s3.get_object(Bucket=locked, Key="k", VersionId=version)["Body"].read() == b"kept"
    # The copy is not locked.
    copy = s3.head_object(Bucket=locked, Key="k")
    assert "ObjectLockMode" not in copy and "ObjectLockLegalHoldStatus" not in copy
    s3.delete_object(Bucket=locked, Key="k", VersionId=copy["VersionId"])
    if passes:
        s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    if "ObjectLockLegalHoldStatus" in lock:
        s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
        held = s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"]
        assert held == {"Status": "OFF"}
        s3.delete_object(Bucket=locked, Key="k", VersionId=version)


def test_retention_grows_and_is_loosened_by_bypass_only(s3, locked):
    put(s3, locked)
    retain(s3, locked, "GOVERNANCE", future(2))
    retain(s3, locked, "GOVERNANCE", future(3))
    for mode, days in [("GOVERNANCE", 1), ("COMPLIANCE", 4)]:
        with h.error("AccessDenied", 403):
            retain(s3, locked, mode, future(days))
    with h.error("AccessDenied", 403):
        s3.put_object_retention(Bucket=locked, Key="k", Retention={})
    retain(s3, locked, "GOVERNANCE", future(1), BypassGovernanceRetention=True)
    s3.put_object_retention(Bucket=locked, Key="k", Retention={}, BypassGovernanceRetention=True)
    retain(s3, locked, "COMPLIANCE", future(1))
    retain(s3, locked, "COMPLIANCE", future(2))
    for mode, days in [("GOVERNANCE", 3), ("COMPLIANCE", 1)]:
        with h.error("AccessDenied", 403):
            retain(s3, locked, mode, future(days), BypassGovernanceRetention=True)
    with h.error("AccessDenied", 403):
        s3.put_object_retention(Bucket=locked, Key="k", Retention={},
                                BypassGovernanceRetention=True)


@pytest.mark.parametrize("headers", [
    {"ObjectLockMode": "GOVERNANCE"}, {"ObjectLockRetainUntilDate": future()},
    {"ObjectLockMode": "governance", "ObjectLockRetainUntilDate": future()},
    {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": future(-1)},
    {"ObjectLockLegalHoldStatus": "on"},
])
def test_bad_locks_are_refused(s3, locked, headers):
    with h.error("InvalidArgument", 400):
        put(s3, locked, **headers)
    assert "Versions" not in s3.list_object_versions(Bucket=locked)


def test_bad_documents_are_refused(server, s3, locked):
    put(s3, locked)
    client = sigv4.client(server)
    for what, document in [("retention", b"<Retention><Mode>GOVERNANCE</Mode></Retention>"),
                           ("retention", b"<Retention><Mode>x</Mode><RetainUntilDate>"
                                         b"2099-01-01T00:00:00Z</RetainUntilDate></Retention>"),
                           ("legal-hold", b"<LegalHold><Status>on</Status></LegalHold>"),
                           ("legal-hold", b"<LegalHold/>"), ("retention", b"<Ret")]:
        answer = client.call("PUT", f"/{locked}/k", query=[(what, "")], body=document)
        assert answer.status == 400, (what, document, answer.body)
        assert b"MalformedXML" in answer.body
    with h.error("InvalidArgument", 400):
        retain(s3, locked, "GOVERNANCE", future(-1))
    assert "ObjectLockMode" not in s3.head_object(Bucket=locked, Key="k")


def test_the_default_is_for_what_says_nothing(s3, locked):
    default(s3, locked, {"Mode": "GOVERNANCE", "Days": 1})
    own = future(9)
    put(s3, locked, "plain")
    put(s3, locked, "own", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=own)
    upload = s3.create_multipart_upload(Bucket=locked, Key="parts")["UploadId"]
    part = h.put_part(s3, locked, "parts", upload, 1, b"data")
    s3.complete_multipart_upload(Bucket=locked, Key="parts", UploadId=upload,
                                 MultipartUpload={"Parts": [part]})
    s3.copy_object(Bucket=locked, Key="copy", CopySource={"Bucket": locked, "Key": "own"})
    for key in ["plain", "parts", "copy"]:
        got = s3.head_object(Bucket=locked, Key=key)
        left = got["ObjectLockRetainUntilDate"] - datetime.datetime.now(datetime.timezone.utc)
        assert got["ObjectLockMode"] == "GOVERNANCE" and DAY / 2 < left <= DAY, key
    got = s3.get_object_retention(Bucket=locked, Key="own")["Retention"]
    assert got == {"Mode": "COMPLIANCE", "RetainUntilDate": own}


def test_a_lock_ends(s3, locked):
    until = future(0, seconds=3)
    version = put(s3, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    for way in delete_ways(s3, locked, version):
        way()
    while datetime.datetime.now(datetime.timezone.utc) <= until:
        time.sleep(0.2)
    s3.delete_object(Bucket=locked, Key="k", VersionId=version)
    assert "Versions" not in s3.list_object_versions(Bucket=locked)


def test_locks_outlast_a_kill(own_server):
    server = own_server(Embedded)
    s3 = server.client()
    bucket = new_locked(s3)
    version = put(s3, bucket)
    s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"})
    server.kill9()
    server.start()
    s3 = server.client()
    for way in delete_ways(s3, bucket, version):
        way()
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == \
        {"ObjectLockEnabled": "Enabled"}
    assert new_bucket(s3)
