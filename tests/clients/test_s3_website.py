"""Goal: a bucket with a website configuration is a website, and nothing that was not opened is.

Method: boto3 and the aws cli configure; a browser's requests are sent by hand with a Host header.
"""
import http.client
import json

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.commands import run
from harness.server import Embedded

DOMAIN = "web.holdfast.test"
PAGES = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"},
         "RoutingRules": [
             {"Condition": {"KeyPrefixEquals": "docs/"},
              "Redirect": {"ReplaceKeyPrefixWith": "documents/"}},
             {"Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "old/"},
              "Redirect": {"HostName": "old.test", "Protocol": "https",
                           "HttpRedirectCode": "307"}}]}


@pytest.fixture(scope="module")
def web(session_space):
    made = Embedded(session_space / "web", args=["--website-domain", DOMAIN])
    yield made
    made.close()


def visit(server, bucket, path, method="GET", **headers):
    """Status, headers and body, as a browser is answered."""
    connection = http.client.HTTPConnection(server.s3_url.split("//")[1], timeout=60)
    headers = {"Host": f"{bucket}.{DOMAIN}", **headers}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}
    return *found, answer.read()


def publish(client, bucket, listing=True):
    client.delete_public_access_block(Bucket=bucket)
    allow = {"Effect": "Allow", "Principal": "*"}
    statements = [{**allow, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]
    if listing:
        statements.append({**allow, "Action": "s3:ListBucket",
                           "Resource": f"arn:aws:s3:::{bucket}"})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    client.put_bucket_policy(Bucket=bucket, Policy=policy)


@pytest.fixture
def site(web):
    client = web.client()
    bucket = new_bucket(client)
    publish(client, bucket)
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=PAGES)
    for key in ["index.html", "a/index.html"]:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode(), ContentType="text/html")
    return client, bucket


def test_a_configuration_comes_back_as_it_was_given(web):
    client = web.client()
    bucket = new_bucket(client)
    with h.error("NoSuchWebsiteConfiguration", 404):
        client.get_bucket_website(Bucket=bucket)
    for website in [PAGES, {"IndexDocument": {"Suffix": "i"}},
                    {"RedirectAllRequestsTo": {"HostName": "a.test", "Protocol": "https"}}]:
        client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=website)
        got = client.get_bucket_website(Bucket=bucket)
        del got["ResponseMetadata"]
        assert got == website
    client.delete_bucket_website(Bucket=bucket)
    with h.error("NoSuchWebsiteConfiguration", 404):
        client.get_bucket_website(Bucket=bucket)


def test_pages_redirects_and_errors(web, site):
    client, bucket = site
    big = h.body(3_000_000, seed=1)
    client.put_object(Bucket=bucket, Key="big ü.bin", Body=big)
    assert visit(web, bucket, "/")[2] == b"index.html"
    status, headers, body = visit(web, bucket, "/a/?x=y")
    assert (status, headers["content-type"], body) == (200, "text/html", b"a/index.html")
    assert visit(web, bucket, "/big%20%C3%BC.bin")[2] == big
    part = visit(web, bucket, "/big%20%C3%BC.bin", Range="bytes=10-19")
    assert (part[0], part[2]) == (206, big[10:20])
    assert visit(web, bucket, "/", method="HEAD")[::2] == (200, b"")
    for path, status, location in [("/a", 302, "/a/"), ("/docs/x", 301, "/documents/x"),
                                   ("/old/x", 307, "https://old.test/old/x")]:
        found = visit(web, bucket, path)
        assert (found[0], found[1]["location"]) == (status, location)
    status, headers, body = visit(web, bucket, "/none")
    assert status == 404 and headers["content-type"].startswith("text/html")
    assert b"<li>Code: NoSuchKey</li>" in body
    client.put_object(Bucket=bucket, Key="error.html", Body=b"sorry")
    assert visit(web, bucket, "/none")[::2] == (404, b"sorry")
    assert visit(web, bucket, "/none", method="DELETE")[0] == 405


def test_what_is_not_public_is_not_shown(web, site):
    client, bucket = site
    publish(client, bucket, listing=False)
    assert visit(web, bucket, "/none")[0] == 403
    client.delete_bucket_policy(Bucket=bucket)
    assert visit(web, bucket, "/")[0] == 403
    other = new_bucket(client)
    assert visit(web, other, "/")[1]["x-amz-error-code"] == "NoSuchWebsiteConfiguration"
    assert visit(web, "no-such-bucket", "/")[1]["x-amz-error-code"] == "NoSuchBucket"


def test_objects_say_where_they_are_however_they_were_written(web, site):
    client, bucket = site
    there = "/a/"
    client.put_object(Bucket=bucket, Key="put", WebsiteRedirectLocation=there)
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts",
                                            WebsiteRedirectLocation=there)["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    client.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    source = {"Bucket": bucket, "Key": "put"}
    client.copy_object(Bucket=bucket, Key="copy", CopySource=source, WebsiteRedirectLocation=there)
    client.copy_object(Bucket=bucket, Key="plain", CopySource=source)
    for key in ["put", "parts", "copy"]:
        assert client.head_object(Bucket=bucket, Key=key)["WebsiteRedirectLocation"] == there
        status, headers, _ = visit(web, bucket, f"/{key}")
        assert (status, headers["location"]) == (301, there)
    assert visit(web, bucket, "/plain")[0] == 200
    with h.error("InvalidArgument", 400):
        client.put_object(Bucket=bucket, Key="bad", WebsiteRedirectLocation="ftp://x")


def test_a_website_stays_when_the_server_starts_again(web, site):
    _, bucket = site
    web.kill9()
    web.start()
    assert visit(web, bucket, "/")[2] == b"index.html"


def test_aws_cli_makes_a_website(web):
    client = web.client()
    bucket = new_bucket(client)
    publish(client, bucket)
    run(["aws", "s3", "website", f"s3://{bucket}", "--index-document", "home.html"], web.environ())
    client.put_object(Bucket=bucket, Key="home.html", Body=b"home")
    assert visit(web, bucket, "/")[2] == b"home"


def test_a_domain_is_not_both(session_space):
    server = Embedded(session_space / "both", start=False,
                      args=["--domain", "a.test", "--website-domain", "A.test"])
    process = server.spawn()
    assert process.child.wait(timeout=60) == 2
    assert "--website-domain" in server.logs()
