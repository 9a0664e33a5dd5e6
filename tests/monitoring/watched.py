"""A cluster to which everything happened that metrics count, and the Prometheus that watched it."""
import http.server
import json
import shutil
import threading
import time
from pathlib import Path

import requests

import rules
from harness import rawhttp
from harness import s3 as h
from harness.commands import run
from harness.ports import free_port
from harness.process import Process
from harness.s3 import MIB
from harness.server import Cluster, binary
from harness.wait import until

ARN = "arn:aws:s3:::"
HOOK = "arn:holdfast:notify:us-east-1::hook"
NODES = 6


def damage(folder):
    """Flips a bit in every 64 KiB of a drive's large files."""
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.stat().st_size >= 32 << 10:
            with open(path, "r+b") as file:
                for at in range(5000, path.stat().st_size, 64 << 10):
                    file.seek(at)
                    old = file.read(1)
                    file.seek(at)
                    file.write(bytes([old[0] ^ 1]))


class Prometheus:
    """Prometheus with the configuration that is shipped, but for what is scraped and how often."""

    def __init__(self, directory, cluster):
        shutil.copytree(rules.PROMETHEUS, directory)
        file = directory / "prometheus.yml"
        text = file.read_text()
        assert text.count("_interval: 15s") == 2
        file.write_text(text.replace("_interval: 15s", "_interval: 1s"))
        nodes = [f"127.0.0.1:{port}" for port in cluster.monitor_ports]
        for name, targets in (("gateways", [cluster.admin_url.split("//")[1]]),
                              ("shard-nodes", nodes)):
            listed = [{"targets": targets, "labels": {"cluster": "tested"}}]
            (directory / "targets" / f"{name}.yml").write_text(json.dumps(listed))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        argv = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        self.process = Process("prometheus", argv, {}, directory / "prometheus.log")
        until(lambda: requests.get(self.url + "/-/ready", timeout=5).ok, 60,
              "Prometheus is ready", ignore=(requests.ConnectionError,))

    def get(self, path, **query):
        """What the API says; an answer that is no success fails with Prometheus' own words."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=query, timeout=30).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        return answer["data"]

    def query(self, expr):
        """The series of an expression as of now: labels and values."""
        found = self.get("query", query=expr)
        assert found["resultType"] == "vector", f"{expr} is a {found['resultType']}"
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def names(self):
        """Every metric that was ever scraped or recorded."""
        return set(self.get("label/__name__/values"))

    def wait(self, expr, seconds=60):
        """Until an expression has a series."""
        return until(lambda: self.query(expr), seconds, expr, pause=0.5)


class Hook:
    """A webhook that answers what `status` says."""

    def __init__(self):
        self.status = 200
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Watched:
    """The cluster, its webhook and its Prometheus; `healthy` are the alerts before any fault."""

    def __init__(self, directory):
        self.dir, self.hook = directory, Hook()
        self.cluster = Cluster(directory / "cluster", nodes=NODES, args=[
            "--notify-webhook", f"hook={self.hook.url}", "--notify-allow", "127.0.0.1/32",
            "--notify-queue-max", "2", "--access-log-interval", "1s"])
        self.prometheus = Prometheus(directory / "prometheus", self.cluster)
        try:
            self._work()
            self._everything_is_scraped()
            self.healthy = self.prometheus.query('ALERTS{alertstate="firing"}')
            self._services()
            self._faults()
            self._everything_is_scraped()
        except BaseException:
            self.close()
            raise

    def _everything_is_scraped(self):
        """Twice since now, and the rules after that."""
        later = time.time() + 2
        seen = f"(timestamp(up) > {later:.3f}) and up == 1"
        until(lambda: len(self.prometheus.query(seen)) == NODES + 1, 60, "all are scraped")
        later = time.time()
        self.prometheus.wait(
            f"timestamp(cluster:holdfast_s3_requests:rate5m) > {later:.3f}")

    def _work(self):
        """Objects large and small, listed, read in part, deleted."""
        client = self.cluster.client()
        self.bucket = self._new_bucket(client, "work")
        for number in range(12):
            client.put_object(Bucket=self.bucket, Key=f"large-{number}", Body=h.body(2 * MIB))
            client.put_object(Bucket=self.bucket, Key=f"small-{number}", Body=b"x")
            client.head_object(Bucket=self.bucket, Key=f"large-{number}")
            h.get(client, self.bucket, f"large-{number}")
        client.list_objects_v2(Bucket=self.bucket)
        client.delete_object(Bucket=self.bucket, Key="small-0")
        with h.error("NoSuchKey"):
            client.get_object(Bucket=self.bucket, Key="none")
        rawhttp.exchange(self.cluster.s3_url.split("//")[1], "GET", "/",
                         {"host": "x", "authorization": "AWS4-HMAC-SHA256 nonsense"})

    def _new_bucket(self, client, name):
        client.create_bucket(Bucket=name)
        return name

    def _allow(self, client, target, service):
        statement = {"Effect": "Allow", "Principal": {"Service": service},
                     "Action": "s3:PutObject", "Resource": f"{ARN}{target}/*"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        client.put_bucket_policy(Bucket=target, Policy=json.dumps(document))

    def _services(self):
        """Events, access logs, an inventory: each once, and each once in vain."""
        client = self.cluster.client()
        logs, lists = self._new_bucket(client, "logs"), self._new_bucket(client, "lists")
        self._allow(client, logs, "logging.s3.amazonaws.com")
        self._allow(client, lists, "s3.amazonaws.com")
        client.put_bucket_logging(Bucket=self.bucket, BucketLoggingStatus={
            "LoggingEnabled": {"TargetBucket": logs, "TargetPrefix": "log/"}})
        client.put_bucket_inventory_configuration(
            Bucket=self.bucket, Id="daily", InventoryConfiguration={
                "Id": "daily", "IsEnabled": True, "IncludedObjectVersions": "Current",
                "Schedule": {"Frequency": "Daily"},
                "Destination": {"S3BucketDestination": {
                    "Bucket": ARN + lists, "Format": "CSV"}}})
        events = self._new_bucket(client, "events")
        client.put_bucket_notification_configuration(
            Bucket=events, NotificationConfiguration={"QueueConfigurations": [
                {"QueueArn": HOOK, "Events": ["s3:ObjectCreated:*"]}]})
        self.hook.status = 500
        for number in range(5):
            client.put_object(Bucket=events, Key=f"k{number}", Body=b"x")
        self.hook.status = 200
        for name in ("holdfast_notify_failures_total", "holdfast_notify_dropped_events_total",
                     "holdfast_notify_delivered_events_total",
                     "holdfast_access_log_records_total", "holdfast_inventory_lists_total"):
            self.prometheus.wait(f"{name} > 0")

    def _faults(self):
        """Two nodes die, and large writes fail. One of them comes back damaged; it heals."""
        client = self.cluster.client(retries={"max_attempts": 1})
        self.cluster.kill_node(0)
        self.cluster.kill_node(1)
        with h.error(status=503):
            client.put_object(Bucket=self.bucket, Key="refused", Body=h.body(2 * MIB))
        for number in range(12):
            h.get(client, self.bucket, f"large-{number}")
        damage(self.cluster.node_dir(0))
        self.cluster.start_node(0)
        self.cluster.start_node(1)
        # A pass that begins before the gateway has reached the node looks again after a minute.
        until(self._scrub_finds_damage, 120, "the scrub finds the damage", pause=1)
        self.prometheus.wait("holdfast_heal_objects_total > 0")

    def _scrub_finds_damage(self):
        self.command("scrub", "start")
        return self.prometheus.query("sum(holdfast_drive_checksum_failures_total) > 0")

    def command(self, *args):
        """One of holdfast's own commands, as an operator gives it: its exit code and output."""
        return run([binary(), *args], self.cluster.environ(), check=False)

    def logs(self):
        return self.cluster.logs() + self.prometheus.process.output()

    def close(self):
        """Ends all of it."""
        if self.prometheus.process.running():
            self.prometheus.process.kill9()
        self.cluster.close()
        self.hook.server.shutdown()
