"""Goal: `aws s3api` has a command for each operation that is served, and each gives what it should.

Method: a test declares the operations that it calls through the released program; one more test
reads the served ones from docs/s3-compatibility.md, so that a new one is missed here.
"""
import datetime
import functools
import hashlib
import json
import re

import pytest
from botocore import xform_name

from harness import s3 as h
from harness.commands import run
from harness.s3 import MIB
from harness.server import ROOT, Embedded

ARN = "arn:holdfast:notify:us-east-1::hook"
# Served, and no command of the aws cli: a form that a browser sends (test_s3_post.py).
NO_COMMAND = {"PostObject"}
DECLARED = set()


def calls(*operations):
    """Declares what a test calls, and holds it to that."""
    DECLARED.update(operations)

    def declare(test):
        @functools.wraps(test)
        def held(api, **fixtures):
            test(api=api, **fixtures)
            assert api.called == set(operations), "what is declared is called, and nothing else"

        return held

    return declare


@pytest.fixture(scope="module")
def api_server(session_space):
    """With a webhook, which is never reached, so that there is something to notify."""
    made = Embedded(session_space / "api", args=["--notify-webhook", "hook=http://127.0.0.1:9/"])
    yield made
    made.close()


@pytest.fixture
def s3(api_server, request):
    request.node.servers = [api_server]
    return api_server.client()


@pytest.fixture
def api(api_server):
    """Calls an operation: `api("GetObject", "file", bucket=…)`; returns its answer as a dict.

    Options that are no text go as JSON; with `refused`, the call must fail with that code.
    """
    environ = api_server.environ()

    def call(operation, *words, refused=None, **options):
        call.called.add(operation)
        argv = ["aws", "s3api", xform_name(operation, "-")]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                argv.append(flag)
            else:
                argv += [flag, value if isinstance(value, str) else json.dumps(value)]
        done = run([*argv, *words], environ, check=not refused)
        if refused:
            assert done.code != 0 and refused in done.err, done
        return json.loads(done.out) if done.out.strip() else {}

    call.called = set()
    return call


def served():
    page = (ROOT / "docs/s3-compatibility.md").read_text()
    return set(re.findall(r"^\| (\w+) \| yes \|", page, re.M))


def test_each_operation_that_is_served_is_called_here():
    assert len(served()) > 60, "the tables were read"
    assert DECLARED | NO_COMMAND == served()


@calls("CreateBucket", "HeadBucket", "ListBuckets", "GetBucketLocation", "DeleteBucket")
def test_buckets(api):
    name = "api-" + h.sha256(h.body(16))[:16]
    assert api("CreateBucket", bucket=name)["Location"] == f"/{name}"
    assert api("HeadBucket", bucket=name)["BucketRegion"] == "us-east-1"
    assert name in [bucket["Name"] for bucket in api("ListBuckets")["Buckets"]]
    assert api("GetBucketLocation", bucket=name)["LocationConstraint"] is None
    api("DeleteBucket", bucket=name)
    api("HeadBucket", bucket=name, refused="404")


@calls("PutObject", "HeadObject", "GetObject", "CopyObject", "RenameObject", "GetObjectAttributes",
       "DeleteObject", "DeleteObjects")
def test_objects(api, bucket, space):
    at = {"bucket": bucket, "key": "a b+c/ünï %2B"}
    (space / "in").write_bytes(b"0123456789")
    put = api("PutObject", **at, body=str(space / "in"), content_type="text/plain",
              metadata={"origin": "cli"})
    assert put["ETag"].strip('"') == hashlib.md5(b"0123456789").hexdigest()
    assert put["ChecksumCRC32"] and put["ChecksumType"] == "FULL_OBJECT"
    api("PutObject", **at, if_none_match="*", refused="PreconditionFailed")
    head = api("HeadObject", **at)
    assert (head["ContentLength"], head["Metadata"]) == (10, {"origin": "cli"})
    got = api("GetObject", str(space / "out"), **at, range="bytes=2-4")
    assert (space / "out").read_bytes() == b"234" and got["ContentRange"] == "bytes 2-4/10"
    copied = api("CopyObject", bucket=bucket, key="copy", copy_source=f"{bucket}/{at['key']}")
    assert copied["CopyObjectResult"]["ETag"] == put["ETag"]
    api("RenameObject", bucket=bucket, key="renamed", rename_source="copy",
        destination_if_none_match="*")
    api("HeadObject", bucket=bucket, key="copy", refused="404")
    attributes = api("GetObjectAttributes", "--object-attributes", "ETag", "ObjectSize",
                     "Checksum", bucket=bucket, key="renamed")
    assert attributes["ObjectSize"] == 10
    assert attributes["Checksum"]["ChecksumCRC32"] == put["ChecksumCRC32"]
    api("DeleteObject", **at)
    api("HeadObject", **at, refused="404")
    done = api("DeleteObjects", bucket=bucket,
               delete={"Objects": [{"Key": "renamed"}, {"Key": "none"}]})
    assert [entry["Key"] for entry in done["Deleted"]] == ["renamed", "none"]


