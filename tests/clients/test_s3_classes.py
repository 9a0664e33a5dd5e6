"""Goal: a storage class is a geometry: objects are written in the one that is asked for, show it, and
move to another by rules; a class that is not configured is refused.

Method: boto3, the aws cli and rclone with default settings; a server of its own with days of a few seconds,
`holdfast inspect` for what is on the drives, kills while objects move, a lost index.
"""
import json
import uuid

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.commands import rclone_environ, run
from harness.s3 import PART_MIN
from harness.server import Embedded, binary
from harness.wait import until

DAY_SECONDS = 2
CLASSES = {"HOLDFAST_STORAGE_CLASS": "COLD=2+1,GLACIER=3+2"}
LARGE = 300_000


@pytest.fixture
def server(own_server):
    return own_server(Embedded, env={**CLASSES, "HOLDFAST_LIFECYCLE_DAY": f"{DAY_SECONDS}s"})


def inspect(server, bucket, key):
    words = [binary(), "inspect", f"s3://{bucket}/{key}", "-o", "json"]
    return json.loads(run(words, server.environ()).out)


def geometry(server, bucket, key):
    return inspect(server, bucket, key)["geometry"]


def upload(client, bucket, key, bodies, **more):
    opened = client.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    listed = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    parts = []
    for number, body in enumerate(bodies, 1):
        part = client.upload_part(Bucket=bucket, Key=key, UploadId=opened, PartNumber=number,
                                  Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=opened,
                                     MultipartUpload={"Parts": parts})
    return listed


def test_an_object_counts_as_whole_by_what_its_own_class_can_lose(server):
    client = server.client()
    bucket = new_bucket(client)
    for name in ("STANDARD", "REDUCED_REDUNDANCY", "REDUCED_REDUNDANCY", "GLACIER"):
        client.put_object(Bucket=bucket, Key=f"{name}/{uuid.uuid4()}", Body=h.body(LARGE),
                          StorageClass=name)

    def counts():
        words = [binary(), "durability", "-o", "json"]
        shown = json.loads(run(words, server.environ()).out)
        return {each["margin"]: each["objects"] for each in shown["by_margin"]}

    until(lambda: counts() == {0: 0, 1: 2, 2: 2}, 60, "each counts by its class")


def test_objects_are_written_in_the_class_that_is_asked_for(server):
    client = server.client()
    bucket = new_bucket(client)
    body = h.body(LARGE)
    for name, cut in (("STANDARD", "4+2"), ("REDUCED_REDUNDANCY", "4+1"), ("COLD", "2+1"),
                      ("GLACIER", "3+2")):
        client.put_object(Bucket=bucket, Key=name, Body=body, StorageClass=name)
        shown = client.head_object(Bucket=bucket, Key=name).get("StorageClass", "STANDARD")
        got = client.get_object(Bucket=bucket, Key=name)
        assert (shown, got.get("StorageClass", "STANDARD")) == (name, name)
        assert got["Body"].read() == body
        attributes = client.get_object_attributes(
            Bucket=bucket, Key=name, ObjectAttributes=["StorageClass"])
        assert attributes["StorageClass"] == name
        report = inspect(server, bucket, name)
        assert (report["geometry"], report["survives"]) == (cut, int(cut[2]))
    assert "StorageClass" not in client.head_object(Bucket=bucket, Key="STANDARD")
    for page in (client.list_objects_v2(Bucket=bucket)["Contents"],
                 client.list_object_versions(Bucket=bucket)["Versions"]):
        assert all(each["StorageClass"] == each["Key"] for each in page)
    listed = upload(client, bucket, "parts", [h.body(PART_MIN), b"end"], StorageClass="COLD")
    assert listed[0]["StorageClass"] == "COLD"
    assert client.head_object(Bucket=bucket, Key="parts")["StorageClass"] == "COLD"
    assert geometry(server, bucket, "parts") == "2+1"
    # A copy is STANDARD unless it says otherwise, also of itself.
    source = f"{bucket}/COLD"
    client.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert geometry(server, bucket, "copy") == "4+2"
    client.copy_object(Bucket=bucket, Key="COLD", CopySource=source,
                       StorageClass="REDUCED_REDUNDANCY")
    got = client.get_object(Bucket=bucket, Key="COLD")
    assert (got["StorageClass"], got["Body"].read()) == ("REDUCED_REDUNDANCY", body)
    assert geometry(server, bucket, "COLD") == "4+1"
    server.admin.assert_index_clean()


