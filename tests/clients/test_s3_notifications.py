"""Goal: what a bucket has told reaches its webhook, at least once and in order, also when the webhook
was away or the server was killed meanwhile; and nothing reaches an address that is not allowed.

Method: a webhook of the test's own on a loopback port, which is allowed; boto3 makes the changes.
"""
import http.server
import json
import ssl
import subprocess
import threading

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.ports import free_port
from harness.server import Embedded
from harness.wait import until

ARN = "arn:holdfast:notify:us-east-1::hook"
TOKEN = "not-for-everyone"


class Hook:
    """A webhook that keeps what it is told; `status` is what it answers."""

    def __init__(self, port, tls=None):
        self.port, self.status, self.heard, self.tests, self.tokens = port, 200, [], [], set()
        self.led = 0
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/elsewhere":
                    return self.do_GET()
                hook.tokens.add(self.headers["Authorization"])
                if hook.status == 200:
                    hook.heard += body.get("Records", [])
                    hook.tests += [body] if "Event" in body else []
                self.send_response(hook.status)
                self.send_header("Location", f"http://127.0.0.1:{hook.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                """Who was led here by a redirect."""
                hook.led += 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def names(self, bucket):
        """Event names and keys of a bucket, first occurrences only: events may come twice."""
        found = {}
        for record in self.heard:
            if record["s3"]["bucket"]["name"] == bucket:
                thing = record["s3"]["object"]
                found.setdefault(thing["sequencer"], (record["eventName"], thing["key"]))
        return list(found.values())

    def wait(self, bucket, expected):
        until(lambda: len(self.names(bucket)) >= len(expected), 60, "all events are told")
        assert self.names(bucket) == expected


@pytest.fixture(scope="module")
def hook():
    return Hook(free_port())


@pytest.fixture(scope="module")
def told(session_space, hook):
    token = session_space / "token"
    token.write_text(TOKEN + "\n")
    args = ["--notify-webhook", f"hook=http://127.0.0.1:{hook.port}/s3",
            "--notify-webhook", f"private=http://localhost:{hook.port}/",
            "--notify-token-file", f"hook={token}", "--notify-allow", "127.0.0.1/32"]
    made = Embedded(session_space / "told", args=args)
    yield made
    made.close()


def tell(client, bucket, *events, arn=ARN, **more):
    configuration = {"Id": "all", "QueueArn": arn, "Events": list(events), **more}
    client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [configuration]})
    return configuration


def test_a_configuration_comes_back_and_its_target_is_tested(told, hook):
    client = told.client()
    bucket = new_bucket(client)
    rules = {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "a"},
                                     {"Name": "Suffix", "Value": ".jpg"}]}}
    given = tell(client, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:Delete", Filter=rules)
    got = client.get_bucket_notification_configuration(Bucket=bucket)
    assert got["QueueConfigurations"] == [given]
    assert [test["Event"] for test in hook.tests if test["Bucket"] == bucket] == ["s3:TestEvent"]
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "QueueConfigurations" not in client.get_bucket_notification_configuration(Bucket=bucket)
    with h.error("InvalidArgument", 400):
        tell(client, bucket, "s3:ObjectCreated:*", arn="arn:aws:sqs:us-east-1:123456789012:q")
    with h.error("NotImplemented", 501):
        tell(client, bucket, "s3:Replication:*")


def test_all_kinds_of_changes_are_told(told, hook):
    client = told.client()
    bucket = new_bucket(client)
    tell(client, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*")
    put = client.put_object(Bucket=bucket, Key="a b/ü", Body=b"hello")
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü"})
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    client.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    client.put_object_tagging(Bucket=bucket, Key="copy",
                              Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    client.delete_object_tagging(Bucket=bucket, Key="copy")
    client.delete_object(Bucket=bucket, Key="copy")
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "parts"}]})
    hook.wait(bucket, [
        ("ObjectCreated:Put", "a+b/%C3%BC"), ("ObjectCreated:Copy", "copy"),
        ("ObjectCreated:CompleteMultipartUpload", "parts"), ("ObjectTagging:Put", "copy"),
        ("ObjectTagging:Delete", "copy"), ("ObjectRemoved:Delete", "copy"),
        ("ObjectRemoved:Delete", "parts")])
    first = next(r for r in hook.heard if r["s3"]["bucket"]["name"] == bucket)
    assert first["eventSource"] == "aws:s3" and first["awsRegion"] == "us-east-1"
    assert first["eventTime"].endswith("Z")
    assert first["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    request = put["ResponseMetadata"]["HTTPHeaders"]
    assert first["responseElements"]["x-amz-request-id"] == request["x-amz-request-id"]
    assert first["s3"]["object"]["size"] == 5
    assert first["s3"]["object"]["eTag"] == put["ETag"].strip('"')
    assert hook.tokens == {f"Bearer {TOKEN}"}


def test_nothing_is_lost_while_the_webhook_refuses_and_the_server_is_killed(told, hook):
    client = told.client()
    bucket = new_bucket(client)
    tell(client, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*",
         Filter={"Key": {"FilterRules": [{"Name": "prefix", "Value": "k"}]}})
    # A redirect is an answer as good as an error.
    failures = lambda: told.admin.metrics().total("holdfast_notify_failures_total") or 0
    for status in [500, 302, 307]:
        hook.status, before = status, failures()
        for _ in range(5):
            client.put_object(Bucket=bucket, Key="k", Body=b"x")
            client.put_object(Bucket=bucket, Key="other", Body=b"x")
            client.delete_object(Bucket=bucket, Key="k")
        until(lambda: failures() > before, 60, f"it was tried, and answered {status}")
    assert hook.led == 0
    told.kill9()
    told.start()
    assert hook.names(bucket) == []
    hook.status = 200
    hook.wait(bucket, 15 * [("ObjectCreated:Put", "k"), ("ObjectRemoved:Delete", "k")])
    until(lambda: told.admin.metrics().total("holdfast_notify_queued_events") == 0, 60, "none waits")


def test_what_lifecycle_rules_remove_is_told(own_server, hook):
    server = own_server(Embedded, args=["--notify-webhook", f"hook=http://127.0.0.1:{hook.port}/",
                                        "--notify-allow", "127.0.0.1/32", "--lifecycle-day", "1s"])
    client = server.client()
    bucket = new_bucket(client)
    tell(client, bucket, "s3:LifecycleExpiration:*")
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    client.put_bucket_lifecycle_configuration(Bucket=bucket,
                                              LifecycleConfiguration={"Rules": [rule]})
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    hook.wait(bucket, [("LifecycleExpiration:Delete", "k")])
    event = next(r for r in hook.heard if r["s3"]["bucket"]["name"] == bucket)
    assert event["requestParameters"]["sourceIPAddress"] == "s3.amazonaws.com"


def test_an_address_that_is_not_allowed_is_not_connected_to(own_server, hook):
    server = own_server(Embedded, args=["--notify-webhook", f"hook=http://localhost:{hook.port}/"])
    client = server.client()
    bucket = new_bucket(client)
    with h.error("InvalidArgument", 400):
        tell(client, bucket, "s3:ObjectCreated:*")
    assert not [test for test in hook.tests if test["Bucket"] == bucket]
    assert "notify_allow" in server.logs()
    client.put_bucket_notification_configuration(
        Bucket=bucket, SkipDestinationValidation=True, NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}]})
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    until(lambda: (server.admin.metrics().total("holdfast_notify_failures_total") or 0) > 0, 60, "it was tried")
    assert hook.names(bucket) == []


@pytest.fixture(scope="module")
def certificate(session_space):
    """A certificate for localhost that nobody else trusts, and its key."""
    made, key = session_space / "hook.pem", session_space / "hook.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=hook",
                    "-addext", "subjectAltName=DNS:localhost", "-addext",
                    "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", made],
                   check=True, capture_output=True)
    return made, key


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_webhook_is_told_over_tls_if_its_certificate_is_trusted(own_server, certificate,
                                                                  is_trusted):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    hook = Hook(free_port(), context)
    args = ["--notify-webhook", f"hook=https://localhost:{hook.port}/s3",
            "--notify-webhook", f"other=https://127.0.0.1:{hook.port}/s3",
            "--notify-allow", "127.0.0.0/8", "--notify-allow", "::1/128"]
    if is_trusted:
        args += ["--notify-ca-file", certificate[0]]
    client = own_server(Embedded, args=args).client()
    bucket = new_bucket(client)
    # The certificate is for another name.
    with h.error("InvalidArgument", 400):
        tell(client, bucket, "s3:ObjectCreated:*", arn=ARN.replace("hook", "other"))
    if not is_trusted:
        with h.error("InvalidArgument", 400):
            tell(client, bucket, "s3:ObjectCreated:*")
        assert not hook.tests
        return
    tell(client, bucket, "s3:ObjectCreated:*")
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    hook.wait(bucket, [("ObjectCreated:Put", "k")])


def test_settings_that_are_wrong_stop_the_start(session_space):
    for number, (args, why) in enumerate([
            (["--notify-webhook", "hook"], "NAME=URL"),
            (["--notify-webhook", "http://user:SECRET@x/?token=SECRET"], "NAME=URL"),
            (["--notify-webhook", "hook=ftp://x/"], "http://"),
            (["--notify-webhook", "hook=https://x/", "--notify-ca-file", "/none"], "/none"),
            (["--notify-webhook", "hook=http://user:pass@x/"], "credentials"),
            (["--notify-token-file", "hook=/none"], "/none"),
            (["--notify-allow", "everything"], "network")]):
        server = Embedded(session_space / f"wrong-{number}", start=False, args=args)
        assert server.spawn().child.wait(timeout=60) == 2
        assert why in server.logs()
        # The log begins with the command line, which is the test's own.
        said = [line for line in server.logs().splitlines() if line.startswith("holdfast: ")]
        assert said and not [line for line in said if "SECRET" in line]
