"""Goal: buckets keep versions as S3 does: enabled, suspended, null versions and delete markers.

Method: boto3 with default settings; what a listing shows is compared with what each answer said; a
kill and a lost index in a server of its own.
"""

from xml.etree import ElementTree

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness import sigv4
from harness.s3 import PART_MIN
from harness.server import Embedded


@pytest.fixture
def versioned(s3, bucket):
    enable(s3, bucket)
    return bucket


def enable(s3, bucket, status="Enabled"):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3, bucket, key="k", body=b"x", **more):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **more).get("VersionId")


def get(s3, bucket, key="k", **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def listed(s3, bucket, **more):
    """Versions, then delete markers of each page: (key, id, latest, is marker)."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **more)
    found = []
    for page in pages:
        for kind, is_marker in [("Versions", False), ("DeleteMarkers", True)]:
            found += [(e["Key"], e["VersionId"], e["IsLatest"], is_marker)
                      for e in page.get(kind, [])]
    return found


def test_the_setting_is_kept(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ["Enabled", "Suspended", "Enabled"]:
        enable(s3, bucket, status)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_bad_settings_are_refused(server, s3, bucket):
    client = sigv4.client(server)
    for document, status in [
        (b"<VersioningConfiguration/>", 400),
        (b"<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>", 400),
        (b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"
         b"</VersioningConfiguration>", 501),
        (b"<Versioning", 400),
    ]:
        answer = client.call("PUT", f"/{bucket}", query=[("versioning", "")], body=document)
        assert answer.status == status, (document, answer.body)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    with h.error("NoSuchBucket", 404):
        enable(s3, "no-such-bucket-of-anyone")


def test_every_write_is_a_version(s3, versioned):
    ids = [put(s3, versioned, body=b"%d" % n) for n in range(5)]
    assert len(set(ids)) == 5 and None not in ids
    assert get(s3, versioned) == b"4"
    for n, version in enumerate(ids):
        got = s3.get_object(Bucket=versioned, Key="k", VersionId=version)
        assert (got["Body"].read(), got["VersionId"]) == (b"%d" % n, version)
        assert s3.head_object(Bucket=versioned, Key="k", VersionId=version)["VersionId"] == version
    assert [entry[:3] for entry in listed(s3, versioned)] == \
        [("k", version, n == 0) for n, version in enumerate(reversed(ids))]
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=versioned)["Contents"]] == ["k"]


def test_a_delete_hides_and_a_delete_by_version_removes(s3, versioned):
    first, second = put(s3, versioned, body=b"one"), put(s3, versioned, body=b"two")
    gone = s3.delete_object(Bucket=versioned, Key="k")
    marker = gone["VersionId"]
    assert gone["DeleteMarker"] is True and marker not in (first, second)
    with h.error("NoSuchKey", 404) as refused:
        get(s3, versioned)
    assert refused.headers["x-amz-delete-marker"] == "true"
    assert refused.headers["x-amz-version-id"] == marker
    with h.error("404", 404) as refused:
        s3.head_object(Bucket=versioned, Key="k")
    assert refused.headers["x-amz-delete-marker"] == "true"
    with h.error("MethodNotAllowed", 405) as refused:
        get(s3, versioned, VersionId=marker)
    assert refused.headers["x-amz-delete-marker"] == "true" and "last-modified" in refused.headers
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    assert get(s3, versioned, VersionId=first) == b"one"
    with h.error("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=versioned)
    # Without its marker the object is back.
    back = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert back["DeleteMarker"] is True and back["VersionId"] == marker
    assert get(s3, versioned) == b"two"
    # Without its newest version the one before it is.
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=second)
    assert "DeleteMarker" not in gone and gone["VersionId"] == second
    assert get(s3, versioned) == b"one"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=first)
    assert listed(s3, versioned) == []
    s3.delete_bucket(Bucket=versioned)


def test_deleting_what_is_not_there(s3, versioned):
    marker = s3.delete_object(Bucket=versioned, Key="none")["VersionId"]
    assert listed(s3, versioned) == [("none", marker, True, True)]
    again = s3.delete_object(Bucket=versioned, Key="none", VersionId="null")
    assert again["VersionId"] == "null"
    s3.delete_object(Bucket=versioned, Key="none", VersionId=marker)
    # Deleted already: no error.
    s3.delete_object(Bucket=versioned, Key="none", VersionId=marker)
    assert listed(s3, versioned) == []


def test_null_versions(s3, bucket):
    """What was there before, and what is written while versioning is suspended, is `null`."""
    assert put(s3, bucket, body=b"before") is None
    enable(s3, bucket)
    one = put(s3, bucket, body=b"one")
    assert get(s3, bucket, VersionId="null") == b"before"
    assert s3.head_object(Bucket=bucket, Key="k", VersionId="null")["VersionId"] == "null"
    enable(s3, bucket, "Suspended")
    assert put(s3, bucket, body=b"suspended") is None
    assert get(s3, bucket) == get(s3, bucket, VersionId="null") == b"suspended"
    assert [entry[:3] for entry in listed(s3, bucket)] == [("k", "null", True), ("k", one, False)]
    put(s3, bucket, body=b"suspended again")
    assert len(listed(s3, bucket)) == 2
    gone = s3.delete_object(Bucket=bucket, Key="k")
    assert (gone["VersionId"], gone["DeleteMarker"]) == ("null", True)
    assert listed(s3, bucket) == [("k", one, False, False), ("k", "null", True, True)]
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert get(s3, bucket) == b"one"
    enable(s3, bucket)
    two = put(s3, bucket, body=b"two")
    assert [entry[1] for entry in listed(s3, bucket)] == [two, one]


def test_versions_are_named_by_their_own_ids_only(s3, versioned):
    version = put(s3, versioned)
    other = put(s3, versioned, "other")
    for bad in ["17", "3/L4kqtJlcpXroDTDmJ", version[:-1], version.upper() + "0"]:
        with h.error("InvalidArgument", 400):
            get(s3, versioned, VersionId=bad)
        with h.error("InvalidArgument", 400):
            s3.delete_object(Bucket=versioned, Key="k", VersionId=bad)
    for missing in [other, "null"]:
        with h.error("NoSuchVersion", 404):
            get(s3, versioned, VersionId=missing)
        with h.error("404", 404):
            s3.head_object(Bucket=versioned, Key="k", VersionId=missing)
    assert get(s3, versioned, VersionId=version) == b"x"


def test_listings_are_exact_page_by_page(s3, versioned):
    told = {}
    for n in range(7):
        for key in ["a", "b/1", "b/2", "c\u00e9"]:
            told.setdefault(key, []).append(put(s3, versioned, key, b"%d" % n))
    markers = {key: s3.delete_object(Bucket=versioned, Key=key)["VersionId"]
               for key in ["a", "b/2"]}
    expected = {(key, version) for key, versions in told.items() for version in versions}
    expected |= set(markers.items())
    for size in [1, 2, 3, 5, 30]:
        found = listed(s3, versioned, PaginationConfig={"PageSize": size})
        assert len(found) == len(expected) and {entry[:2] for entry in found} == expected
        latest = {entry[:2] for entry in found if entry[2]}
        assert latest == {(key, markers.get(key, told[key][-1])) for key in told}
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["b/"]
    assert {e["Key"] for e in page["Versions"]} == {"a", "c\u00e9"}
    page = s3.list_object_versions(Bucket=versioned, Prefix="b/2", MaxKeys=3)
    assert page["IsTruncated"] and page["NextKeyMarker"] == "b/2"
    rest = s3.list_object_versions(Bucket=versioned, Prefix="b/2", KeyMarker="b/2",
                                   VersionIdMarker=page["NextVersionIdMarker"])
    assert len(rest["Versions"]) == 5 and not rest["IsTruncated"]
    page = s3.list_object_versions(Bucket=versioned, KeyMarker="b/2")
    assert {e["Key"] for e in page["Versions"]} == {"c\u00e9"}
    with h.error("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, VersionIdMarker=markers["a"])
    with h.error("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, KeyMarker="a", VersionIdMarker="nonsense")


def test_versions_and_delete_markers_come_in_one_order(server, s3, versioned):
    """By the document: SDKs that read it as it comes take its order for that of the versions."""
    told = []
    for key in ["a", "b&<Version>"]:
        made = [put(s3, versioned, key)]
        made.append(s3.delete_object(Bucket=versioned, Key=key)["VersionId"])
        made.append(s3.delete_object(Bucket=versioned, Key=key)["VersionId"])
        made += [put(s3, versioned, key), put(s3, versioned, key)]
        told += list(zip(["Version", "DeleteMarker", "DeleteMarker", "Version", "Version"],
                         made))[::-1]
    for size in [1, 3, 1000]:
        found, query = [], [("max-keys", str(size)), ("versions", "")]
        while True:
            answer = sigv4.client(server).call("GET", f"/{versioned}", query=sorted(query))
            assert answer.status == 200, answer.body
            document = ElementTree.fromstring(answer.body)
            name = document.tag.partition("}")[0] + "}"
            found += [(entry.tag.removeprefix(name), entry.findtext(name + "VersionId"))
                      for entry in document
                      if entry.tag.removeprefix(name) in ["Version", "DeleteMarker"]]
            if document.findtext(name + "IsTruncated") == "false":
                break
            query = query[:2] + [("key-marker", document.findtext(name + "NextKeyMarker")),
                                 ("version-id-marker",
                                  document.findtext(name + "NextVersionIdMarker"))]
        assert found == told, size


def test_a_version_is_restored_by_a_copy(s3, versioned):
    first = put(s3, versioned, body=b"first", Metadata={"n": "1"})
    put(s3, versioned, body=b"second")
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == first and copied["VersionId"] != first
    assert get(s3, versioned) == b"first"
    assert s3.head_object(Bucket=versioned, Key="k")["Metadata"] == {"n": "1"}
    assert len(listed(s3, versioned)) == 3
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with h.error("NoSuchKey", 404):
        s3.copy_object(Bucket=versioned, Key="to", CopySource={"Bucket": versioned, "Key": "k"})
    with h.error("InvalidRequest", 400):
        s3.copy_object(Bucket=versioned, Key="to", CopySource=dict(source, VersionId=marker))


def test_uploads_make_versions(s3, versioned):
    ids = []
    for n in range(2):
        upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
        source = {"Bucket": versioned, "Key": "k", "VersionId": ids[0]} if ids else None
        first = h.put_part(s3, versioned, "k", upload, 1, h.body(PART_MIN, n))
        if source:
            copied = s3.upload_part_copy(Bucket=versioned, Key="k", UploadId=upload, PartNumber=2,
                                         CopySource=source)
            assert copied["CopySourceVersionId"] == ids[0]
            second = {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]}
        else:
            second = h.put_part(s3, versioned, "k", upload, 2, b"tail")
        parts = {"Parts": [first, second]}
        done = s3.complete_multipart_upload(Bucket=versioned, Key="k", UploadId=upload,
                                            MultipartUpload=parts)
        again = s3.complete_multipart_upload(Bucket=versioned, Key="k", UploadId=upload,
                                             MultipartUpload=parts)
        assert done["VersionId"] == again["VersionId"]
        ids.append(done["VersionId"])
    assert [entry[1] for entry in listed(s3, versioned)] == ids[::-1]
    first = h.body(PART_MIN, 0) + b"tail"
    assert get(s3, versioned, VersionId=ids[0]) == first
    assert get(s3, versioned) == h.body(PART_MIN, 1) + first
    attributes = s3.get_object_attributes(Bucket=versioned, Key="k", VersionId=ids[0],
                                          ObjectAttributes=["ObjectSize", "ObjectParts"])
    assert attributes["ObjectSize"] == len(first) and attributes["VersionId"] == ids[0]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[1])
    assert get(s3, versioned) == first


def test_many_are_deleted_at_once(s3, versioned):
    ids = [put(s3, versioned, body=b"%d" % n) for n in range(3)]
    put(s3, versioned, "other")
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [
        {"Key": "k", "VersionId": ids[0]}, {"Key": "other"}, {"Key": "k", "VersionId": "nonsense"},
    ]})
    by_key = {entry["Key"]: entry for entry in answer["Deleted"]}
    assert by_key["k"]["VersionId"] == ids[0] and "DeleteMarker" not in by_key["k"]
    assert by_key["other"]["DeleteMarker"] and by_key["other"]["DeleteMarkerVersionId"]
    errors = [(e["Code"], e["VersionId"]) for e in answer["Errors"]]
    assert errors == [("InvalidArgument", "nonsense")]
    gone = s3.delete_objects(Bucket=versioned, Delete={"Objects": [
        {"Key": "other", "VersionId": by_key["other"]["DeleteMarkerVersionId"]}]})
    assert gone["Deleted"][0]["DeleteMarker"] is True
    assert get(s3, versioned, "other") == b"x"
    assert [entry[1] for entry in listed(s3, versioned, Prefix="k")] == ids[:0:-1]


def test_conditions_look_at_the_current_version(s3, versioned):
    put(s3, versioned, body=b"one")
    with h.error("PreconditionFailed", 412):
        put(s3, versioned, body=b"two", IfNoneMatch="*")
    s3.delete_object(Bucket=versioned, Key="k")
    # A delete marker is no object.
    version = put(s3, versioned, body=b"three", IfNoneMatch="*")
    head = s3.head_object(Bucket=versioned, Key="k", VersionId=version)
    with h.error("PreconditionFailed", 412):
        s3.delete_object(Bucket=versioned, Key="k", IfMatch='"0123"')
    with h.error("304", 304):
        s3.get_object(Bucket=versioned, Key="k", VersionId=version, IfNoneMatch=head["ETag"])
    s3.delete_object(Bucket=versioned, Key="k", IfMatch=head["ETag"])
    # The delete marker has no entity tag, but it is there.
    with h.error("PreconditionFailed", 412):
        s3.delete_object(Bucket=versioned, Key="k", IfMatch=head["ETag"])
    s3.delete_object(Bucket=versioned, Key="k", IfMatch="*")
    assert len(listed(s3, versioned)) == 5


def test_versions_outlast_a_kill_and_the_index(own_server):
    server = own_server(Embedded)
    s3 = server.client()
    bucket = new_bucket(s3)
    put(s3, bucket, "old", b"from before")
    enable(s3, bucket)
    bodies = {}
    for n in range(3):
        for key, size in [("small", 50), ("large", 3_000_000), ("old", 200_000)]:
            body = h.body(size, n)
            bodies[key, put(s3, bucket, key, body)] = body
    s3.delete_object(Bucket=bucket, Key="small")
    (_, victim), _ = next(entry for entry in bodies.items() if entry[0][0] == "large")
    s3.delete_object(Bucket=bucket, Key="large", VersionId=victim)
    del bodies["large", victim]
    bodies["old", "null"] = b"from before"
    before = listed(s3, bucket)
    assert len(before) == len(bodies) + 1

    def check():
        reader = server.client()
        assert listed(reader, bucket) == before
        for (key, version), body in bodies.items():
            assert get(reader, bucket, key, VersionId=version) == body
        with h.error("NoSuchKey", 404):
            get(reader, bucket, "small")
        with h.error("NoSuchVersion", 404):
            get(reader, bucket, "large", VersionId=victim)

    server.assert_lasts(check)
