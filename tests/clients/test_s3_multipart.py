"""Goal: the multipart family, its rules at the edges, and that nothing shows before Complete.

Method: boto3 with default settings; one upload per test; bytes are compared.
"""
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.s3 import MIB, PART_MIN


@pytest.fixture
def upload(s3, bucket):
    return s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]


def complete(s3, bucket, upload, parts, key="k", **more):
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload,
                                        MultipartUpload={"Parts": parts}, **more)


def test_parts_become_one_object(s3, bucket):
    parts = [h.body(PART_MIN), h.body(PART_MIN + 4097), h.body(123)]
    upload, _, answer = h.multipart(s3, bucket, "k", parts, Metadata={"a": "b"},
                                    ContentType="text/plain")
    assert answer["ETag"] == h.multipart_etag(parts)
    assert (answer["Bucket"], answer["Key"]) == (bucket, "k") and answer["Location"]
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(parts)
    assert got["Metadata"] == {"a": "b"} and got["ContentType"] == "text/plain"
    assert got["ETag"] == answer["ETag"]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["ETag"], listed["Size"]) == (answer["ETag"], sum(map(len, parts)))
    with h.error("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_ranges_cross_part_borders(s3, bucket):
    parts = [h.body(PART_MIN + 1), h.body(PART_MIN + 2), h.body(5)]
    whole = b"".join(parts)
    h.multipart(s3, bucket, "k", parts)
    border = len(parts[0])
    for first, last in [(border - 1, border), (border, border), (0, len(whole) - 1),
                        (border - MIB, border + PART_MIN + 3), (len(whole) - 6, len(whole) - 1)]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == whole[first:last + 1], (first, last)


def test_a_part_can_be_read_by_its_number(s3, bucket):
    parts = [h.body(PART_MIN), h.body(PART_MIN + 9), h.body(77)]
    h.multipart(s3, bucket, "k", parts)
    for number, data in enumerate(parts, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == data and got["PartsCount"] == 3
        start = sum(len(p) for p in parts[:number - 1])
        total = sum(map(len, parts))
        assert got["ContentRange"] == f"bytes {start}-{start + len(data) - 1}/{total}"
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (len(data), 3)
    with h.error(("InvalidPartNumber", "InvalidPart"), 416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)


def test_part_number_one_of_a_plain_object_is_the_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"plain")
    assert h.get(s3, bucket, "k", PartNumber=1) == b"plain"
    with h.error(("InvalidPartNumber", "InvalidPart"), 416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=2)


def test_nothing_shows_before_complete(s3, bucket, upload):
    h.put_part(s3, bucket, "k", upload, 1, h.body(PART_MIN))
    assert h.status_of(s3, bucket, "k") == 404
    assert h.all_keys(s3, bucket) == []
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]


def test_old_object_stays_until_complete(s3, bucket, upload):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    part = h.put_part(s3, bucket, "k", upload, 1, b"new")
    assert h.get(s3, bucket, "k") == b"old"
    complete(s3, bucket, upload, [part])
    assert h.get(s3, bucket, "k") == b"new"


def test_part_sent_again_replaces_the_first(s3, bucket, upload):
    h.put_part(s3, bucket, "k", upload, 1, h.body(PART_MIN))
    second = h.put_part(s3, bucket, "k", upload, 1, b"second")
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    assert [part["Size"] for part in listed] == [6]
    complete(s3, bucket, upload, [second])
    assert h.get(s3, bucket, "k") == b"second"


def test_part_numbers_may_have_gaps_and_unlisted_parts_go(s3, bucket, upload):
    big, end = h.body(PART_MIN), b"end"
    first = h.put_part(s3, bucket, "k", upload, 3, big)
    h.put_part(s3, bucket, "k", upload, 4, h.body(PART_MIN))  # never named in Complete
    last = h.put_part(s3, bucket, "k", upload, 10_000, end)
    complete(s3, bucket, upload, [first, last])
    assert h.get(s3, bucket, "k") == big + end


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_number_out_of_bounds_is_refused(s3, bucket, upload, number):
    with h.error("InvalidArgument", 400):
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=b"x")


