"""Goal: both list operations are exact: order, delimiter, prefix, markers, pages, encoding.

Method: boto3 with default settings against a model computed in the test from the same keys.
"""
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import s3 as h
from harness import sigv4

KEYS = sorted([
    "a", "a/b", "a/b/c", "a/b/d", "a/c", "a-b", "a.b", "ab", "b/", "b//c", "b//d/e", "c d/e f",
    "c+d", "c%d", "d/1", "d/10", "d/2", "é/x", "日本/語", "🦀/1", "zz", "Z", "_", "~",
], key=str.encode)


def model(keys, prefix="", delimiter="", after=""):
    """What a listing without page limit must hold, in order: (kind, name) pairs."""
    entries = []
    for key in keys:
        if not key.startswith(prefix):
            continue
        entry = ("key", key)
        if delimiter and delimiter in key[len(prefix):]:
            cut = key.index(delimiter, len(prefix)) + len(delimiter)
            entry = ("prefix", key[:cut])
        if entry not in entries and entry[1].encode() > after.encode():
            entries.append(entry)
    return entries


def entries(page):
    both = [("key", k) for k in h.keys(page)] + [("prefix", p) for p in h.prefixes(page)]
    return sorted(both, key=lambda entry: entry[1].encode())


@pytest.fixture(scope="module")
def filled(server):
    """One bucket for all read-only tests of this file."""
    from conftest import new_bucket
    s3 = server.client()
    name = new_bucket(s3)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: s3.put_object(Bucket=name, Key=k, Body=k.encode()), KEYS))
    return name


CASES = [("", ""), ("", "/"), ("a", ""), ("a", "/"), ("a/", "/"), ("a/b/", "/"), ("b/", "/"),
         ("b//", "/"), ("d/1", ""), ("é", "/"), ("🦀/", "/"), ("none", "/"), ("", "b"),
         ("", "//"), ("c", " "), ("a/b", "/")]


@pytest.mark.parametrize("prefix,delimiter", CASES)
def test_v2_equals_the_model(s3, filled, prefix, delimiter):
    page = s3.list_objects_v2(Bucket=filled, Prefix=prefix, Delimiter=delimiter)
    want = model(KEYS, prefix, delimiter)
    assert entries(page) == want
    assert h.keys(page) == [name for kind, name in want if kind == "key"]
    assert page["KeyCount"] == len(want) and page["IsTruncated"] is False


@pytest.mark.parametrize("prefix,delimiter", CASES)
def test_v1_equals_the_model(s3, filled, prefix, delimiter):
    page = s3.list_objects(Bucket=filled, Prefix=prefix, Delimiter=delimiter)
    assert entries(page) == model(KEYS, prefix, delimiter)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("prefix,delimiter", [("", ""), ("", "/"), ("a", "/"), ("b/", "/")])
def test_v2_pages_join_to_the_model(s3, filled, prefix, delimiter, size):
    seen, more = [], {}
    while True:
        page = s3.list_objects_v2(Bucket=filled, Prefix=prefix, Delimiter=delimiter,
                                  MaxKeys=size, **more)
        assert len(entries(page)) == page["KeyCount"] <= size and page["MaxKeys"] == size
        seen += entries(page)
        if not page["IsTruncated"]:
            break
        assert page["KeyCount"] == size, "a page that says there is more is full"
        more = {"ContinuationToken": page["NextContinuationToken"]}
    assert seen == model(KEYS, prefix, delimiter)
    assert "NextContinuationToken" not in page


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_v1_pages_join_to_the_model(s3, filled, delimiter, size):
    seen, marker = [], ""
    while True:
        page = s3.list_objects(Bucket=filled, Delimiter=delimiter, MaxKeys=size, Marker=marker)
        seen += entries(page)
        if not page["IsTruncated"]:
            break
        # NextMarker is only given with a delimiter; else the last key is the marker.
        marker = page["NextMarker"] if delimiter else h.keys(page)[-1]
    assert seen == model(KEYS, "", delimiter)


