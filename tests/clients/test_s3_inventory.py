"""Goal: what is in a bucket is found in its inventory, in S3's formats, once a day; and a bucket that
does not let lists in gets none.

Method: boto3; the first list is due as soon as it is configured. Parquet is read by pyarrow.
"""
import csv
import gzip
import hashlib
import io
import json
from urllib.parse import unquote_plus

import pyarrow.parquet
import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.server import Embedded
from harness.wait import until

ARN = "arn:aws:s3:::"


@pytest.fixture(scope="module")
def server(session_space):
    made = Embedded(session_space / "inventory")
    yield made
    made.close()


def configuration(name, target, **more):
    return {"Id": name, "IsEnabled": True, "IncludedObjectVersions": "Current",
            "Schedule": {"Frequency": "Daily"},
            "Destination": {"S3BucketDestination": {
                "Bucket": ARN + target, "Format": more.pop("format", "CSV"), "Prefix": "of"}},
            **more}


def put(client, bucket, config):
    client.put_bucket_inventory_configuration(
        Bucket=bucket, Id=config["Id"], InventoryConfiguration=config)


def get(client, bucket, name):
    answer = client.get_bucket_inventory_configuration(Bucket=bucket, Id=name)
    return answer["InventoryConfiguration"]


def allow(client, target, source):
    statement = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
                 "Action": "s3:PutObject", "Resource": f"{ARN}{target}/*",
                 "Condition": {"ArnLike": {"aws:SourceArn": ARN + source},
                               "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket=target, Policy=json.dumps(policy))


def manifests(client, target, source, name):
    keys = h.all_keys(client, target, Prefix=f"of/{source}/{name}/")
    return [key for key in keys if key.endswith("/manifest.checksum")]


def lists(client, target, source, name):
    """The manifest of the only list, and the bytes of its files, all checked against their sums."""
    [key] = until(lambda: manifests(client, target, source, name), 60, "a list")
    document = h.get(client, target, key.replace(".checksum", ".json"))
    assert h.get(client, target, key).decode() == hashlib.md5(document).hexdigest()
    manifest = json.loads(document)
    assert manifest["sourceBucket"] == source
    assert manifest["destinationBucket"] == ARN + target
    files = []
    for file in manifest["files"]:
        body = h.get(client, target, file["key"])
        assert (len(body), hashlib.md5(body).hexdigest()) == (file["size"], file["MD5checksum"])
        files.append(body)
    [hive] = h.all_keys(client, target, Prefix=f"of/{source}/{name}/hive/")
    wanted = [f"s3://{target}/{file['key']}" for file in manifest["files"]]
    assert h.get(client, target, hive).decode().splitlines() == wanted
    return manifest, files


def rows_of_csv(manifest, files):
    names = manifest["fileSchema"].split(", ")
    rows = []
    for body in files:
        text = gzip.decompress(body).decode()
        for row in csv.reader(io.StringIO(text)):
            assert len(row) == len(names)
            rows.append(dict(zip(names, row)))
    return rows


def test_configurations_come_back_as_they_were_given(server):
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)
    with h.error("NoSuchConfiguration", 404):
        get(client, source, "none")
    with h.error("NoSuchConfiguration", 404):
        client.delete_bucket_inventory_configuration(Bucket=source, Id="none")
    answer = client.list_bucket_inventory_configurations(Bucket=source)
    assert answer["IsTruncated"] is False and "InventoryConfigurationList" not in answer
    full = configuration("b", target, format="Parquet", Filter={"Prefix": "p/"},
                         IncludedObjectVersions="All", Schedule={"Frequency": "Weekly"},
                         OptionalFields=["Size", "ETag", "ObjectOwner"], IsEnabled=False)
    put(client, source, full)
    assert get(client, source, "b") == full
    changed = {**full, "OptionalFields": ["StorageClass"]}
    put(client, source, changed)
    assert get(client, source, "b") == changed
    plain = configuration("a", target, IsEnabled=False)
    put(client, source, plain)
    answer = client.list_bucket_inventory_configurations(Bucket=source)
    assert answer["InventoryConfigurationList"] == [plain, changed]
    client.delete_bucket_inventory_configuration(Bucket=source, Id="b")
    answer = client.list_bucket_inventory_configurations(Bucket=source)
    assert answer["InventoryConfigurationList"] == [plain]


