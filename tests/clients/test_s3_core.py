"""Goal: buckets and objects through boto3 with its default settings, and what answers look like.

Method: every test has its own bucket on the session's server. Bytes are compared, not lengths.
"""
import datetime
import re

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.s3 import KIB, MIB

# Around every size at which a store might change its way: inline, block, stripe, many stripes.
SIZES = [0, 1, 4 * KIB - 1, 64 * KIB + 1, 256 * KIB, MIB - 1, MIB, MIB + 1, 5 * MIB + 17, 17 * MIB]


# -- buckets

def test_bucket_is_created_headed_listed_and_deleted(s3):
    name = new_bucket(s3)
    head = s3.head_bucket(Bucket=name)
    assert head["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert head["BucketRegion"] == "us-east-1"
    listed = s3.list_buckets()
    assert name in [b["Name"] for b in listed["Buckets"]]
    assert all(isinstance(b["CreationDate"], datetime.datetime) for b in listed["Buckets"])
    assert listed["Owner"]["ID"]
    s3.delete_bucket(Bucket=name)
    with h.error(status=404):
        s3.head_bucket(Bucket=name)
    assert name not in [b["Name"] for b in s3.list_buckets()["Buckets"]]


def test_buckets_are_listed_in_order(s3):
    names = {new_bucket(s3, start) for start in ("zz", "aa", "mm")}
    listed = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert names <= set(listed)
    assert listed == sorted(listed)


def test_bucket_location_of_us_east_1_is_empty(s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_creating_a_bucket_again_keeps_its_objects(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    try:
        s3.create_bucket(Bucket=bucket)  # us-east-1 answers 200 to the owner …
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass  # … and the other regions this
    assert h.get(s3, bucket, "k") == b"kept"


def test_foreign_location_constraint_is_refused(s3):
    name = "constraint-" + h.sha256(h.body(8))[:12]
    with h.error(("IllegalLocationConstraintException", "InvalidLocationConstraint"), 400):
        s3.create_bucket(Bucket=name,
                         CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with h.error(status=404):
        s3.head_bucket(Bucket=name)


def test_bucket_with_objects_is_not_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with h.error("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    assert h.get(s3, bucket, "k") == b"x"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", [
    "ab", "a" * 64, "Upper", "under_score", "two..dots", "192.168.10.1", "-start", "end-",
    ".start", "xn--prefix", "suffix-s3alias",
])
def test_invalid_bucket_name_is_refused(s3, name):
    with h.error("InvalidBucketName", 400):
        s3.create_bucket(Bucket=name)


def test_bucket_named_like_the_health_page_is_refused(s3, server):
    if server.form == "external":
        pytest.skip("a rule of Holdfast's")
    with h.error("InvalidBucketName", 400):
        s3.create_bucket(Bucket="health")


def test_operations_on_a_missing_bucket_say_so(s3):
    gone = "missing-" + h.sha256(h.body(8))[:12]
    for call, args in [
        (s3.list_objects_v2, {}), (s3.list_objects, {}), (s3.get_object, {"Key": "k"}),
        (s3.put_object, {"Key": "k", "Body": b"x"}), (s3.delete_object, {"Key": "k"}),
        (s3.delete_bucket, {}), (s3.create_multipart_upload, {"Key": "k"}),
        (s3.list_multipart_uploads, {}), (s3.get_bucket_location, {}),
        (s3.delete_objects, {"Delete": {"Objects": [{"Key": "k"}]}}),
    ]:
        with h.error("NoSuchBucket", 404):
            call(Bucket=gone, **args)


# -- objects

@pytest.mark.parametrize("size", SIZES)
def test_object_round_trips(s3, bucket, size):
    data = h.body(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert put["ETag"] == f'"{h.md5(data)}"'
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == data
    assert answer["ContentLength"] == size
    assert answer["ETag"] == put["ETag"]
    assert answer["AcceptRanges"] == "bytes"
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])
    assert head["LastModified"] == answer["LastModified"]
    age = datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]
    assert abs(age.total_seconds()) < 300


def test_overwrite_replaces_bytes_and_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=h.body(3 * MIB), Metadata={"old": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"new", ContentType="text/plain")
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == b"new"
    assert answer["Metadata"] == {} and answer["ContentType"] == "text/plain"


def test_default_content_type_is_binary(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


def test_metadata_round_trips(s3, bucket):
    expires = datetime.datetime(2031, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    system = {
        "CacheControl": "max-age=60, public", "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="x y.txt"',
        "ContentLanguage": "de, en", "ContentType": "text/x-odd; a=b",
    }
    user = {"plain": "value", "with-dash": "a b  c", "empty": "", "sym": "~!@#$%^&*()_+=;:'"}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=user, Expires=expires, **system)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in system} == system
        assert answer["Metadata"] == user
        assert "2031 04:05:06" in answer["ExpiresString"]


def test_metadata_over_two_kibibytes_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="fits", Body=b"x", Metadata={"m": "v" * 2000})
    with h.error("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"m": "v" * 2100})
    assert h.status_of(s3, bucket, "k") == 404


def test_response_headers_can_be_overridden(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    answer = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="image/png", ResponseCacheControl="no-store",
        ResponseContentDisposition="inline", ResponseContentEncoding="identity",
        ResponseContentLanguage="fr", ResponseExpires="Thu, 01 Dec 2033 16:00:00 GMT")
    assert answer["ContentType"] == "image/png" and answer["CacheControl"] == "no-store"
    assert answer["ContentDisposition"] == "inline" and answer["ContentLanguage"] == "fr"
    assert answer["ContentEncoding"] == "identity" and "2033" in answer["ExpiresString"]
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"


def test_delete_is_idempotent(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        answer = s3.delete_object(Bucket=bucket, Key="k")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with h.error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


AWKWARD_KEYS = [
    "plain", "with space", " leading space", "trailing space ", "a+b", "a%b", "a%20b", "a%2Fb",
    "slash/", "/leading", "a//b", "//", "ünïcödé", "日本語/キー", "emoji-🦀", "q?x=1&y=2", "hash#x",
    "star*", "quote'\"", "back\\slash", "<xml>&amp;", "colon:semi;comma,", "@$!=~", "[]{}|^`",
    "dots/./x", "dots/../x", "../../etc/passwd", ".", "..", "tab\there", "new\nline",
    "k" * 1024, "é" * 512,
]


@pytest.mark.parametrize("key", AWKWARD_KEYS, ids=lambda key: ascii(key)[1:25])
def test_awkward_key_is_just_a_key(s3, bucket, key):
    data = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=data)
    assert h.get(s3, bucket, key) == data
    assert h.all_keys(s3, bucket) == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert h.get(s3, bucket, "copy") == data
    s3.delete_object(Bucket=bucket, Key=key)
    assert h.all_keys(s3, bucket) == ["copy"]


def test_key_over_1024_bytes_is_refused(s3, bucket):
    for key in ("k" * 1025, "é" * 513):
        with h.error("KeyTooLongError", 400):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert h.all_keys(s3, bucket) == []


def test_a_key_and_keys_below_it_are_unrelated(s3, bucket):
    for key in ("a", "a/b", "a/b/c", "a/"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert h.all_keys(s3, bucket) == ["a", "a/", "a/b", "a/b/c"]
    s3.delete_object(Bucket=bucket, Key="a")
    assert h.all_keys(s3, bucket) == ["a/", "a/b", "a/b/c"]
    s3.delete_object(Bucket=bucket, Key="a/b")
    assert h.get(s3, bucket, "a/b/c") == b"a/b/c"
    assert h.all_keys(s3, bucket) == ["a/", "a/b/c"]


# -- DeleteObjects

def test_delete_objects_deletes_and_reports(s3, bucket):
    there = ["one", "two words", "ü/ñ", "<&>"]
    for key in there:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.put_object(Bucket=bucket, Key="stays", Body=b"x")
    wanted = [{"Key": key} for key in (*there, "never was")]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert sorted(d["Key"] for d in answer["Deleted"]) == sorted([*there, "never was"])
    assert "Errors" not in answer
    assert h.all_keys(s3, bucket) == ["stays"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "stays"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    assert h.all_keys(s3, bucket) == []


def test_delete_objects_takes_a_thousand_and_no_more(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k0", Body=b"x")
    thousand = [{"Key": f"k{i}"} for i in range(1000)]
    with h.error("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [*thousand, {"Key": "over"}]})
    assert h.all_keys(s3, bucket) == ["k0"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": thousand})
    assert len(answer["Deleted"]) == 1000
    assert h.all_keys(s3, bucket) == []


# -- ranges

LENGTH = 3 * MIB + 12_345
RANGES = [
    (0, 0), (0, 99), (99, 99), (MIB - 1, MIB), (MIB, 2 * MIB - 1), (256 * KIB - 3, 256 * KIB + 3),
    (5, LENGTH - 1), (LENGTH - 1, LENGTH - 1), (0, LENGTH - 1), (2 * MIB + 1, LENGTH - 2),
]


@pytest.fixture
def ranged(s3, bucket):
    data = h.body(LENGTH, seed=3)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    return data


def test_ranges_give_exactly_their_bytes(s3, bucket, ranged):
    for first, last in RANGES:
        answer = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["Body"].read() == ranged[first:last + 1], (first, last)
        assert answer["ContentRange"] == f"bytes {first}-{last}/{LENGTH}"
        assert answer["ContentLength"] == last - first + 1


def test_open_suffix_and_overlong_ranges(s3, bucket, ranged):
    for text, want in [("bytes=1000-", ranged[1000:]), ("bytes=-1", ranged[-1:]),
                       ("bytes=-70000", ranged[-70000:]), (f"bytes=-{LENGTH * 2}", ranged),
                       (f"bytes={MIB}-{LENGTH * 9}", ranged[MIB:])]:
        answer = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206, text
        assert answer["Body"].read() == want, text


def test_head_with_a_range_says_its_length(s3, bucket, ranged):
    head = s3.head_object(Bucket=bucket, Key="k", Range="bytes=10-19")
    assert head["ContentLength"] == 10
    assert head["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_unsatisfiable_range_is_416(s3, bucket, ranged):
    for text in (f"bytes={LENGTH}-", f"bytes={LENGTH}-{LENGTH + 5}", "bytes=-0"):
        with h.error("InvalidRange", 416):
            s3.get_object(Bucket=bucket, Key="k", Range=text)
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    with h.error("InvalidRange", 416):
        s3.get_object(Bucket=bucket, Key="empty", Range="bytes=0-0")


def test_range_that_is_not_understood_is_ignored(s3, bucket, ranged):
    for text in ("bytes=5-2", "lines=0-5", "bytes=a-b", "bytes=0-1,5-6", "0-5"):
        answer = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200, text
        assert answer["Body"].read() == ranged, text


# -- copy

def test_copy_keeps_bytes_and_metadata(s3, bucket):
    other = new_bucket(s3)
    data = h.body(2 * MIB + 3)
    s3.put_object(Bucket=bucket, Key="from", Body=data, Metadata={"a": "b"},
                  ContentType="text/plain", CacheControl="no-cache")
    answer = s3.copy_object(Bucket=other, Key="to", CopySource={"Bucket": bucket, "Key": "from"})
    assert answer["CopyObjectResult"]["ETag"] == f'"{h.md5(data)}"'
    assert isinstance(answer["CopyObjectResult"]["LastModified"], datetime.datetime)
    s3.delete_object(Bucket=bucket, Key="from")
    copied = s3.get_object(Bucket=other, Key="to")
    assert copied["Body"].read() == data
    assert copied["Metadata"] == {"a": "b"} and copied["ContentType"] == "text/plain"
    assert copied["CacheControl"] == "no-cache"


def test_copy_can_replace_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b"}, CacheControl="no-cache")
    source = {"Bucket": bucket, "Key": "k"}
    for target in ("other", "k"):
        s3.copy_object(Bucket=bucket, Key=target, CopySource=source, MetadataDirective="REPLACE",
                       Metadata={"c": "d"}, ContentType="text/html")
        head = s3.head_object(Bucket=bucket, Key=target)
        assert head["Metadata"] == {"c": "d"} and head["ContentType"] == "text/html"
        assert "CacheControl" not in head
        assert h.get(s3, bucket, target) == b"x"


def test_copy_onto_itself_without_a_change_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with h.error("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"})


def test_copy_from_nothing_says_what_is_missing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="to", Body=b"kept")
    with h.error("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "none"})
    with h.error("NoSuchBucket", 404):
        s3.copy_object(Bucket=bucket, Key="to",
                       CopySource={"Bucket": "no-such-bucket-here", "Key": "k"})
    assert h.get(s3, bucket, "to") == b"kept"


def test_copy_of_a_multipart_object_is_one_object(s3, bucket):
    parts = [h.body(5 * MIB), h.body(MIB + 1)]
    h.multipart(s3, bucket, "from", parts)
    answer = s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/from")
    assert h.get(s3, bucket, "to") == b"".join(parts)
    assert "-" not in answer["CopyObjectResult"]["ETag"]


# -- the shape of errors

def test_error_carries_code_resource_and_request_id(s3, bucket):
    with h.error("NoSuchKey", 404) as failure:
        s3.get_object(Bucket=bucket, Key="not/here")
    detail = failure.response["Error"]
    assert detail["Message"]
    assert detail["Resource"].endswith("/not/here") and bucket in detail["Resource"]
    meta = failure.response["ResponseMetadata"]
    assert meta["RequestId"] and meta["RequestId"] == failure.headers["x-amz-request-id"]
    assert meta["HostId"]
    assert re.match(r"application/xml", failure.headers["content-type"])


def test_every_success_carries_a_request_id(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ResponseMetadata"]
    second = s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]
    assert first["RequestId"] and second["RequestId"] and first["RequestId"] != second["RequestId"]


def test_head_of_a_missing_key_is_a_bare_404(s3, bucket):
    with h.error(status=404):
        s3.head_object(Bucket=bucket, Key="none")
    # The connection stays usable: no body was sent behind the HEAD's answer.
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert h.get(s3, bucket, "k") == b"x"
