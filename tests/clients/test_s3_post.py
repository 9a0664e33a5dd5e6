"""Goal: forms of browsers (POST of an object): what a policy allows is stored, and nothing else;
a file of any size is passed on as it comes.

Method: forms as boto3 signs them (`generate_presigned_post`), sent by requests and, where a form is
to be wrong in one way or to come slowly, byte by byte; what is stored is read back with boto3.
"""
import re
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import requests

from conftest import new_bucket
from harness import checksums as c
from harness import forms, rawhttp
from harness import s3 as h
from harness.server import ROOT, Embedded

# What boto3 signs presigned requests with by itself is version 2.
V4 = {"signature_version": "s3v4"}
FILE = b"what the browser sends\r\n--not a boundary--\r\n"


@pytest.fixture
def s3(server, request):
    request.node.servers = [server]
    return server.client(**V4)


def presign(s3, bucket, key="k", fields=None, conditions=(), **more):
    """Fields that boto3 signed; every one of `fields` has its own condition."""
    fields = fields or {}
    listed = [{name: value} for name, value in fields.items()] + list(conditions)
    made = s3.generate_presigned_post(bucket, key, Fields=dict(fields), Conditions=listed, **more)
    return made["fields"]


def send(server, bucket, fields, file=FILE, filename="f.txt"):
    """As a program would: requests, which names every field's file."""
    files = {"file": (filename, file)}
    return requests.post(f"{server.s3_url}/{bucket}", data=fields, files=files, timeout=60,
                         allow_redirects=False)


def refused(s3, bucket, answer, status, code):
    """The answer is that error, and nothing was stored."""
    text = answer.body if isinstance(answer, rawhttp.Answer) else answer.content
    got = answer.status if isinstance(answer, rawhttp.Answer) else answer.status_code
    assert (got, ET.fromstring(text).findtext("Code")) == (status, code), text
    assert h.keys(s3.list_objects_v2(Bucket=bucket)) == []
    return ET.fromstring(text).findtext("Message")


# -- what is stored

