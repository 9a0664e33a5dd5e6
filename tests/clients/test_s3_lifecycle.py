"""Goal: lifecycle rules are kept, checked as S3 checks them, and carried out: what is due goes,
what is locked stays, and nothing else is touched.

Method: boto3 with default settings; a server of its own with days of a few seconds, a kill, a lost
index; metrics and the index check.
"""
import datetime
import email.utils
import re
import shutil
import time

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.commands import run
from harness.s3 import PART_MIN
from harness.server import Embedded, binary
from harness.wait import until

DAY_SECONDS = 4
MIDNIGHT = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)


def rule(**more):
    made = {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": ""}}
    made.update(more)
    return {name: value for name, value in made.items() if value is not None}


def days(count=1, **more):
    return rule(Expiration={"Days": count}, **more)


def put(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def rules_of(s3, bucket):
    return s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]


# -- the configuration

KEPT = [
    days(30),
    days(30, Status="Disabled", Filter={}),
    days(30, Filter=None, Prefix="logs/"),
    days(30, Filter={"Tag": {"Key": "k", "Value": "v"}}),
    days(30, Filter={"ObjectSizeGreaterThan": 500}),
    days(30, Filter={"And": {"Prefix": "x", "ObjectSizeLessThan": 10 ** 12, "Tags": [
        {"Key": "k", "Value": "v"}, {"Key": "l", "Value": ""}]}}),
    rule(Expiration={"Date": MIDNIGHT}),
    rule(Expiration={"ExpiredObjectDeleteMarker": True}),
    rule(NoncurrentVersionExpiration={"NoncurrentDays": 3}),
    rule(NoncurrentVersionExpiration={"NoncurrentDays": 3, "NewerNoncurrentVersions": 100}),
    rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    days(9, Transitions=[{"Days": 8, "StorageClass": "REDUCED_REDUNDANCY"}]),
    rule(Transitions=[{"Date": MIDNIGHT, "StorageClass": "REDUCED_REDUNDANCY"}]),
    rule(NoncurrentVersionTransitions=[{"NoncurrentDays": 0, "NewerNoncurrentVersions": 2,
                                        "StorageClass": "REDUCED_REDUNDANCY"}]),
    days(1, ID="ä" * 255, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1},
         NoncurrentVersionExpiration={"NoncurrentDays": 3}),
]


def test_rules_are_kept_until_they_are_deleted(s3, bucket):
    with h.error("NoSuchLifecycleConfiguration", 404):
        rules_of(s3, bucket)
    for each in KEPT:
        put(s3, bucket, each)
        assert rules_of(s3, bucket) == [each]
    many = [days(at + 1, ID=f"rule {at}", Filter={"Prefix": f"{at}/"}) for at in range(1000)]
    put(s3, bucket, *many)
    assert rules_of(s3, bucket) == many
    for _ in range(2):
        s3.delete_bucket_lifecycle(Bucket=bucket)
    with h.error("NoSuchLifecycleConfiguration", 404):
        rules_of(s3, bucket)
    put(s3, bucket, days(1, ID=None), days(2, ID=None))
    first, second = rules_of(s3, bucket)
    assert first["ID"] and second["ID"] and first["ID"] != second["ID"]


