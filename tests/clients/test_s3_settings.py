"""Goal: what is configured of a bucket is kept, checked, and does what S3 says: tags, CORS, payment;
what is not served says so.

Method: boto3 with default settings; unsigned and presigned requests as browsers send them; a
restart, a kill and a lost index in a server of its own.
"""

import pytest

from conftest import new_bucket
from harness import rawhttp
from harness import s3 as h
from harness import sigv4
from harness.server import Embedded

RULE = {"ID": "one", "AllowedOrigins": ["https://*.example"], "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["x-amz-*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}
ANY = {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]}
PAGE = "https://a.example"


def put_cors(s3, bucket, *rules):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": list(rules)})


def put_tags(s3, bucket, tags):
    pairs = [{"Key": key, "Value": value} for key, value in tags]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs})


def tags_of(s3, bucket):
    got = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    return [(tag["Key"], tag["Value"]) for tag in got]


def preflight(server, target, origin=PAGE, method="GET", **more):
    headers = {"host": sigv4.client(server).address, "origin": origin,
               "access-control-request-method": method, **more}
    return rawhttp.exchange(sigv4.client(server).address, "OPTIONS", target, headers)


# -- tags

def test_bucket_tags_are_kept_until_they_are_deleted(s3, bucket):
    with h.error("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    for tags in ([("team", "storage"), ("empty", "")], [("Ä +-=._:/@", "ü")],
                 [(f"k{i}", "v") for i in range(50)]):
        put_tags(s3, bucket, tags)
        assert tags_of(s3, bucket) == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    s3.delete_bucket_tagging(Bucket=bucket)
    with h.error("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)


@pytest.mark.parametrize("tags", [
    [("k", "v"), ("k", "w")], [("k" * 129, "v")], [("k", "v" * 257)], [("aws:k", "v")],
    [("k", "a&b")], [(f"k{i}", "v") for i in range(51)],
], ids=["twice", "long-key", "long-value", "system", "characters", "many"])
def test_bad_bucket_tags_change_nothing(s3, bucket, tags):
    put_tags(s3, bucket, [("old", "one")])
    with h.error("InvalidTag", 400):
        put_tags(s3, bucket, tags)
    assert tags_of(s3, bucket) == [("old", "one")]


# -- CORS

def test_cors_is_kept_until_it_is_deleted(s3, bucket):
    with h.error("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)
    put_cors(s3, bucket, RULE, ANY)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [RULE, ANY]
    put_cors(s3, bucket, ANY)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [ANY]
    s3.delete_bucket_cors(Bucket=bucket)
    with h.error("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)


@pytest.mark.parametrize("change,code", [
    ({"AllowedMethods": ["PATCH"]}, "InvalidRequest"),
    ({"AllowedOrigins": ["*.*"]}, "InvalidRequest"),
    ({"AllowedHeaders": ["x-*-*"]}, "InvalidRequest"),
    ({"ExposeHeaders": ["x-*"]}, "InvalidRequest"),
    ({"AllowedOrigins": []}, "MalformedXML"),
    ({"MaxAgeSeconds": -1}, "MalformedXML"),
], ids=["method", "origin", "header", "expose", "no-origin", "age"])
def test_bad_cors_changes_nothing(s3, bucket, change, code):
    put_cors(s3, bucket, ANY)
    with h.error(code, 400):
        put_cors(s3, bucket, {**RULE, **change})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [ANY]


def test_at_most_a_hundred_rules(s3, bucket):
    put_cors(s3, bucket, *[ANY] * 100)
    with h.error("InvalidRequest", 400):
        put_cors(s3, bucket, *[ANY] * 101)


def test_preflight_needs_no_signature_and_follows_the_rules(server, s3, bucket):
    put_cors(s3, bucket, RULE, ANY)
    signed = sigv4.client(server).presign("PUT", f"/{bucket}/k")
    for target in (f"/{bucket}/k", f"/{bucket}", signed):
        told = preflight(server, target, method="PUT",
                         **{"access-control-request-headers": "x-amz-date, X-Amz-Meta-A"})
        assert told.status == 200 and told.body == b"", told
        assert told.headers["access-control-allow-origin"] == PAGE
        assert told.headers["access-control-allow-methods"] == "GET, PUT"
        assert told.headers["access-control-allow-headers"] == "x-amz-date, x-amz-meta-a"
        assert told.headers["access-control-allow-credentials"] == "true"
        assert told.headers["access-control-max-age"] == "60"
    anyone = preflight(server, f"/{bucket}/k", "https://evil.test", "HEAD")
    assert anyone.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in anyone.headers
    for refused in (preflight(server, f"/{bucket}/k", "https://evil.test"),
                    preflight(server, f"/{bucket}/k", method="DELETE"),
                    preflight(server, f"/{bucket}/k",
                              **{"access-control-request-headers": "x-other"}),
                    preflight(server, "/no-such-bucket-at-all/k"), preflight(server, "/")):
        assert (refused.status, refused.code) == (403, "AccessForbidden"), refused
        assert "access-control-allow-origin" not in refused.headers


def test_pages_are_told_of_answers_and_get_no_right_by_it(server, s3, bucket):
    put_cors(s3, bucket, RULE)
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    client = sigv4.client(server)
    good = client.follow("GET", client.presign("GET", f"/{bucket}/k"), headers={"origin": PAGE})
    assert good.status == 200 and good.body == b"data"
    none = client.follow("GET", client.presign("GET", f"/{bucket}/none"), headers={"origin": PAGE})
    assert none.status == 404
    unsigned = client.follow("PUT", f"/{bucket}/k", b"new", headers={"origin": PAGE})
    assert (unsigned.status, unsigned.code) == (403, "AccessDenied")
    for answer in (good, none, unsigned):
        assert answer.headers["access-control-allow-origin"] == PAGE, answer
        assert "Origin" in answer.headers["vary"]
    evil = client.follow("GET", client.presign("GET", f"/{bucket}/k"),
                         headers={"origin": "https://evil.test"})
    assert evil.status == 200 and "access-control-allow-origin" not in evil.headers
    assert h.get(s3, bucket, "k") == b"data"


# -- payment

def test_who_pays_is_kept(s3, bucket):
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    for payer in ("Requester", "BucketOwner"):
        s3.put_bucket_request_payment(Bucket=bucket,
                                      RequestPaymentConfiguration={"Payer": payer})
        assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == payer
    with h.error("MalformedXML", 400):
        s3.put_bucket_request_payment(Bucket=bucket,
                                      RequestPaymentConfiguration={"Payer": "Nobody"})


# -- all of them

@pytest.mark.parametrize("call", [
    lambda s3, b: put_tags(s3, b, [("k", "v")]), lambda s3, b: put_cors(s3, b, ANY),
    lambda s3, b: s3.delete_bucket_cors(Bucket=b), lambda s3, b: s3.get_bucket_tagging(Bucket=b),
    lambda s3, b: s3.get_bucket_request_payment(Bucket=b),
], ids=["tags", "cors", "delete", "get", "payment"])
def test_a_bucket_that_does_not_exist_has_no_settings(s3, call):
    with h.error("NoSuchBucket", 404):
        call(s3, "no-such-bucket-at-all")


def test_settings_outlast_a_restart_a_kill_and_the_index(own_server):
    server = own_server(Embedded)
    client = server.client()
    bucket, other = new_bucket(client), new_bucket(client)

    def check():
        reader = server.client()
        assert tags_of(reader, bucket) == [("k", "new")]
        assert reader.get_bucket_cors(Bucket=bucket)["CORSRules"] == [RULE]
        assert reader.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
        with h.error("NoSuchTagSet", 404):
            reader.get_bucket_tagging(Bucket=other)
        assert h.get(reader, bucket, "k") == b"data"

    put_tags(client, other, [("gone", "soon")])
    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    put_tags(client, bucket, [("k", "old")])
    put_cors(client, bucket, RULE)
    client.put_bucket_request_payment(Bucket=bucket,
                                      RequestPaymentConfiguration={"Payer": "Requester"})
    put_tags(client, bucket, [("k", "new")])
    client.delete_bucket_tagging(Bucket=other)
    server.assert_lasts(check)


@pytest.mark.parametrize("call", [
    lambda s3, b: s3.delete_bucket_encryption(Bucket=b),
    lambda s3, b: s3.restore_object(Bucket=b, Key="k", RestoreRequest={"Days": 1}),
], ids=["encryption", "restore"])
def test_what_is_not_served_says_so(s3, bucket, call):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    with h.error("NotImplemented", 501):
        call(s3, bucket)
    assert h.get(s3, bucket, "k") == b"data"