def test_configurations_are_listed_in_pages(server):
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)
    names = [f"i{n:03}" for n in range(101)]
    for name in reversed(names):
        put(client, source, configuration(name, target, IsEnabled=False))
    first = client.list_bucket_inventory_configurations(Bucket=source)
    assert [c["Id"] for c in first["InventoryConfigurationList"]] == names[:100]
    assert first["IsTruncated"] is True
    second = client.list_bucket_inventory_configurations(
        Bucket=source, ContinuationToken=first["NextContinuationToken"])
    assert [c["Id"] for c in second["InventoryConfigurationList"]] == names[100:]
    assert second["IsTruncated"] is False


def test_what_cannot_be_done_is_refused(server):
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)

    def refused(code, status, config, name=None):
        with h.error(code, status):
            client.put_bucket_inventory_configuration(
                Bucket=source, Id=name or config["Id"], InventoryConfiguration=config)

    refused("NotImplemented", 501, configuration("i", target, format="ORC"))
    for field in ["ObjectAccessControlList", "LifecycleExpirationDate"]:
        refused("NotImplemented", 501, configuration("i", target, OptionalFields=[field]))
    encrypted = configuration("i", target)
    encrypted["Destination"]["S3BucketDestination"]["Encryption"] = {"SSES3": {}}
    refused("NotImplemented", 501, encrypted)
    refused("InvalidArgument", 400, configuration("i", "no-such-bucket"))
    by_name = configuration("i", target)
    by_name["Destination"]["S3BucketDestination"]["Bucket"] = target
    refused("InvalidArgument", 400, by_name)
    refused("InvalidArgument", 400, configuration("a/b", target))
    refused("InvalidArgument", 400, configuration("i", target), name="other")
    twice = configuration("i", target, OptionalFields=["Size", "Size"])
    refused("InvalidArgument", 400, twice)
    refused("MalformedXML", 400, configuration("i", target, format="TSV"))
    assert "InventoryConfigurationList" not in client.list_bucket_inventory_configurations(
        Bucket=source)