def test_tools_write_in_a_class_and_are_told_of_one_that_is_not_there(server, space):
    client = server.client()
    bucket = new_bucket(client)
    (space / "file").write_bytes(h.body(LARGE))
    aws = run(["aws", "s3", "cp", space / "file", f"s3://{bucket}/aws", "--storage-class",
               "GLACIER"], server.environ())
    assert aws.code == 0
    rclone = ["rclone", "--retries", "1", "copyto", space / "file", f"hf:{bucket}/rclone"]
    run([*rclone, "--s3-storage-class", "COLD"], rclone_environ(server))
    run([*rclone[:-1], f"hf:{bucket}/plain"], rclone_environ(server))
    shown = {each["Key"]: each["StorageClass"]
             for each in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert shown == {"aws": "GLACIER", "rclone": "COLD", "plain": "STANDARD"}
    refused = run(["aws", "s3", "cp", space / "file", f"s3://{bucket}/no", "--storage-class",
                   "STANDARD_IA"], server.environ(), check=False)
    assert refused.code != 0 and "InvalidStorageClass" in refused.err


def test_a_class_that_is_not_configured_is_refused(server):
    client = server.client()
    bucket = new_bucket(client)
    for name in ("STANDARD_IA", "ONEZONE_IA", "DEEP_ARCHIVE", "cold", "PAPER"):
        with h.error("InvalidStorageClass", 400):
            client.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass=name)
        with h.error("InvalidStorageClass", 400):
            client.create_multipart_upload(Bucket=bucket, Key="k", StorageClass=name)
        with h.error("MalformedXML", 400):
            move(client, bucket, Transitions=[{"Days": 1, "StorageClass": name}])
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    with h.error("InvalidStorageClass", 400):
        client.copy_object(Bucket=bucket, Key="k2", CopySource=f"{bucket}/k",
                           StorageClass="STANDARD_IA")
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


@pytest.mark.parametrize("given", ["COLD", "COLD=5+2", "COLD=1+1", "cold=2+1", "STANDARD=4+1",
                                   "A=2+1,A=4+1"])
def test_a_class_that_cannot_be_stops_the_start(own_server, given):
    server = own_server(Embedded, env={"HOLDFAST_STORAGE_CLASS": given}, start=False)
    process = server.spawn()
    assert process.wait_exit(60) == 2
    assert "--storage-class" in server.logs()