def test_a_form_stores_its_file_and_what_its_fields_say(server, s3, bucket):
    fields = {"Content-Type": "image/png", "Cache-Control": "no-store", "acl": "bucket-owner-full-control",
              "Content-Disposition": 'attachment; filename="ü"', "Expires": "whenever",
              "x-amz-meta-who": "ü", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    answer = send(server, bucket, presign(s3, bucket, fields=fields))
    assert answer.status_code == 204 and answer.content == b"", answer.text
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == FILE
    assert answer.headers["etag"] == got["ETag"] == f'"{h.md5(FILE)}"'
    assert answer.headers["location"] == f"{server.s3_url}/{bucket}/k"
    assert (got["ContentType"], got["CacheControl"]) == ("image/png", "no-store")
    assert got["Metadata"]["who"] == "=?UTF-8?B?w7w=?="  # as for a PUT (RFC 2047)
    assert got["StorageClass"] == "REDUCED_REDUNDANCY"


def test_a_form_without_a_content_type_is_of_the_default_one(server, s3, bucket):
    assert send(server, bucket, presign(s3, bucket)).status_code == 204
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


@pytest.mark.parametrize("key,filename,stored", [
    ("up/${filename}", "a.txt", "up/a.txt"), ("${filename}", "/some/where/b", "b"),
    ("${filename}", "C:\\dir\\c", "c"), ("ключ/é ü+&%.txt", "x", "ключ/é ü+&%.txt"),
    ("д/${filename}", "é ü.txt", "д/é ü.txt"), ("a/../b//c", "x", "a/../b//c"),
])
def test_keys_are_those_of_the_form_with_the_files_name(server, s3, bucket, key, filename, stored):
    answer = forms.post(server, bucket, presign(s3, bucket, key), FILE, filename=filename)
    assert answer.status == 204, answer
    assert h.keys(s3.list_objects_v2(Bucket=bucket)) == [stored]
    assert h.get(s3, bucket, stored) == FILE


def test_names_of_fields_are_in_any_case_and_what_follows_the_file_is_ignored(server, s3, bucket):
    fields = {name.swapcase(): value for name, value in presign(s3, bucket).items()}
    fields["X-Ignore-This"] = "whatever"
    after = [("key", "other"), ("submit", "Upload"), ("file", "another")]
    answer = forms.post(server, bucket, fields, FILE, after=after)
    assert answer.status == 204, answer
    assert h.keys(s3.list_objects_v2(Bucket=bucket)) == ["k"]
    assert h.get(s3, bucket, "k") == FILE


@pytest.mark.parametrize("length", [0, 1, 32 << 10, (32 << 10) + 1, 1 << 20, (3 << 20) + 7])
def test_files_of_all_lengths(server, s3, bucket, length):
    data = h.body(length)
    assert send(server, bucket, presign(s3, bucket), data).status_code == 204
    assert h.get(s3, bucket, "k") == data


@pytest.mark.parametrize("algorithm", c.ALGORITHMS)
def test_checksums_are_compared_and_kept(server, s3, bucket, algorithm):
    name, good = c.header(algorithm), c.value(algorithm, FILE)
    bad = presign(s3, bucket, fields={name: c.value(algorithm, b"other")})
    refused(s3, bucket, send(server, bucket, bad), 400, "BadDigest")
    none = presign(s3, bucket, fields={name: "sailorjerry"})
    refused(s3, bucket, send(server, bucket, none), 400, "InvalidRequest")
    answer = send(server, bucket, presign(s3, bucket, fields={name: good}))
    assert answer.status_code == 204, answer.text
    assert answer.headers[name] == good
    kept = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert kept[c.field(algorithm)] == good


def test_content_md5_is_compared(server, s3, bucket):
    bad = presign(s3, bucket, fields={"Content-MD5": c.md5_header(b"other")})
    refused(s3, bucket, send(server, bucket, bad), 400, "BadDigest")
    good = presign(s3, bucket, fields={"Content-MD5": c.md5_header(FILE)})
    assert send(server, bucket, good).status_code == 204


def test_tags_of_a_form_are_a_document(server, s3, bucket):
    tags = ("<Tagging><TagSet><Tag><Key>team</Key><Value>a:b@c</Value></Tag></TagSet></Tagging>")
    answer = send(server, bucket, presign(s3, bucket, fields={"tagging": tags}))
    assert answer.status_code == 204, answer.text
    got = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert got == [{"Key": "team", "Value": "a:b@c"}]


def test_the_page_about_uploads_works_as_written(server, s3, bucket, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "browser-uploads.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    Path("cat.png").write_bytes(FILE)
    names = {}
    for block in blocks:
        block = block.replace("http://127.0.0.1:9000", server.s3_url)
        exec(block.replace('"photos"', repr(bucket)), names)  # noqa: S102 (our own page)
    assert h.get(s3, bucket, "inbox/cat.png") == FILE
    assert names["answer"].headers["location"] == f"{server.s3_url}/{bucket}/inbox/cat.png"


# -- how it is answered

@pytest.mark.parametrize("status,expected", [("200", 200), ("201", 201), ("204", 204),
                                             ("404", 204), ("", 204)])
def test_the_status_is_the_one_asked_for(server, s3, bucket, status, expected):
    answer = send(server, bucket, presign(s3, bucket, "a/ü<&.txt",
                                          {"success_action_status": status}))
    assert answer.status_code == expected, answer.text
    if expected != 201:
        assert answer.content == b""
        return
    told = {element.tag: element.text for element in ET.fromstring(answer.content)}
    etag = s3.head_object(Bucket=bucket, Key="a/ü<&.txt")["ETag"]
    assert told == {"Bucket": bucket, "Key": "a/ü<&.txt", "ETag": etag,
                    "Location": f"{server.s3_url}/{bucket}/a/%C3%BC%3C%26.txt"}


@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
def test_a_browser_is_sent_on(server, s3, bucket, name):
    fields = {name: "https://a.example/done?a=1", "success_action_status": "201"}
    answer = send(server, bucket, presign(s3, bucket, "a b/k", fields))
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == (
        f"https://a.example/done?a=1&bucket={bucket}&key=a%20b%2Fk&etag=%22{h.md5(FILE)}%22")


@pytest.mark.parametrize("to", ["/relative", "javascript:alert(1)", "http:", "nowhere"])
def test_a_browser_is_sent_nowhere_but_to_an_address(server, s3, bucket, to):
    answer = send(server, bucket, presign(s3, bucket, fields={"success_action_redirect": to}))
    assert answer.status_code == 204, answer.text


def test_pages_of_allowed_origins_see_the_answer(server, s3, bucket):
    rule = {"AllowedOrigins": ["https://a.example"], "AllowedMethods": ["POST"],
            "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    address = server.s3_url.split("//")[1]
    body = forms.encode(presign(s3, bucket), FILE)
    for origin, told in (("https://a.example", "https://a.example"), ("https://b.example", None)):
        answer = rawhttp.exchange(address, "POST", f"/{bucket}",
                                  forms.headers(address, origin=origin), body)
        assert answer.status == 204, answer
        assert answer.headers.get("access-control-allow-origin") == told


# -- what is refused

CONDITIONS = [
    ("exact", [{"x-amz-meta-a": "yes"}]),
    ("eq", [["eq", "$x-amz-meta-a", "yes"]]),
    ("starts-with", [["starts-with", "$x-amz-meta-a", "ye"]]),
    ("any", [["starts-with", "$x-amz-meta-a", ""]]),
    ("both", [["starts-with", "$x-amz-meta-a", "y"], {"X-AMZ-META-A": "yes"}]),
]


@pytest.mark.parametrize("conditions", [each for _, each in CONDITIONS],
                         ids=[name for name, _ in CONDITIONS])
def test_every_kind_of_condition_holds(server, s3, bucket, conditions):
    signed = presign(s3, bucket, conditions=conditions)
    message = refused(s3, bucket, send(server, bucket, signed), 403, "AccessDenied")
    assert message.startswith("Invalid according to Policy: Policy Condition failed: ")
    if conditions[0] != ["starts-with", "$x-amz-meta-a", ""]:
        wrong = send(server, bucket, {**signed, "x-amz-meta-a": "no"})
        refused(s3, bucket, wrong, 403, "AccessDenied")
    assert send(server, bucket, {**signed, "x-amz-meta-a": "yes"}).status_code == 204


@pytest.mark.parametrize("name", ["acl", "x-amz-meta-b", "Content-Type", "success_action_status",
                                  "submit", "x-amz-website-redirect-location"])
def test_a_field_without_a_condition_is_refused(server, s3, bucket, name):
    extra = send(server, bucket, {**presign(s3, bucket), name: "private"})
    message = refused(s3, bucket, extra, 403, "AccessDenied")
    assert message == f"Invalid according to Policy: Extra input fields: {name.lower()}"


@pytest.mark.parametrize("change,status,code", [
    ({"key": "other"}, 403, "AccessDenied"),
    ({"policy": forms.policy([])}, 403, "SignatureDoesNotMatch"),
    ({"x-amz-signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
    ({"x-amz-signature": ""}, 403, "SignatureDoesNotMatch"),
    ({"x-amz-date": "20200101T000000Z"}, 400, "InvalidArgument"),
    ({"x-amz-date": "20200101T000000Z",
      "x-amz-credential": "AKNOBODY/20200101/us-east-1/s3/aws4_request"}, 403,
     "InvalidAccessKeyId"),
], ids=["key", "policy", "signature", "empty", "date", "credential"])
def test_nothing_that_is_signed_can_be_changed(server, s3, bucket, change, status, code):
    refused(s3, bucket, send(server, bucket, {**presign(s3, bucket), **change}), status, code)


def test_a_form_counts_for_its_bucket_its_time_and_its_key(server, s3, bucket):
    other = new_bucket(s3)
    refused(s3, other, send(server, other, presign(s3, bucket)), 403, "AccessDenied")
    message = refused(s3, bucket, send(server, bucket, presign(s3, bucket, ExpiresIn=-5)), 403,
                      "AccessDenied")
    assert message == "Invalid according to Policy: Policy expired."
    stranger = server.client(**V4)
    stranger._request_signer._credentials.secret_key = "another-secret"
    forged = send(server, bucket, presign(stranger, bucket))
    refused(s3, bucket, forged, 403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("least,most,code", [
    (0, len(FILE) - 1, "EntityTooLarge"), (len(FILE) + 1, 1 << 30, "EntityTooSmall"),
    (0, 0, "EntityTooLarge"), (len(FILE), len(FILE), None), (0, 1 << 40, None),
])
def test_the_file_is_as_long_as_the_policy_says(server, s3, bucket, least, most, code):
    signed = presign(s3, bucket, conditions=[["content-length-range", least, most]])
    answer = send(server, bucket, signed)
    if code:
        refused(s3, bucket, answer, 400, code)
    else:
        assert answer.status_code == 204, answer.text


@pytest.mark.parametrize("missing,status,code", [
    ("key", 400, "UserKeyMustBeSpecified"), ("policy", 400, "InvalidArgument"),
    ("x-amz-signature", 400, "InvalidArgument"), ("x-amz-credential", 400, "InvalidArgument"),
    ("x-amz-algorithm", 400, "InvalidArgument"), ("x-amz-date", 400, "InvalidArgument"),
])
def test_a_form_without_a_field_is_refused(server, s3, bucket, missing, status, code):
    fields = presign(s3, bucket)
    del fields[missing]
    refused(s3, bucket, send(server, bucket, fields), status, code)


def test_a_form_that_nobody_signed_is_refused(server, s3, bucket):
    refused(s3, bucket, send(server, bucket, {"key": "k"}), 403, "AccessDenied")


def test_a_body_that_is_no_form_is_refused(server, s3, bucket):
    address = server.s3_url.split("//")[1]
    whole = forms.encode(presign(s3, bucket), FILE)
    no_file = whole[:whole.rindex(b"Content-Disposition") - 2] + b"--\r\n"
    long = forms.encode({**presign(s3, bucket), "x-ignore-a": "x" * (20 << 10)}, FILE)
    for body, code in ((whole[:-6], "MalformedPOSTRequest"), (b"", "MalformedPOSTRequest"),
                       (whole.replace(b"name=", b"mane=", 1), "MalformedPOSTRequest"),
                       (no_file, "IncorrectNumberOfFilesInPostRequest"),
                       (long, "MaxPostPreDataLengthExceededError")):
        answer = rawhttp.exchange(address, "POST", f"/{bucket}", forms.headers(address), body)
        refused(s3, bucket, answer, 400, code)
    for kind, status, code in (("multipart/form-data", 400, "MalformedPOSTRequest"),
                               ("application/x-www-form-urlencoded", 412, "PreconditionFailed")):
        answer = rawhttp.exchange(address, "POST", f"/{bucket}",
                                  {"host": address, "content-type": kind}, whole)
        refused(s3, bucket, answer, status, code)


def test_version_2_is_refused_unless_it_was_asked_for(server, s3, bucket, own_server):
    document = forms.policy([{"bucket": bucket}, {"key": "k"}])
    old = forms.signed_v2(server, document, {"key": "k"})
    message = refused(s3, bucket, send(server, bucket, old), 400, "InvalidRequest")
    assert "AWS4-HMAC-SHA256" in message
    lenient = own_server(Embedded, args=["--sigv2", "true"])
    own = lenient.client()
    own.create_bucket(Bucket=bucket)
    old = forms.signed_v2(lenient, document, {"key": "k"})
    forged = send(lenient, bucket, {**old, "signature": old["signature"][::-1]})
    refused(own, bucket, forged, 403, "SignatureDoesNotMatch")
    assert send(lenient, bucket, old).status_code == 204
    assert h.get(own, bucket, "k") == FILE


# -- how it comes

def test_a_form_may_come_byte_by_byte(server, s3, bucket):
    address = server.s3_url.split("//")[1]
    body = forms.encode(presign(s3, bucket), FILE)
    head = forms.headers(address, **{"content_length": str(len(body))})
    with rawhttp.connect(address) as sock:
        sock.sendall(rawhttp.head("POST", f"/{bucket}", head))
        for at in range(len(body)):
            sock.sendall(body[at:at + 1])
        assert rawhttp.read_answer(sock, "POST").status == 204
    assert h.get(s3, bucket, "k") == FILE


def test_a_client_that_dies_leaves_the_old_object(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    address = server.s3_url.split("//")[1]
    data = h.body(3 << 20)
    body = forms.encode(presign(s3, bucket), data)
    for stop in (0, 100, 5000, 2 << 20, len(body) - 60, len(body) - 8, len(body) - 1):
        try:
            answer = rawhttp.exchange(address, "POST", f"/{bucket}", forms.headers(address), body,
                                      stop_after=stop)
        except rawhttp.NoAnswer:
            pass
        else:
            assert answer.status >= 400, answer
        assert h.get(s3, bucket, "k") == b"old"
    assert forms.post(server, bucket, presign(s3, bucket), data).status == 204
    assert h.get(s3, bucket, "k") == data


def resident(server):
    """The most bytes that the server has had in memory so far."""
    process = Path(f"/proc/{server.process.pid}")
    line = next(line for line in (process / "status").read_text().splitlines()
                if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def test_files_are_passed_on_and_not_held(own_server):
    """Four files at a time, each several times as long as what may be held of all of them."""
    size, piece = 64 << 20, b"0123456789abcdef" * (1 << 14)
    server = own_server(Embedded, args=["--write-buffer-bytes", "24MiB"])
    s3 = server.client(**V4)
    bucket = new_bucket(s3)
    address = server.s3_url.split("//")[1]
    # What a server takes anyway is taken before.
    assert forms.post(server, bucket, presign(s3, bucket, "warm"), b"x" * (8 << 20)).status == 204
    before = resident(server)
    answers = []

    def one(number):
        head = forms.head(presign(s3, bucket, f"k{number}").items())
        tail = forms.tail()
        headers = forms.headers(address, content_length=str(len(head) + size + len(tail)))
        with rawhttp.connect(address) as sock:
            sock.sendall(rawhttp.head("POST", f"/{bucket}", headers) + head)
            for _ in range(size // len(piece)):
                sock.sendall(piece)
            sock.sendall(tail)
            answers.append(rawhttp.read_answer(sock, "POST"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [204] * 4, answers
    for number in range(4):
        assert s3.head_object(Bucket=bucket, Key=f"k{number}")["ContentLength"] == size
    grown = resident(server) - before
    assert grown < size, f"{grown >> 20} MiB more than before, of {4 * size >> 20} MiB posted"


def test_a_form_that_comes_too_slowly_is_given_up(own_server):
    server = own_server(Embedded, args=["--body-idle-timeout", "1s"])
    s3 = server.client(**V4)
    bucket = new_bucket(s3)
    address = server.s3_url.split("//")[1]
    whole = forms.encode(presign(s3, bucket), FILE)
    headers = forms.headers(address, content_length=str(len(whole)))
    for sent in (10, len(whole) - 80, len(whole) - 2):
        with rawhttp.connect(address) as sock:
            sock.sendall(rawhttp.head("POST", f"/{bucket}", headers) + whole[:sent])
            answer = rawhttp.read_answer(sock, "POST")
        refused(s3, bucket, answer, 400, "RequestTimeout")