def test_a_csv_list_has_every_version(server):
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)
    allow(client, target, source)
    client.put_object(Bucket=source, Key="before", Body=b"null version")
    client.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket=source, Key="a ü/+%", Body=b"one")
    second = client.put_object(Bucket=source, Key="a ü/+%", Body=b"three")
    gone = client.put_object(Bucket=source, Key="gone", Body=b"x")
    marker = client.delete_object(Bucket=source, Key="gone")
    upload = client.create_multipart_upload(Bucket=source, Key="parts")["UploadId"]
    part = client.upload_part(Bucket=source, Key="parts", UploadId=upload, PartNumber=1, Body=b"p")
    parts = client.complete_multipart_upload(
        Bucket=source, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    put(client, source, configuration(
        "versions", target, IncludedObjectVersions="All",
        OptionalFields=["ETag", "Size", "StorageClass", "IsMultipartUploaded", "LastModifiedDate",
                        "EncryptionStatus", "ObjectOwner", "ReplicationStatus"]))
    manifest, files = lists(client, target, source, "versions")
    assert manifest["fileFormat"] == "CSV" and manifest["version"] == "2016-11-30"
    assert manifest["fileSchema"] == (
        "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, StorageClass, "
        "ETag, IsMultipartUploaded, ReplicationStatus, EncryptionStatus, ObjectOwner")
    rows = rows_of_csv(manifest, files)
    found = [(unquote_plus(row["Key"]), row["VersionId"], row["IsLatest"], row["IsDeleteMarker"],
              row["Size"], row["ETag"]) for row in rows]
    tag = lambda answer: answer["ETag"].strip('"')
    assert found == [
        ("a ü/+%", second["VersionId"], "true", "false", "5", tag(second)),
        ("a ü/+%", first["VersionId"], "false", "false", "3", tag(first)),
        ("before", "", "true", "false", "12", hashlib.md5(b"null version").hexdigest()),
        ("gone", marker["VersionId"], "true", "true", "", ""),
        ("gone", gone["VersionId"], "false", "false", "1", tag(gone)),
        ("parts", parts["VersionId"], "true", "false", "1", tag(parts))]
    assert [row["IsMultipartUploaded"] for row in rows] == ["false"] * 3 + ["", "false", "true"]
    assert {row["Bucket"] for row in rows} == {source}
    assert {row["ReplicationStatus"] for row in rows} == {""}
    owner = client.list_buckets()["Owner"]["ID"]
    assert {row["ObjectOwner"] for row in rows} == {owner}
    assert all(row["LastModifiedDate"].endswith("Z") for row in rows)


def test_a_parquet_list_has_the_current_objects_below_a_prefix(server):
    client = server.client()
    source, target = "locked-by-inventory", new_bucket(client)
    client.create_bucket(Bucket=source, ObjectLockEnabledForBucket=True)
    allow(client, target, source)
    client.put_object(Bucket=source, Key="in/1", Body=b"12345", ObjectLockLegalHoldStatus="ON")
    client.put_object(Bucket=source, Key="in/ü \"2\"", Body=b"", ChecksumAlgorithm="SHA256")
    client.put_object(Bucket=source, Key="out", Body=b"x")
    put(client, source, configuration(
        "current", target, format="Parquet", Filter={"Prefix": "in/"},
        OptionalFields=["Size", "LastModifiedDate", "ObjectLockLegalHoldStatus", "ObjectLockMode",
                        "ChecksumAlgorithm"]))
    manifest, [body] = lists(client, target, source, "current")
    assert manifest["fileFormat"] == "Parquet"
    assert manifest["fileSchema"].startswith("message s3.inventory { required binary bucket (UTF8)")
    rows = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
    assert [(row["bucket"], row["key"], row["size"]) for row in rows] == [
        (source, "in/1", 5), (source, "in/ü \"2\"", 0)]
    assert [row["object_lock_legal_hold_status"] for row in rows] == ["ON", None]
    assert [row["object_lock_mode"] for row in rows] == [None, None]
    assert rows[1]["checksum_algorithm"] == "SHA256"
    modified = client.head_object(Bucket=source, Key="in/1")["LastModified"]
    listed = rows[0]["last_modified_date"].replace(tzinfo=modified.tzinfo)
    assert abs((listed - modified).total_seconds()) < 1


def test_a_list_is_written_once_a_day_also_after_a_restart(server):
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)
    allow(client, target, source)
    put(client, source, configuration("once", target))
    manifest, files = lists(client, target, source, "once")
    assert files == [] and manifest["files"] == []
    again = new_bucket(client)
    allow(client, target, again)
    server.restart()
    client = server.client()
    # A list of another bucket, written after the restart, shows that a turn has passed.
    put(client, again, configuration("later", target))
    lists(client, target, again, "later")
    assert len(manifests(client, target, source, "once")) == 1


def test_a_bucket_that_lets_no_lists_in_gets_none(server):
    client = server.client()
    source, target = new_bucket(client), new_bucket(client)
    def failures():
        metrics = server.admin.metrics()
        return metrics.total("holdfast_inventory_lists_total", outcome="failed") or 0

    before = failures()
    put(client, source, configuration("closed", target))
    until(lambda: failures() > before, 60, "it was tried")
    assert h.all_keys(client, target) == []
    # It is tried again, and written once it may be.
    allow(client, target, source)
    lists(client, target, source, "closed")