def move(client, bucket, **more):
    rule = {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": ""}, **more}
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    kept = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert kept == [rule]


def all_versions(client, bucket):
    """What each version is to a client, and its class."""
    seen, classes = [], []
    for each in client.list_object_versions(Bucket=bucket)["Versions"]:
        which = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
        got = client.get_object(**which, ChecksumMode="ENABLED")
        seen.append({
            "body": got.pop("Body").read(),
            **{name: got[name] for name in got
               if name not in ("ResponseMetadata", "StorageClass", "Expiration")},
            "key": each["Key"], "latest": each["IsLatest"], "tag": each["ETag"],
        })
        classes.append(each["StorageClass"])
    return seen, classes


def fill(client, bucket):
    client.put_object(Bucket=bucket, Key="null", Body=h.body(LARGE), Metadata={"a": "b"})
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for seed in range(3):
        client.put_object(Bucket=bucket, Key="many", Body=bytes([seed]) * LARGE,
                          ContentType="text/plain", ChecksumAlgorithm="SHA256")
    client.put_object(Bucket=bucket, Key="tagged", Body=h.body(LARGE))
    client.put_object_tagging(Bucket=bucket, Key="tagged",
                              Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    upload(client, bucket, "parts", [h.body(PART_MIN), h.body(PART_MIN), b"end"])
    client.put_object(Bucket=bucket, Key="small", Body=b"x" * 100)


def until_all(client, bucket, name, but=()):
    def are():
        page = client.list_object_versions(Bucket=bucket)["Versions"]
        return all(each["StorageClass"] == name for each in page if each["Key"] not in but)
    until(are, 90, f"all are {name}")


def test_versions_move_and_stay_what_they_are(server):
    client = server.client()
    bucket = new_bucket(client)
    fill(client, bucket)
    before, classes = all_versions(client, bucket)
    assert set(classes) == {"STANDARD"}
    move(client, bucket, Transitions=[{"Days": 1, "StorageClass": "COLD"},
                                      {"Days": 3, "StorageClass": "REDUCED_REDUNDANCY"}],
         NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "COLD"}])
    until_all(client, bucket, "REDUCED_REDUNDANCY", but=("small", "many"))
    until(lambda: all_versions(client, bucket)[1].count("COLD") == 2, 60, "the others moved")
    after, classes = all_versions(client, bucket)
    assert after == before
    # As in S3, what is smaller than 128 KiB stays where it is.
    small = [name for one, name in zip(after, classes) if one["key"] == "small"]
    assert small == ["STANDARD"]
    assert geometry(server, bucket, "parts") == "4+1"
    assert geometry(server, bucket, "null") == "4+1"
    tags = client.get_object_tagging(Bucket=bucket, Key="tagged")["TagSet"]
    assert tags == [{"Key": "k", "Value": "v"}]
    part = client.get_object(Bucket=bucket, Key="parts", PartNumber=3)
    assert (part["PartsCount"], part["Body"].read()) == (3, b"end")
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    metrics = server.admin.metrics()
    assert metrics.total("holdfast_lifecycle_expired_total", action="transition") >= 6
    until(lambda: server.admin.metrics().total("holdfast_purge_backlog_entries") == 0, 60,
          "the old shards are purged")
    assert server.admin.metrics().total("holdfast_lifecycle_moving_entries") == 0
    server.admin.assert_index_clean()
    server.rebuild_index()
    assert all_versions(server.client(), bucket) == (after, classes)
    server.admin.assert_index_clean()


def test_clients_that_write_while_objects_move_have_the_last_word(server):
    client = server.client()
    bucket = new_bucket(client)
    move(client, bucket, Transitions=[{"Days": 0, "StorageClass": "COLD"}])
    last = {}
    for turn in range(12):
        for at in range(4):
            key, body = f"k{at}", bytes([turn + 1]) * (LARGE + at)
            client.put_object(Bucket=bucket, Key=key, Body=body)
            if turn % 3 == at % 3:
                client.put_object_tagging(Bucket=bucket, Key=key, Tagging={
                    "TagSet": [{"Key": "turn", "Value": str(turn)}]})
                last[key] = (body, str(turn))
            else:
                last[key] = (body, None)
    until_all(client, bucket, "COLD")
    for key, (body, turn) in last.items():
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        assert [tag["Value"] for tag in tags] == ([turn] if turn else [])
    client.delete_object(Bucket=bucket, Key="k0")
    server.rebuild_index()
    client = server.client()
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(each["Key"], each["StorageClass"]) for each in listed] == [
        (f"k{at}", "COLD") for at in range(1, 4)]
    server.admin.assert_index_clean()


def test_kills_while_objects_move_lose_nothing(server):
    client = server.client()
    bucket = new_bucket(client)
    fill(client, bucket)
    before, _ = all_versions(client, bucket)
    move(client, bucket, Filter={"ObjectSizeGreaterThan": 1},
         Transitions=[{"Days": 1, "StorageClass": "COLD"}],
         NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "COLD"}])
    for at in range(4):
        until(lambda: all_versions(client, bucket)[1].count("COLD") > at, 60, f"{at + 1} moved")
        server.kill9()
        server.start()
        client = server.client()
        assert all_versions(client, bucket)[0] == before
    until_all(client, bucket, "COLD")
    assert all_versions(client, bucket)[0] == before
    server.admin.assert_index_clean()