def test_small_part_before_the_last_is_refused(s3, bucket, upload):
    small = h.put_part(s3, bucket, "k", upload, 1, b"x" * (PART_MIN - 1))
    last = h.put_part(s3, bucket, "k", upload, 2, b"y")
    with h.error("EntityTooSmall", 400):
        complete(s3, bucket, upload, [small, last])
    assert h.status_of(s3, bucket, "k") == 404
    # The upload survives the refusal: with a part of the least size it completes.
    grown = h.put_part(s3, bucket, "k", upload, 1, b"x" * PART_MIN)
    complete(s3, bucket, upload, [grown, last])
    assert h.get(s3, bucket, "k") == b"x" * PART_MIN + b"y"


def test_parts_out_of_order_are_refused(s3, bucket, upload):
    parts = [h.put_part(s3, bucket, "k", upload, n, h.body(PART_MIN, seed=n)) for n in (1, 2)]
    for wrong in (parts[::-1], [parts[0], parts[0]]):
        with h.error("InvalidPartOrder", 400):
            complete(s3, bucket, upload, wrong)
    assert h.status_of(s3, bucket, "k") == 404


def test_complete_naming_a_part_that_is_not_there_is_refused(s3, bucket, upload):
    part = h.put_part(s3, bucket, "k", upload, 1, b"x")
    for wrong in ({**part, "PartNumber": 2}, {**part, "ETag": f'"{h.md5(b"y")}"'}):
        with h.error("InvalidPart", 400):
            complete(s3, bucket, upload, [wrong])
    complete(s3, bucket, upload, [{**part, "ETag": part["ETag"].strip('"')}])
    assert h.get(s3, bucket, "k") == b"x"


def test_complete_without_parts_is_malformed(s3, bucket, upload):
    with h.error(("MalformedXML", "InvalidRequest"), 400):
        complete(s3, bucket, upload, [])
    assert h.status_of(s3, bucket, "k") == 404


def test_complete_can_be_repeated(s3, bucket):
    parts = [h.body(PART_MIN), b"end"]
    upload, done, first = h.multipart(s3, bucket, "k", parts)
    again = complete(s3, bucket, upload, done)
    assert (again["ETag"], again["Key"]) == (first["ETag"], "k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"later")
    try:
        complete(s3, bucket, upload, done)
    except s3.exceptions.ClientError as failure:
        assert failure.response["Error"]["Code"] == "NoSuchUpload"
    # However it was answered, a repeat does not bring the older object back.
    assert h.get(s3, bucket, "k") == b"later"


def test_simultaneous_completes_agree(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = h.put_part(s3, bucket, "k", upload, 1, h.body(2 * MIB))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: complete(s3, bucket, upload, [part])["ETag"], range(6)))
    assert len(set(answers)) == 1


def test_parts_can_be_sent_in_parallel_and_in_any_order(s3, bucket, upload):
    bodies = {n: h.body(PART_MIN, seed=n) for n in (5, 1, 4, 2, 3)}
    with ThreadPoolExecutor(5) as pool:
        parts = list(pool.map(lambda n: h.put_part(s3, bucket, "k", upload, n, bodies[n]), bodies))
    complete(s3, bucket, upload, sorted(parts, key=lambda p: p["PartNumber"]))
    assert h.get(s3, bucket, "k") == b"".join(bodies[n] for n in sorted(bodies))


def test_abort_removes_the_upload(s3, bucket, upload):
    part = h.put_part(s3, bucket, "k", upload, 1, b"x")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    for call in (lambda: complete(s3, bucket, upload, [part]),
                 lambda: h.put_part(s3, bucket, "k", upload, 2, b"y"),
                 lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)):
        with h.error("NoSuchUpload", 404):
            call()
    assert h.status_of(s3, bucket, "k") == 404


def test_unknown_upload_is_said_everywhere(s3, bucket, upload):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x")
    for name in ("nonsense", upload[:-1] + ("0" if upload[-1] != "0" else "1"), upload + "0"):
        for call in (
                lambda: h.put_part(s3, bucket, "k", name, 1, b"x"),
                lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=name),
                lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=name),
                lambda: complete(s3, bucket, name, [{"PartNumber": 1, "ETag": '"00"'}]),
                lambda: s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=name, PartNumber=1,
                                            CopySource=f"{bucket}/from")):
            with h.error("NoSuchUpload", 404):
                call()