@pytest.mark.parametrize("after", ["", "a", "a/", "a/b", "a/b/zz", "b", "b//", "zz", "日本", "🦀0"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_start_after_and_marker(s3, filled, after, delimiter):
    want = [key for key in KEYS if key.encode() > after.encode()]
    page = s3.list_objects_v2(Bucket=filled, StartAfter=after, Delimiter=delimiter)
    if delimiter:
        # Keys after the marker count towards their prefix, even if the prefix sorts before it.
        named = {n for k, n in entries(page) if k == "prefix"}
        all_named = {n for k, n in model(want, "", delimiter) if k == "prefix"}
        assert {n for n in all_named if n.encode() > after.encode()} <= named <= all_named
        assert h.keys(page) == [n for k, n in model(want, "", delimiter) if k == "key"]
    else:
        assert h.keys(page) == want
        assert h.keys(s3.list_objects(Bucket=filled, Marker=after)) == want


def test_max_keys_zero_lists_nothing(s3, filled):
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert entries(page) == [] and page["IsTruncated"] is False


def test_max_keys_is_capped_at_a_thousand(s3, filled):
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=5000)
    assert page["MaxKeys"] in (1000, 5000) and len(h.keys(page)) == len(KEYS)


def test_negative_max_keys_and_bad_token_are_refused(s3, filled):
    with h.error("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=filled, MaxKeys=-1)
    with h.error("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=filled, ContinuationToken="not a token")


def test_entries_carry_size_etag_time_and_class(s3, filled):
    entry = s3.list_objects_v2(Bucket=filled, Prefix="a/b/c", FetchOwner=True)["Contents"][0]
    assert entry["Size"] == 5 and entry["ETag"] == f'"{h.md5(b"a/b/c")}"'
    head = s3.head_object(Bucket=filled, Key="a/b/c")
    assert abs((entry["LastModified"] - head["LastModified"]).total_seconds()) < 1
    assert entry["StorageClass"] == "STANDARD" and entry["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=filled, Prefix="a/b/c")["Contents"][0]
    assert s3.list_objects(Bucket=filled, Prefix="a/b/c")["Contents"][0]["Owner"]["ID"]


def test_encoding_type_url_encodes_names(server, filled):
    # boto3 asks for it and decodes it silently; here the answer itself is looked at.
    client = sigv4.client(server)
    query = [("list-type", "2"), ("prefix", "c"), ("delimiter", "/"), ("encoding-type", "url")]
    text = client.call("GET", f"/{filled}", query=query).body.decode()
    assert "<EncodingType>url</EncodingType>" in text
    assert "<Key>c%25d</Key>" in text and "<Key>c%2Bd</Key>" in text
    assert "<Prefix>c%20d/</Prefix>" in text or "<Prefix>c+d/</Prefix>" in text
    plain = client.call("GET", f"/{filled}", query=query[:3]).body.decode()
    assert "<Key>c+d</Key>" in plain and "<Prefix>c d/</Prefix>" in plain
    assert "EncodingType" not in plain


def test_unknown_encoding_type_is_refused(server, filled):
    answer = sigv4.client(server).call("GET", f"/{filled}",
                                       query=[("list-type", "2"), ("encoding-type", "xml")])
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_more_than_a_page_of_keys_and_prefixes(s3, bucket):
    names = [f"{group:03}/{number:02}" for group in range(60) for number in range(20)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda k: s3.put_object(Bucket=bucket, Key=k, Body=b""), names))
    first = s3.list_objects_v2(Bucket=bucket)
    assert len(h.keys(first)) == 1000 and first["IsTruncated"]
    assert h.all_keys(s3, bucket) == names
    assert h.prefixes(s3.list_objects_v2(Bucket=bucket, Delimiter="/")) == [
        f"{group:03}/" for group in range(60)]
    # Deleting in the middle of a listing neither repeats nor loses another key.
    last = h.keys(first)[-1]
    s3.delete_object(Bucket=bucket, Key=last)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert h.keys(rest) == names[1000:]


def test_listing_is_exact_while_others_write(s3, bucket):
    steady = [f"s{i:03}" for i in range(150)]
    for key in steady:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")

    def churn(worker):
        for turn in range(40):
            key = f"s{worker * 7 + turn:03}-churn"
            s3.put_object(Bucket=bucket, Key=key, Body=b"y")
            s3.delete_object(Bucket=bucket, Key=key)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(churn, worker) for worker in range(3)]
        while not all(task.done() for task in running):
            got = [k for k in h.all_keys(s3, bucket, PaginationConfig={"PageSize": 40})
                   if not k.endswith("-churn")]
            assert got == steady
        for task in running:
            task.result()
    assert h.all_keys(s3, bucket) == steady