TAG = {"Key": "k", "Value": "v"}
REFUSED = {
    "no rules": ("MalformedXML", []),
    "too many rules": ("MalformedXML",
                       [days(ID=f"{at}", Filter={"Prefix": f"{at}"}) for at in range(1001)]),
    "id twice": ("InvalidArgument", [days(), days()]),
    "long id": ("InvalidArgument", [days(ID="x" * 256)]),
    "status": ("MalformedXML", [days(Status="enabled")]),
    "no filter": ("MalformedXML", [days(Filter=None)]),
    "filter and prefix": ("MalformedXML", [days(Prefix="x")]),
    "two conditions": ("MalformedXML", [days(Filter={"Prefix": "x", "Tag": TAG})]),
    "and of one": ("MalformedXML", [days(Filter={"And": {"Prefix": "x"}})]),
    "tag twice": ("InvalidRequest", [days(Filter={"And": {"Tags": [TAG, TAG]}})]),
    "sizes": ("InvalidRequest", [days(Filter={"And": {
        "ObjectSizeGreaterThan": 9, "ObjectSizeLessThan": 9}})]),
    "long prefix": ("InvalidRequest", [days(Filter={"Prefix": "x" * 1025})]),
    "no action": ("InvalidRequest", [rule()]),
    "days 0": ("InvalidArgument", [days(0)]),
    "days below 0": ("InvalidArgument", [days(-5)]),
    "no midnight": ("InvalidArgument", [rule(Expiration={
        "Date": MIDNIGHT + datetime.timedelta(hours=12)})]),
    "days and date": ("MalformedXML", [rule(Expiration={"Days": 1, "Date": MIDNIGHT})]),
    "marker and days": ("MalformedXML", [rule(Expiration={
        "Days": 1, "ExpiredObjectDeleteMarker": True})]),
    "marker and tags": ("InvalidRequest", [rule(
        Filter={"Tag": TAG}, Expiration={"ExpiredObjectDeleteMarker": True})]),
    "noncurrent 0": ("InvalidArgument", [rule(
        NoncurrentVersionExpiration={"NoncurrentDays": 0})]),
    "newer without days": ("MalformedXML", [rule(
        NoncurrentVersionExpiration={"NewerNoncurrentVersions": 1})]),
    "newer 101": ("InvalidArgument", [rule(NoncurrentVersionExpiration={
        "NoncurrentDays": 1, "NewerNoncurrentVersions": 101})]),
    "abort 0": ("InvalidArgument", [rule(
        AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})]),
    "abort and tags": ("InvalidRequest", [rule(
        Filter={"Tag": TAG}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})]),
    "abort and sizes": ("InvalidRequest", [rule(
        Filter={"ObjectSizeGreaterThan": 1},
        AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})]),
    "unknown class": ("MalformedXML", [rule(Transitions=[
        {"Days": 1, "StorageClass": "ICE"}])]),
    "transition after the end": ("InvalidArgument", [days(2, Transitions=[
        {"Days": 2, "StorageClass": "REDUCED_REDUNDANCY"}])]),
    "class twice": ("InvalidRequest", [rule(Transitions=[
        {"Days": at, "StorageClass": "REDUCED_REDUNDANCY"} for at in (1, 2)])]),
    "transition at noon": ("InvalidArgument", [rule(Transitions=[
        {"Date": MIDNIGHT + datetime.timedelta(hours=12), "StorageClass": "GLACIER"}])]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_s3_refuses_is_refused(s3, bucket, name):
    code, rules = REFUSED[name]
    put(s3, bucket, days(9, ID="kept"))
    with h.error(code, 400):
        put(s3, bucket, *rules)
    assert [each["ID"] for each in rules_of(s3, bucket)] == ["kept"]


@pytest.mark.parametrize("more", [
    {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]},
    {"NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "STANDARD_IA"}]},
    {"Transitions": [{"Days": 1, "StorageClass": "STANDARD"}]},
], ids=["current", "noncurrent", "standard"])
def test_transitions_to_classes_that_are_not_there_are_not_taken_in_silence(s3, bucket, more):
    with h.error("MalformedXML", 400):
        put(s3, bucket, rule(**more))
    with h.error("NoSuchLifecycleConfiguration", 404):
        rules_of(s3, bucket)


def expiry(answer):
    found = re.fullmatch('expiry-date="(.+)", rule-id="(.+)"', answer["Expiration"])
    return email.utils.parsedate_to_datetime(found.group(1)), found.group(2)


def test_objects_say_when_they_expire(s3, bucket):
    put(s3, bucket, days(3, ID="a b", Filter={"Prefix": "k"}),
        days(9, Filter={"Tag": {"Key": "never", "Value": "given"}}))
    answer = s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    made = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    at, name = expiry(answer)
    assert (at.hour, at.minute, at.second, name) == (0, 0, 0, "a%20b")
    assert datetime.timedelta(days=3) <= at - made <= datetime.timedelta(days=4)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k2")["UploadId"]
    tag = s3.upload_part(Bucket=bucket, Key="k2", UploadId=upload, PartNumber=1,
                         Body=b"part")["ETag"]
    for answer in (
            s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k"),
            s3.copy_object(Bucket=bucket, Key="k3", CopySource=f"{bucket}/k"),
            s3.complete_multipart_upload(
                Bucket=bucket, Key="k2", UploadId=upload,
                MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})):
        assert expiry(answer)[1] == "a%20b"
    assert "AbortDate" not in s3.create_multipart_upload(Bucket=bucket, Key="k4")
    s3.put_object(Bucket=bucket, Key="other", Body=b"data")
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="other")
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="k")


