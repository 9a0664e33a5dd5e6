"""Goal: conditional reads and writes do what RFC 9110 and S3 say, also when many race.

Method: boto3 with default settings; after every refused write the old object is read back.
"""
import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import s3 as h
from harness.s3 import MIB

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
OTHER = '"00000000000000000000000000000000"'


@pytest.fixture
def etag(s3, bucket):
    return s3.put_object(Bucket=bucket, Key="k", Body=b"old")["ETag"]


@pytest.fixture
def modified(s3, bucket, etag):
    return s3.head_object(Bucket=bucket, Key="k")["LastModified"]


# -- reads

@pytest.mark.parametrize("call", ["get_object", "head_object"])
def test_if_match(s3, bucket, etag, call):
    read = getattr(s3, call)
    for good in (etag, etag.strip('"'), "*"):
        assert read(Bucket=bucket, Key="k", IfMatch=good)["ETag"] == etag
    with h.error(status=412):
        read(Bucket=bucket, Key="k", IfMatch=OTHER)


@pytest.mark.parametrize("call", ["get_object", "head_object"])
def test_if_none_match(s3, bucket, etag, call):
    read = getattr(s3, call)
    assert read(Bucket=bucket, Key="k", IfNoneMatch=OTHER)["ETag"] == etag
    with h.error(status=304) as unchanged:
        read(Bucket=bucket, Key="k", IfNoneMatch=etag)
    assert unchanged.headers["etag"] == etag


@pytest.mark.parametrize("call", ["get_object", "head_object"])
def test_dates(s3, bucket, etag, modified, call):
    read = getattr(s3, call)
    read(Bucket=bucket, Key="k", IfModifiedSince=LONG_AGO)
    read(Bucket=bucket, Key="k", IfUnmodifiedSince=modified)
    with h.error(status=304):
        read(Bucket=bucket, Key="k", IfModifiedSince=modified)
    with h.error(status=412):
        read(Bucket=bucket, Key="k", IfUnmodifiedSince=LONG_AGO)


def test_etags_go_before_dates(s3, bucket, etag, modified):
    s3.get_object(Bucket=bucket, Key="k", IfMatch=etag, IfUnmodifiedSince=LONG_AGO)
    with h.error(status=304):
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=etag, IfModifiedSince=LONG_AGO)
    with h.error(status=412):
        s3.get_object(Bucket=bucket, Key="k", IfMatch=OTHER, IfUnmodifiedSince=modified)


def test_condition_and_range_together(s3, bucket, etag):
    part = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-1", IfMatch=etag)
    assert part["Body"].read() == b"l"
    with h.error(status=412):
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-1", IfMatch=OTHER)


def test_condition_on_a_missing_key_is_404(s3, bucket):
    with h.error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none", IfMatch=OTHER)
    with h.error("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none", IfNoneMatch="*")


# -- writes

def test_put_if_none_match_writes_only_once(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    for data in (b"second", h.body(3 * MIB)):
        with h.error("PreconditionFailed", 412):
            s3.put_object(Bucket=bucket, Key="k", Body=data, IfNoneMatch="*")
    assert h.get(s3, bucket, "k") == b"first"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"third", IfNoneMatch="*")
    assert h.get(s3, bucket, "k") == b"third"