@calls("ListObjects", "ListObjectsV2", "ListObjectVersions", "PutBucketVersioning",
       "GetBucketVersioning")
def test_listings_and_versions(api, s3, bucket):
    assert api("GetBucketVersioning", bucket=bucket) == {}
    api("PutBucketVersioning", bucket=bucket, versioning_configuration={"Status": "Enabled"})
    assert api("GetBucketVersioning", bucket=bucket)["Status"] == "Enabled"
    for key in ("a/1", "a/2", "b", "c ü+", "c ü+"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    listed = api("ListObjects", bucket=bucket, delimiter="/")
    assert h.keys(listed) == ["b", "c ü+"] and h.prefixes(listed) == ["a/"]
    paged = api("ListObjectsV2", "--page-size", "1", bucket=bucket)
    assert h.keys(paged) == ["a/1", "a/2", "b", "c ü+"]
    assert h.keys(api("ListObjectsV2", bucket=bucket, prefix="a/", start_after="a/1")) == ["a/2"]
    versions = api("ListObjectVersions", bucket=bucket, prefix="c")["Versions"]
    assert [(each["Key"], each["IsLatest"]) for each in versions] == [
        ("c ü+", True), ("c ü+", False)]


@calls("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "ListParts",
       "ListMultipartUploads", "CompleteMultipartUpload", "AbortMultipartUpload")
def test_uploads_in_parts(api, s3, bucket, space):
    first, second = h.body(5 * MIB), h.body(70_000)
    (space / "part").write_bytes(first)
    s3.put_object(Bucket=bucket, Key="source", Body=b"___" + second)
    at = {"bucket": bucket, "key": "a b+c/ünï"}
    upload = api("CreateMultipartUpload", **at)["UploadId"]
    uploads = api("ListMultipartUploads", bucket=bucket)["Uploads"]
    assert [(each["Key"], each["UploadId"]) for each in uploads] == [(at["key"], upload)]
    at["upload_id"] = upload
    sent = api("UploadPart", **at, part_number="1", body=str(space / "part"))
    copied = api("UploadPartCopy", **at, part_number="2", copy_source=f"{bucket}/source",
                 copy_source_range=f"bytes=3-{2 + len(second)}")["CopyPartResult"]
    parts = api("ListParts", **at)["Parts"]
    assert [(each["PartNumber"], each["Size"], each["ETag"]) for each in parts] == [
        (1, len(first), sent["ETag"]), (2, len(second), copied["ETag"])]
    named = [{"PartNumber": each["PartNumber"], "ETag": each["ETag"]} for each in parts]
    done = api("CompleteMultipartUpload", **at, multipart_upload={"Parts": named})
    assert done["ETag"] == h.multipart_etag([first, second])
    assert h.get(s3, bucket, at["key"]) == first + second
    left = api("CreateMultipartUpload", bucket=bucket, key="left")["UploadId"]
    api("AbortMultipartUpload", bucket=bucket, key="left", upload_id=left)
    assert "Uploads" not in api("ListMultipartUploads", bucket=bucket)


@calls("PutBucketTagging", "GetBucketTagging", "DeleteBucketTagging", "PutObjectTagging",
       "GetObjectTagging", "DeleteObjectTagging")
def test_tags(api, s3, bucket):
    tags = {"TagSet": [{"Key": "a b", "Value": "ü+"}]}
    api("PutBucketTagging", bucket=bucket, tagging=tags)
    assert api("GetBucketTagging", bucket=bucket) == tags
    api("DeleteBucketTagging", bucket=bucket)
    api("GetBucketTagging", bucket=bucket, refused="NoSuchTagSet")
    at = {"bucket": bucket, "key": "k"}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    api("PutObjectTagging", **at, tagging=tags)
    assert api("GetObjectTagging", **at) == tags
    api("DeleteObjectTagging", **at)
    assert api("GetObjectTagging", **at) == {"TagSet": []}


@calls("GetBucketOwnershipControls", "DeleteBucketOwnershipControls",
       "PutBucketOwnershipControls", "PutBucketAcl", "GetBucketAcl", "PutObjectAcl",
       "GetObjectAcl")
def test_ownership_and_acls(api, s3, bucket):
    def rule(ownership):
        return {"Rules": [{"ObjectOwnership": ownership}]}

    def owner_and_grants(answer):
        return (answer["Owner"]["ID"],
                sorted((g["Grantee"].get("ID"), g["Permission"]) for g in answer["Grants"]))

    owned = api("GetBucketOwnershipControls", bucket=bucket)["OwnershipControls"]
    assert owned == rule("BucketOwnerEnforced")
    api("PutBucketAcl", bucket=bucket, acl="private", refused="AccessControlListNotSupported")
    api("DeleteBucketOwnershipControls", bucket=bucket)
    api("GetBucketOwnershipControls", bucket=bucket, refused="OwnershipControlsNotFoundError")
    api("PutBucketOwnershipControls", bucket=bucket, ownership_controls=rule("ObjectWriter"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    api("PutBucketAcl", bucket=bucket, acl="private")
    me, grants = owner_and_grants(api("GetBucketAcl", bucket=bucket))
    assert grants == [(me, "FULL_CONTROL")]
    api("PutObjectAcl", bucket=bucket, key="k", grant_read=f"id={me}")
    assert owner_and_grants(api("GetObjectAcl", bucket=bucket, key="k")) == (me, [(me, "READ")])


@calls("PutBucketPolicy", "GetBucketPolicy", "GetBucketPolicyStatus", "DeleteBucketPolicy",
       "GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock")
def test_policies_and_public_access(api, bucket):
    blocked = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False,
               "RestrictPublicBuckets": False}
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
         "Resource": f"arn:aws:s3:::{bucket}/*"}]}
    api("PutPublicAccessBlock", bucket=bucket, public_access_block_configuration=blocked)
    got = api("GetPublicAccessBlock", bucket=bucket)["PublicAccessBlockConfiguration"]
    assert got == blocked
    api("DeletePublicAccessBlock", bucket=bucket)
    api("GetPublicAccessBlock", bucket=bucket, refused="NoSuchPublicAccessBlockConfiguration")
    api("PutBucketPolicy", bucket=bucket, policy=policy)
    assert json.loads(api("GetBucketPolicy", bucket=bucket)["Policy"]) == policy
    assert api("GetBucketPolicyStatus", bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    api("DeleteBucketPolicy", bucket=bucket)
    api("GetBucketPolicy", bucket=bucket, refused="NoSuchBucketPolicy")


@calls("PutBucketCors", "GetBucketCors", "DeleteBucketCors", "PutBucketWebsite",
       "GetBucketWebsite", "DeleteBucketWebsite", "PutBucketRequestPayment",
       "GetBucketRequestPayment")
def test_pages_and_payment(api, bucket):
    rules = {"CORSRules": [{"AllowedOrigins": ["https://example.org"], "AllowedMethods": ["GET"],
                            "AllowedHeaders": ["*"], "MaxAgeSeconds": 60}]}
    api("PutBucketCors", bucket=bucket, cors_configuration=rules)
    assert api("GetBucketCors", bucket=bucket) == rules
    api("DeleteBucketCors", bucket=bucket)
    api("GetBucketCors", bucket=bucket, refused="NoSuchCORSConfiguration")
    pages = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
    api("PutBucketWebsite", bucket=bucket, website_configuration=pages)
    assert api("GetBucketWebsite", bucket=bucket) == pages
    api("DeleteBucketWebsite", bucket=bucket)
    api("GetBucketWebsite", bucket=bucket, refused="NoSuchWebsiteConfiguration")
    api("PutBucketRequestPayment", bucket=bucket,
        request_payment_configuration={"Payer": "Requester"})
    assert api("GetBucketRequestPayment", bucket=bucket) == {"Payer": "Requester"}


@calls("PutBucketLifecycleConfiguration", "GetBucketLifecycleConfiguration",
       "DeleteBucketLifecycle")
def test_lifecycle(api, bucket):
    rules = [{"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "log/"},
              "Expiration": {"Days": 30},
              "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}]
    api("PutBucketLifecycleConfiguration", bucket=bucket, lifecycle_configuration={"Rules": rules})
    assert api("GetBucketLifecycleConfiguration", bucket=bucket)["Rules"] == rules
    api("DeleteBucketLifecycle", bucket=bucket)
    api("GetBucketLifecycleConfiguration", bucket=bucket, refused="NoSuchLifecycleConfiguration")


@calls("PutBucketLogging", "GetBucketLogging", "PutBucketNotificationConfiguration",
       "GetBucketNotificationConfiguration")
def test_logging_and_notifications(api, s3, bucket):
    statement = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
                 "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/log/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(
        {"Version": "2012-10-17", "Statement": [statement]}))
    status = {"LoggingEnabled": {"TargetBucket": bucket, "TargetPrefix": "log/"}}
    api("PutBucketLogging", bucket=bucket, bucket_logging_status=status)
    assert api("GetBucketLogging", bucket=bucket) == status
    wanted = {"QueueConfigurations": [
        {"Id": "all", "QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}]}
    api("PutBucketNotificationConfiguration", "--skip-destination-validation", bucket=bucket,
        notification_configuration=wanted)
    assert api("GetBucketNotificationConfiguration", bucket=bucket) == wanted


@calls("PutBucketInventoryConfiguration", "GetBucketInventoryConfiguration",
       "ListBucketInventoryConfigurations", "DeleteBucketInventoryConfiguration")
def test_inventories(api, bucket):
    wanted = {"Id": "all", "IsEnabled": False, "IncludedObjectVersions": "All",
              "Schedule": {"Frequency": "Weekly"}, "OptionalFields": ["Size"],
              "Destination": {"S3BucketDestination": {
                  "Bucket": f"arn:aws:s3:::{bucket}", "Format": "Parquet", "Prefix": "of"}}}
    api("PutBucketInventoryConfiguration", bucket=bucket, id="all",
        inventory_configuration=wanted)
    answer = api("GetBucketInventoryConfiguration", bucket=bucket, id="all")
    assert answer == {"InventoryConfiguration": wanted}
    listed = api("ListBucketInventoryConfigurations", bucket=bucket)
    assert listed["InventoryConfigurationList"] == [wanted]
    api("DeleteBucketInventoryConfiguration", bucket=bucket, id="all")
    api("GetBucketInventoryConfiguration", bucket=bucket, id="all", refused="NoSuchConfiguration")


@calls("CreateBucket", "PutObjectLockConfiguration", "GetObjectLockConfiguration", "PutObject",
       "PutObjectRetention", "GetObjectRetention", "PutObjectLegalHold", "GetObjectLegalHold",
       "DeleteObject")
def test_object_lock(api):
    bucket = "api-lock-" + h.sha256(h.body(16))[:16]
    api("CreateBucket", bucket=bucket, object_lock_enabled_for_bucket=True)
    lock = {"ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    api("PutObjectLockConfiguration", bucket=bucket, object_lock_configuration=lock)
    got = api("GetObjectLockConfiguration", bucket=bucket)["ObjectLockConfiguration"]
    assert got == lock
    version = api("PutObject", bucket=bucket, key="k")["VersionId"]
    at = {"bucket": bucket, "key": "k", "version_id": version}
    assert api("GetObjectRetention", **at)["Retention"]["Mode"] == "GOVERNANCE"
    until = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)).replace(
        microsecond=0)
    api("PutObjectRetention", **at,
        retention={"Mode": "GOVERNANCE", "RetainUntilDate": until.isoformat()})
    kept = api("GetObjectRetention", **at)["Retention"]["RetainUntilDate"]
    assert datetime.datetime.fromisoformat(kept) == until
    api("PutObjectLegalHold", **at, legal_hold={"Status": "ON"})
    assert api("GetObjectLegalHold", **at)["LegalHold"] == {"Status": "ON"}
    api("DeleteObject", **at, bypass_governance_retention=True, refused="AccessDenied")
    api("PutObjectLegalHold", **at, legal_hold={"Status": "OFF"})
    api("DeleteObject", **at, bypass_governance_retention=True)
