"""Goal: a bucket's policy decides for other accounts and for callers without a key, as AWS has it.

Method: boto3 with default settings as the owner, as another account and unsigned; a plain HTTP
client where boto3 would be too polite.
"""
import json
from datetime import datetime, timedelta, timezone

import pytest
import requests
from botocore import UNSIGNED

from conftest import new_bucket
from harness import s3 as h
from harness.accounts import Account, name


def unsigned(server):
    return h.client(server.s3_url, "none", "none-none", server.region,
                    signature_version=UNSIGNED)


@pytest.fixture
def owner(server):
    return Account(server, name())


@pytest.fixture
def other(server):
    return Account(server, name())


@pytest.fixture
def place(owner):
    client = owner.client()
    bucket = new_bucket(client)
    client.delete_public_access_block(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    return client, bucket


def statement(effect, principal, actions, bucket, *keys, **more):
    arn = f"arn:aws:s3:::{bucket}"
    resources = [f"{arn}/{key}" for key in keys] or [arn]
    return {"Effect": effect, "Principal": principal, "Action": actions, "Resource": resources,
            **more}


def put(client, bucket, *statements):
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    client.put_bucket_policy(Bucket=bucket, Policy=document)
    assert client.get_bucket_policy(Bucket=bucket)["Policy"] == document


def test_a_policy_is_kept_shown_and_deleted(place):
    client, bucket = place
    with h.error("NoSuchBucketPolicy", 404):
        client.get_bucket_policy(Bucket=bucket)
    assert not client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    put(client, bucket, statement("Allow", "*", "s3:GetObject", bucket, "*"))
    assert client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    client.delete_bucket_policy(Bucket=bucket)
    client.delete_bucket_policy(Bucket=bucket)
    with h.error("NoSuchBucketPolicy", 404):
        client.get_bucket_policy(Bucket=bucket)
    for bad in ["{", json.dumps({"Version": "2012-10-17", "Statement": []}), "x" * 30000]:
        with h.error("MalformedPolicy", 400):
            client.put_bucket_policy(Bucket=bucket, Policy=bad)


def test_a_public_policy_is_refused_and_without_force_while_it_is_blocked(server, owner):
    client, nobody = owner.client(), unsigned(server)
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    public = statement("Allow", "*", "s3:GetObject", bucket, "*")
    with h.error("AccessDenied", 403):
        put(client, bucket, public)
    client.delete_public_access_block(Bucket=bucket)
    put(client, bucket, public)
    assert h.get(nobody, bucket, "k") == b"data"
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={
        "RestrictPublicBuckets": True})
    with h.error("AccessDenied", 403):
        nobody.get_object(Bucket=bucket, Key="k")
    assert h.get(client, bucket, "k") == b"data"


