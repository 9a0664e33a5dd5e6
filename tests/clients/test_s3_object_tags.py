"""Goal: tags of objects and of versions can be set, read, copied and deleted as in S3, and last.

Method: boto3 with default settings; a kill and a lost index in a server of its own.
"""

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness import sigv4
from harness.server import Embedded


def put_tags(s3, bucket, tags, key="k", **more):
    pairs = [{"Key": name, "Value": value} for name, value in tags]
    return s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": pairs}, **more)


def tags_of(s3, bucket, key="k", **more):
    answer = s3.get_object_tagging(Bucket=bucket, Key=key, **more)
    return [(tag["Key"], tag["Value"]) for tag in answer["TagSet"]]


def test_tags_are_set_replaced_and_deleted(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"data", Tagging="from=put&empty=",
                        Metadata={"n": "1"}, ContentType="text/plain")
    before = s3.head_object(Bucket=bucket, Key="k")
    assert tags_of(s3, bucket) == [("empty", ""), ("from", "put")]
    put_tags(s3, bucket, [("a key", "ü+/=@:"), ("b", "x" * 256)])
    assert tags_of(s3, bucket) == [("a key", "ü+/=@:"), ("b", "x" * 256)]
    after = s3.head_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    for name in ["ETag", "LastModified", "Metadata", "ContentType", "ContentLength"]:
        assert before[name] == after[name], name
    assert after["ETag"] == put["ETag"] and h.get(s3, bucket, "k") == b"data"
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags_of(s3, bucket) == []
    assert "TagCount" not in s3.get_object(Bucket=bucket, Key="k")
    put_tags(s3, bucket, [])
    assert tags_of(s3, bucket) == []


@pytest.mark.parametrize("tags", [
    [(f"k{n}", "v") for n in range(11)], [("k" * 129, "v")], [("k", "v" * 257)],
    [("k", "1"), ("k", "2")], [("aws:own", "v")], [("k", "<script>")],
], ids=["eleven", "long key", "long value", "twice", "aws", "character"])
def test_bad_tags_are_refused(s3, bucket, tags):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", Tagging="as=before")
    with h.error(("InvalidTag", "BadRequest"), 400):
        put_tags(s3, bucket, tags)
    assert tags_of(s3, bucket) == [("as", "before")]


def test_malformed_documents_are_refused(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", Tagging="as=before")
    client = sigv4.client(server)
    for document in [b"", b"<Tagging>",
                     b"<Tagging><TagSet><Tag><Key/><Value>v</Value></Tag></TagSet></Tagging>",
                     b"<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>"]:
        answer = client.call("PUT", f"/{bucket}/k", query=[("tagging", "")], body=document)
        assert answer.status == 400, (document, answer.body)
    assert tags_of(s3, bucket) == [("as", "before")]


def test_what_is_not_there_has_no_tags(s3, bucket):
    for call in [lambda **k: tags_of(s3, **k), lambda **k: put_tags(s3, tags=[("a", "b")], **k),
                 lambda bucket, key: s3.delete_object_tagging(Bucket=bucket, Key=key)]:
        with h.error("NoSuchKey", 404):
            call(bucket=bucket, key="none")
        with h.error("NoSuchBucket", 404):
            call(bucket="no-such-bucket-of-anyone", key="k")


def test_versions_have_tags_of_their_own(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % n)["VersionId"] for n in range(2)]
    assert put_tags(s3, bucket, [("v", "0")], VersionId=ids[0])["VersionId"] == ids[0]
    assert put_tags(s3, bucket, [("v", "1")])["VersionId"] == ids[1]
    assert [tags_of(s3, bucket, VersionId=version) for version in ids] == \
        [[("v", "0")], [("v", "1")]]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["VersionId"] == ids[1]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    with h.error("MethodNotAllowed", 405):
        put_tags(s3, bucket, [("a", "b")], VersionId=marker)
    assert tags_of(s3, bucket, VersionId=ids[0]) == [("v", "0")]
    s3.delete_object_tagging(Bucket=bucket, Key="k", VersionId=ids[0])
    assert tags_of(s3, bucket, VersionId=ids[0]) == []
    assert tags_of(s3, bucket, VersionId=ids[1]) == [("v", "1")]


def test_copies_take_tags_along_unless_they_are_replaced(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", Tagging="a=1", Metadata={"m": "1"},
                  StorageClass="REDUCED_REDUNDANCY")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="tags", CopySource=source, TaggingDirective="REPLACE",
                   Tagging="b=2")
    s3.copy_object(Bucket=bucket, Key="none", CopySource=source, TaggingDirective="REPLACE")
    s3.copy_object(Bucket=bucket, Key="meta", CopySource=source, MetadataDirective="REPLACE",
                   Metadata={"m": "2"})
    found = {key: (tags_of(s3, bucket, key), s3.head_object(Bucket=bucket, Key=key)["Metadata"])
             for key in ["same", "tags", "none", "meta"]}
    assert found == {"same": ([("a", "1")], {"m": "1"}), "tags": ([("b", "2")], {"m": "1"}),
                     "none": ([], {"m": "1"}), "meta": ([("a", "1")], {"m": "2"})}
    # The class is not copied.
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="same")
    with h.error("InvalidArgument", 400):
        s3.copy_object(Bucket=bucket, Key="bad", CopySource=source, Tagging="b=2")


def test_tags_of_an_upload(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", Tagging="a=1")["UploadId"]
    part = h.put_part(s3, bucket, "k", upload, 1, b"data")
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload,
                                 MultipartUpload={"Parts": [part]})
    assert tags_of(s3, bucket) == [("a", "1")]
    put_tags(s3, bucket, [("b", "2")])
    assert tags_of(s3, bucket) == [("b", "2")] and h.get(s3, bucket, "k") == b"data"


def test_tags_outlast_a_kill_and_the_index(own_server):
    server = own_server(Embedded)
    s3 = server.client()
    bucket = new_bucket(s3)
    for key, size in [("small", 10), ("large", 2_000_000)]:
        s3.put_object(Bucket=bucket, Key=key, Body=h.body(size, 1), Tagging="first=1")
        for n in range(3):
            put_tags(s3, bucket, [("n", str(n))], key)
    s3.put_object(Bucket=bucket, Key="untagged", Body=b"x", Tagging="first=1")
    s3.delete_object_tagging(Bucket=bucket, Key="untagged")
    s3.put_object(Bucket=bucket, Key="replaced", Body=b"x")
    put_tags(s3, bucket, [("old", "1")], "replaced")
    s3.put_object(Bucket=bucket, Key="replaced", Body=b"y")

    def check():
        reader = server.client()
        found = [tags_of(reader, bucket, key) for key in ["small", "large", "untagged", "replaced"]]
        assert found == [[("n", "2")], [("n", "2")], [], []]
        assert h.get(reader, bucket, "large") == h.body(2_000_000, 1)

    server.assert_lasts(check)