def test_upload_belongs_to_its_key(s3, bucket, upload):
    with h.error("NoSuchUpload", 404):
        h.put_part(s3, bucket, "other", upload, 1, b"x")
    other = new_bucket(s3)
    with h.error("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=other, Key="k", UploadId=upload)
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1


def test_deleting_the_object_leaves_a_new_upload_alone(s3, bucket):
    h.multipart(s3, bucket, "k", [b"first"])
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = h.put_part(s3, bucket, "k", upload, 1, b"second")
    s3.delete_object(Bucket=bucket, Key="k")
    complete(s3, bucket, upload, [part])
    assert h.get(s3, bucket, "k") == b"second"


# -- UploadPartCopy

def test_part_can_be_copied_whole_and_by_range(s3, bucket, upload):
    data = h.body(PART_MIN + 3 * MIB + 5)
    s3.put_object(Bucket=bucket, Key="from+ü %", Body=data)
    source = {"Bucket": bucket, "Key": "from+ü %"}
    parts = []
    for number, (first, last) in enumerate([(0, PART_MIN - 1), (MIB + 1, len(data) - 1)], 1):
        answer = s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number,
                                     CopySource=source, CopySourceRange=f"bytes={first}-{last}")
        result = answer["CopyPartResult"]
        assert result["ETag"] == f'"{h.md5(data[first:last + 1])}"' and result["LastModified"]
        parts.append({"PartNumber": number, "ETag": result["ETag"]})
    whole = s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=upload, PartNumber=3,
                                CopySource=source)["CopyPartResult"]
    parts.append({"PartNumber": 3, "ETag": whole["ETag"]})
    complete(s3, bucket, upload, parts)
    assert h.get(s3, bucket, "k") == data[:PART_MIN] + data[MIB + 1:] + data


def test_part_copy_checks_its_source(s3, bucket, upload):
    etag = s3.put_object(Bucket=bucket, Key="from", Body=b"0123456789")["ETag"]

    def copy(source=f"{bucket}/from", **more):
        return s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1,
                                   CopySource=source, **more)

    with h.error(("InvalidRange", "InvalidArgument")):
        copy(CopySourceRange="bytes=5-10")
    with h.error("InvalidArgument", 400):
        copy(CopySourceRange="bytes=5-")
    with h.error("NoSuchKey", 404):
        copy(f"{bucket}/none")
    with h.error("PreconditionFailed", 412):
        copy(CopySourceIfMatch='"00"')
    with h.error("PreconditionFailed", 412):
        copy(CopySourceIfNoneMatch=etag)
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


# -- listings of uploads and parts

def test_list_parts_pages(s3, bucket, upload):
    for number in range(1, 8):
        h.put_part(s3, bucket, "k", upload, number, b"x" * number)
    seen, marker = [], 0
    while True:
        page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, MaxParts=3,
                             PartNumberMarker=marker)
        assert len(page["Parts"]) <= 3 and page["MaxParts"] == 3
        seen += page["Parts"]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    assert [(p["PartNumber"], p["Size"]) for p in seen] == [(n, n) for n in range(1, 8)]
    assert seen[2]["ETag"] == f'"{h.md5(b"xxx")}"' and seen[2]["LastModified"]
    assert page["Owner"]["ID"] and page["Initiator"]["ID"] and page["StorageClass"] == "STANDARD"


def test_uploads_are_listed_by_key_then_age_and_page(s3, bucket):
    keys = ["a/1", "a/1", "a/2", "b", "c/d/e", "c ü+%"]
    made = [(key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in keys]
    seen, markers = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        assert len(page.get("Uploads", [])) <= 2
        seen += [(u["Key"], u["UploadId"]) for u in page.get("Uploads", [])]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert sorted(seen) == sorted(made)
    assert [key for key, _ in seen] == sorted(keys, key=str.encode)


def test_uploads_are_listed_by_prefix_and_delimiter(s3, bucket):
    for key in ("a/1", "a/2", "a/b/3", "top"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [u["Key"] for u in page["Uploads"]] == ["top"] and h.prefixes(page) == ["a/"]
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/", Delimiter="/")
    assert [u["Key"] for u in page["Uploads"]] == ["a/1", "a/2"] and h.prefixes(page) == ["a/b/"]
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="zzz")
    assert "Uploads" not in page and not page["IsTruncated"]


def test_upload_file_of_boto3_goes_in_parts(s3, bucket, space):
    data = h.body(21 * MIB + 3)
    (space / "file").write_bytes(data)
    s3.upload_file(str(space / "file"), bucket, "k")
    s3.download_file(bucket, "k", str(space / "back"))
    assert (space / "back").read_bytes() == data
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')