def test_put_if_match_replaces_only_what_it_names(s3, bucket, etag):
    with h.error("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"new", IfMatch=OTHER)
    assert h.get(s3, bucket, "k") == b"old"
    s3.put_object(Bucket=bucket, Key="k", Body=b"new", IfMatch=etag)
    assert h.get(s3, bucket, "k") == b"new"
    with h.error("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"newer", IfMatch=etag)
    assert h.get(s3, bucket, "k") == b"new"


def test_put_if_match_on_a_missing_key_is_404(s3, bucket):
    with h.error("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="none", Body=b"x", IfMatch=OTHER)
    assert h.status_of(s3, bucket, "none") == 404


def test_complete_honours_conditions(s3, bucket, etag):
    def start():
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        part = h.put_part(s3, bucket, "k", upload, 1, b"from parts")
        return {"UploadId": upload, "MultipartUpload": {"Parts": [part]}}

    first = start()
    with h.error("PreconditionFailed", 412):
        s3.complete_multipart_upload(Bucket=bucket, Key="k", IfNoneMatch="*", **first)
    with h.error("PreconditionFailed", 412):
        s3.complete_multipart_upload(Bucket=bucket, Key="k", IfMatch=OTHER, **first)
    assert h.get(s3, bucket, "k") == b"old"
    # The refused upload is still there and can be completed.
    s3.complete_multipart_upload(Bucket=bucket, Key="k", IfMatch=etag, **first)
    assert h.get(s3, bucket, "k") == b"from parts"


def test_copy_honours_conditions_on_its_source(s3, bucket, etag, modified):
    def copy(**conditions):
        return s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/k", **conditions)

    for bad in ({"CopySourceIfMatch": OTHER}, {"CopySourceIfNoneMatch": etag},
                {"CopySourceIfUnmodifiedSince": LONG_AGO},
                {"CopySourceIfModifiedSince": modified}):
        with h.error("PreconditionFailed", 412):
            copy(**bad)
        assert h.status_of(s3, bucket, "to") == 404
    for good in ({"CopySourceIfMatch": etag}, {"CopySourceIfNoneMatch": OTHER},
                 {"CopySourceIfUnmodifiedSince": modified},
                 {"CopySourceIfModifiedSince": LONG_AGO}):
        copy(**good)
        assert h.get(s3, bucket, "to") == b"old"


def test_copy_honours_conditions_on_its_target(s3, bucket, etag):
    s3.put_object(Bucket=bucket, Key="from", Body=b"copied")
    source = {"Bucket": bucket, "Key": "from"}
    with h.error("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source, IfNoneMatch="*")
    with h.error("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source, IfMatch=OTHER)
    assert h.get(s3, bucket, "k") == b"old"
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, IfMatch=etag)
    s3.copy_object(Bucket=bucket, Key="fresh", CopySource=source, IfNoneMatch="*")
    assert h.get(s3, bucket, "k") == h.get(s3, bucket, "fresh") == b"copied"


def test_delete_if_match_deletes_only_what_it_names(s3, bucket, etag):
    with h.error("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=OTHER)
    assert h.get(s3, bucket, "k") == b"old"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert h.status_of(s3, bucket, "k") == 404


# -- races

def _tally(results):
    return sorted(set(results)), results.count("won")


def test_one_of_many_creators_wins(s3, bucket):
    def create(number):
        data = f"{number}".encode() * (1 if number % 2 else 300_000)
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=data, IfNoneMatch="*")
        except s3.exceptions.ClientError as failure:
            return failure.response["Error"]["Code"], None
        return "won", data

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(24)))
    won = [data for code, data in results if code == "won"]
    assert len(won) == 1, _tally([code for code, _ in results])
    # 409 ConditionalRequestConflict is S3's other word for having lost.
    lost = {code for code, _ in results} - {"won"}
    assert lost <= {"PreconditionFailed", "ConditionalRequestConflict"}
    assert h.get(s3, bucket, "k") == won[0]


def test_compare_and_swap_loses_no_increment(s3, bucket):
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def increment(_):
        for _ in range(400):
            now = s3.get_object(Bucket=bucket, Key="counter")
            value = int(now["Body"].read()) + 1
            try:
                s3.put_object(Bucket=bucket, Key="counter", Body=b"%d" % value,
                              IfMatch=now["ETag"])
                return "won"
            except s3.exceptions.ClientError as failure:
                assert failure.response["Error"]["Code"] in (
                    "PreconditionFailed", "ConditionalRequestConflict")
        return "starved"

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(increment, range(30)))
    assert _tally(results) == (["won"], 30)
    assert h.get(s3, bucket, "counter") == b"30"