def test_uploads_say_when_they_are_aborted(s3, bucket):
    def tidy(count, name):
        return rule(ID=name, Filter={"Prefix": "k"},
                    AbortIncompleteMultipartUpload={"DaysAfterInitiation": count})
    put(s3, bucket, tidy(5, "later"), tidy(2, "a b"))
    opened = s3.create_multipart_upload(Bucket=bucket, Key="k")
    at = opened["AbortDate"]
    assert (at.hour, at.minute, at.second, opened["AbortRuleId"]) == (0, 0, 0, "a%20b")
    now = datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(days=1) < at - now <= datetime.timedelta(days=3)
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=opened["UploadId"])
    assert (listed["AbortDate"], listed["AbortRuleId"]) == (at, "a%20b")
    opened = s3.create_multipart_upload(Bucket=bucket, Key="other")
    assert "AbortDate" not in opened


# -- carrying it out

@pytest.fixture
def short(own_server):
    return own_server(Embedded, env={"HOLDFAST_LIFECYCLE_DAY": f"{DAY_SECONDS}s"})


def keys(client, bucket):
    return [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def versions(client, bucket):
    page = client.list_object_versions(Bucket=bucket)
    return [(each["Key"], kind == "DeleteMarkers") for kind in ("Versions", "DeleteMarkers")
            for each in page.get(kind, [])]


def enable(client, bucket):
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def test_what_is_due_goes_and_nothing_else(short):
    client = short.client()
    bucket, other = new_bucket(client), new_bucket(client)
    for key in ("old/a", "old/b", "kept", "late/a", "tagged", "big"):
        for name in (bucket, other):
            client.put_object(Bucket=name, Key=key, Body=b"x" * (9000 if key == "big" else 9))
    client.put_object_tagging(Bucket=bucket, Key="tagged", Tagging={"TagSet": [TAG]})
    upload = client.create_multipart_upload(Bucket=bucket, Key="old/up")["UploadId"]
    client.upload_part(Bucket=bucket, Key="old/up", UploadId=upload, PartNumber=1,
                       Body=h.body(PART_MIN))
    client.create_multipart_upload(Bucket=bucket, Key="kept")
    put(client, bucket,
        days(1, ID="prefix", Filter={"Prefix": "old/"},
             AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
        days(500, ID="late", Filter={"Prefix": "late/"}),
        days(1, ID="tag", Filter={"Tag": TAG}),
        days(1, ID="size", Filter={"ObjectSizeGreaterThan": 8999}),
        days(1, ID="off", Status="Disabled"),
        rule(ID="past", Expiration={"Date": datetime.datetime(2015, 1, 1)},
             Filter={"Prefix": "past"}))
    client.put_object(Bucket=bucket, Key="past", Body=b"x")
    until(lambda: keys(client, bucket) == ["kept", "late/a"], 30, "what is due goes")
    until(lambda: len(client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1, 30,
          "the upload goes")
    assert len(keys(client, other)) == 6
    metrics = short.admin.metrics()
    assert metrics.total("holdfast_lifecycle_expired_total", action="current") == 5
    assert metrics.total("holdfast_lifecycle_expired_total", action="upload") == 1
    until(lambda: short.admin.metrics().total("holdfast_lifecycle_backlog_entries") == 0, 30,
          "nothing is left to do")
    until(lambda: short.admin.metrics().total("holdfast_purge_backlog_entries") == 0, 60,
          "it is purged")
    assert "lifecycle rules carried out" in short.logs()
    short.admin.assert_index_clean()


def test_versions_and_markers_go(short):
    client = short.client()
    bucket = new_bucket(client)
    enable(client, bucket)
    for at in range(6):
        client.put_object(Bucket=bucket, Key="k", Body=bytes([at]))
    client.put_object(Bucket=bucket, Key="gone", Body=b"x")
    client.delete_object(Bucket=bucket, Key="gone")
    client.put_object(Bucket=bucket, Key="expires", Body=b"x")
    put(client, bucket,
        rule(ID="counted", Filter={"Prefix": "k"}, NoncurrentVersionExpiration={
            "NoncurrentDays": 1, "NewerNoncurrentVersions": 2}),
        rule(ID="all", Filter={"Prefix": "gone"}, Expiration={"ExpiredObjectDeleteMarker": True},
             NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        days(1, ID="current", Filter={"Prefix": "expires"}))
    left = [("expires", False), ("k", False), ("k", False), ("k", False), ("expires", True)]
    until(lambda: versions(client, bucket) == left, 40, "versions and markers go")
    assert h.get(client, bucket, "k") == bytes([5])
    with h.error("NoSuchKey", 404):
        h.get(client, bucket, "expires")
    metrics = short.admin.metrics()
    assert metrics.total("holdfast_lifecycle_expired_total", action="noncurrent") == 4
    assert metrics.total("holdfast_lifecycle_expired_total", action="marker") == 1


def test_what_is_locked_stays(short):
    client = short.client()
    bucket = f"locked-{time.time_ns()}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    # Dates of locks have whole seconds.
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    far = now + datetime.timedelta(days=1)
    soon = now + datetime.timedelta(seconds=4 * DAY_SECONDS)
    kept = [
        client.put_object(Bucket=bucket, Key="k", Body=b"held", ObjectLockLegalHoldStatus="ON"),
        client.put_object(Bucket=bucket, Key="k", Body=b"governed", ObjectLockMode="GOVERNANCE",
                          ObjectLockRetainUntilDate=far),
        client.put_object(Bucket=bucket, Key="k", Body=b"complied", ObjectLockMode="COMPLIANCE",
                          ObjectLockRetainUntilDate=far),
    ]
    client.put_object(Bucket=bucket, Key="k", Body=b"soon", ObjectLockMode="COMPLIANCE",
                      ObjectLockRetainUntilDate=soon)
    client.put_object(Bucket=bucket, Key="k", Body=b"free")
    put(client, bucket, days(1, NoncurrentVersionExpiration={"NoncurrentDays": 1}))

    def ids():
        listed = client.list_object_versions(Bucket=bucket).get("Versions", [])
        return [each["VersionId"] for each in listed]

    wanted = [each["VersionId"] for each in reversed(kept)]
    until(lambda: ids() == wanted, 60, "what is not locked goes, and what was when that is over")
    assert datetime.datetime.now(datetime.timezone.utc) >= soon
    # A lock that is lifted is looked at again.
    client.put_object_legal_hold(Bucket=bucket, Key="k", VersionId=kept[0]["VersionId"],
                                 LegalHold={"Status": "OFF"})
    client.put_object_retention(Bucket=bucket, Key="k", VersionId=kept[1]["VersionId"],
                                Retention={}, BypassGovernanceRetention=True)
    until(lambda: ids() == wanted[:1], 30, "what was lifted goes")


def test_rules_survive_a_kill_and_a_lost_index(short):
    client = short.client()
    bucket = new_bucket(client)
    for key in ("a", "b/1", "b/2"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    far = 10_000_000 // DAY_SECONDS
    put(client, bucket, days(far, Filter={"Prefix": "b/"}))
    short.kill9()
    short.start()
    client = short.client()
    assert rules_of(client, bucket)[0]["Expiration"] == {"Days": far}
    put(client, bucket, rule(ID="soon", Filter={"Prefix": "b/"}, Expiration={"Days": 3}))
    short.stop()
    shutil.rmtree(short.data / "index")
    run([binary(), "index", "rebuild", "--data-dir", short.data], short.server_keys())
    short.start()
    client = short.client()
    until(lambda: keys(client, bucket) == ["a"], 40, "a rebuilt index has the rules carried out")
    short.admin.assert_index_clean()