def test_requesters_who_pay_say_so(place, other):
    client, bucket = place
    theirs = other.client()
    put(client, bucket, statement("Allow", {"AWS": other.number}, "s3:GetObject", bucket, "*"))
    client.put_bucket_request_payment(
        Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    with h.error("AccessDenied", 403):
        theirs.get_object(Bucket=bucket, Key="k")
    got = theirs.get_object(Bucket=bucket, Key="k", RequestPayer="requester")
    assert got["Body"].read() == b"data"
    assert h.get(client, bucket, "k") == b"data"


def test_another_account_does_what_it_is_allowed(place, owner, other):
    client, bucket = place
    theirs = other.client()
    calls = {
        "s3:GetObject": lambda: theirs.get_object(Bucket=bucket, Key="k")["Body"].read(),
        "s3:ListBucket": lambda: theirs.list_objects_v2(Bucket=bucket),
        "s3:PutObject": lambda: theirs.put_object(Bucket=bucket, Key="n", Body=b"theirs"),
        "s3:GetObjectTagging": lambda: theirs.get_object_tagging(Bucket=bucket, Key="k"),
        "s3:GetBucketPolicy": lambda: theirs.get_bucket_policy(Bucket=bucket),
        "s3:DeleteObject": lambda: theirs.delete_object(Bucket=bucket, Key="n"),
    }
    who = {"AWS": f"arn:aws:iam::{other.number}:root"}
    for allowed in calls:
        on_bucket = allowed in ("s3:ListBucket", "s3:GetBucketPolicy")
        keys = [] if on_bucket else ["*"]
        put(client, bucket, statement("Allow", who, allowed, bucket, *keys))
        for action, call in calls.items():
            if action == allowed:
                call()
                continue
            with h.error("AccessDenied", 403):
                call()
    client.put_object(Bucket=bucket, Key="n", Body=b"mine")
    put(client, bucket, statement("Allow", who, "s3:*", bucket, "*"))
    theirs.put_object(Bucket=bucket, Key="n", Body=b"theirs")
    assert h.get(client, bucket, "n") == b"theirs"
    listed = client.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert {entry["Owner"]["ID"] for entry in listed} == {owner.id}


def test_a_deny_holds_for_the_owner_but_never_locks_the_policy(place):
    client, bucket = place
    put(client, bucket,
        statement("Deny", "*", "s3:*", bucket), statement("Deny", "*", "s3:*", bucket, "*"))
    for call in [lambda: client.get_object(Bucket=bucket, Key="k"),
                 lambda: client.list_objects_v2(Bucket=bucket),
                 lambda: client.delete_bucket(Bucket=bucket)]:
        with h.error("AccessDenied", 403):
            call()
    client.delete_bucket_policy(Bucket=bucket)
    assert h.get(client, bucket, "k") == b"data"


def test_without_a_key_one_reads_and_writes_what_is_public(server, place):
    client, bucket = place
    nobody = unsigned(server)
    url = f"{server.s3_url}/{bucket}/k"
    assert requests.get(url, timeout=30).status_code == 403
    with h.error("AccessDenied", 403):
        nobody.get_object(Bucket=bucket, Key="k")
    put(client, bucket, statement("Allow", "*", "s3:GetObject", bucket, "*"))
    assert requests.get(url, timeout=30).content == b"data"
    assert h.get(nobody, bucket, "k") == b"data"
    assert requests.get(url + "?tagging", timeout=30).status_code == 403
    assert requests.get(f"{server.s3_url}/{bucket}/gone", timeout=30).status_code == 403
    with h.error("AccessDenied", 403):
        nobody.put_object(Bucket=bucket, Key="k", Body=b"x")
    put(client, bucket, statement("Allow", "*", ["s3:PutObject", "s3:AbortMultipartUpload"],
                                  bucket, "drop/*"))
    nobody.put_object(Bucket=bucket, Key="drop/1", Body=b"from nobody")
    upload = nobody.create_multipart_upload(Bucket=bucket, Key="drop/2")["UploadId"]
    part = nobody.upload_part(Bucket=bucket, Key="drop/2", UploadId=upload, PartNumber=1,
                              Body=b"part")
    nobody.complete_multipart_upload(
        Bucket=bucket, Key="drop/2", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    with h.error("AccessDenied", 403):
        nobody.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert h.get(client, bucket, "drop/1") == b"from nobody"
    assert h.get(client, bucket, "drop/2") == b"part"
    for call in [nobody.list_buckets, lambda: nobody.create_bucket(Bucket="t-by-nobody")]:
        with h.error("AccessDenied", 403):
            call()


def test_what_is_not_there_is_told_to_those_who_may_list(server, place, other):
    client, bucket = place
    theirs, nobody = other.client(), unsigned(server)
    put(client, bucket, statement("Allow", "*", "s3:GetObject*", bucket, "*"))
    for who in (theirs, nobody):
        with h.error("AccessDenied", 403):
            who.get_object(Bucket=bucket, Key="gone")
        with h.error("403", 403):
            who.head_object(Bucket=bucket, Key="gone")
    put(client, bucket, statement("Allow", "*", "s3:GetObject*", bucket, "*"),
        statement("Allow", "*", "s3:ListBucket", bucket))
    for who in (theirs, nobody):
        with h.error("NoSuchKey", 404):
            who.get_object(Bucket=bucket, Key="gone")
        with h.error("404", 404):
            who.head_object(Bucket=bucket, Key="gone")
        with h.error("NoSuchBucket", 404):
            who.get_object(Bucket=bucket + "-gone", Key="k")


def test_governance_is_bypassed_only_by_whom_the_policy_lets(server, owner, other):
    client, theirs = owner.client(), other.client()
    bucket = new_bucket(client)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}})
    version = client.put_object(Bucket=bucket, Key="k", Body=b"data")["VersionId"]
    who = {"AWS": other.number}
    put(client, bucket, statement("Allow", who, "s3:DeleteObject*", bucket, "*"))
    with h.error("AccessDenied", 403):
        theirs.delete_object(Bucket=bucket, Key="k", VersionId=version,
                             BypassGovernanceRetention=True)
    answer = theirs.delete_objects(
        Bucket=bucket, BypassGovernanceRetention=True,
        Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    assert [e["Code"] for e in answer["Errors"]] == ["AccessDenied"]
    put(client, bucket, statement(
        "Allow", who, ["s3:DeleteObject*", "s3:BypassGovernanceRetention"], bucket, "*"))
    with h.error("AccessDenied", 403):
        theirs.delete_object(Bucket=bucket, Key="k", VersionId=version)
    theirs.delete_object(Bucket=bucket, Key="k", VersionId=version, BypassGovernanceRetention=True)
    with h.error("NoSuchVersion", 404):
        client.get_object(Bucket=bucket, Key="k", VersionId=version)


def test_a_policy_limits_how_long_objects_are_locked(owner):
    client = owner.client()
    bucket = new_bucket(client)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    put(client, bucket, statement(
        "Deny", "*", "s3:PutObjectRetention", bucket, "*", Condition={
            "NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}),
        statement("Deny", "*", "s3:PutObjectLegalHold", bucket, "*", Condition={
            "StringEquals": {"s3:object-lock-legal-hold": "ON"}}))
    now = datetime.now(timezone.utc)

    def lock(days):
        return {"Mode": "GOVERNANCE", "RetainUntilDate": now + timedelta(days=days)}

    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    client.put_object_retention(Bucket=bucket, Key="k", Retention=lock(5))
    client.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "OFF"})
    for call in [
            lambda: client.put_object_retention(Bucket=bucket, Key="k", Retention=lock(20)),
            lambda: client.put_object(Bucket=bucket, Key="k", Body=b"x",
                                      ObjectLockMode="GOVERNANCE",
                                      ObjectLockRetainUntilDate=now + timedelta(days=20)),
            lambda: client.put_object_legal_hold(Bucket=bucket, Key="k",
                                                 LegalHold={"Status": "ON"})]:
        with h.error("AccessDenied", 403):
            call()
    kept = client.get_object_retention(Bucket=bucket, Key="k")["Retention"]["RetainUntilDate"]
    assert kept < now + timedelta(days=6)


def test_a_policy_outlasts_a_restart_and_the_index_too(embedded):
    owner, other = Account(embedded, name()), Account(embedded, name())
    client = owner.client()
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    put(client, bucket, statement("Allow", {"AWS": other.number}, "s3:GetObject", bucket, "*"))
    embedded.kill9()
    embedded.start()
    assert h.get(other.client(), bucket, "k") == b"data"
