"""Goal: the numbers an operator watches exist, have their documented names, and move when the
thing they count happens; health tells the truth.

Method: /metrics before and after real requests on a process of its own; promtool reads the page.
"""
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import new_bucket
from harness import rawhttp, sigv4
from harness import s3 as h
from harness.admin import UNREACHABLE
from harness.s3 import MIB
from harness.wait import until

# What the design fixes by name, and what is promised without one (words that its name holds).
PROMISED = [
    "holdfast_s3_requests_total", "holdfast_s3_request_duration_seconds_bucket",
    "holdfast_drive_used_bytes", "holdfast_drive_free_bytes", "holdfast_drive_syncs_total",
    "holdfast_index_syncs_total", "holdfast_heal_backlog_objects",
]
PROMISED_WORDS = [
    ("received", "bytes_total"), ("sent", "bytes_total"), ("quorum_failures", "total"),
    ("checksum_failures", "total"), ("heal", "objects_total"), ("missing", "shards"),
]


def test_promised_metrics_are_there(embedded):
    client = embedded.client()
    client.put_object(Bucket=new_bucket(client), Key="k", Body=h.body(2 * MIB))
    names = embedded.admin.metrics().names()
    assert [name for name in PROMISED if name not in names] == []
    missing = [words for words in PROMISED_WORDS
               if not any(all(w in name for w in words) for name in names)]
    assert missing == [], sorted(names)
    assert all(name.startswith(("holdfast_", "process_")) for name in names), sorted(names)


def moved(before, after, name, **labels):
    return (after.total(name, **labels) or 0) - (before.total(name, **labels) or 0)


def test_request_metrics_count_by_operation_and_code(embedded):
    client = embedded.client()
    bucket = new_bucket(client)
    before = embedded.admin.metrics()
    for number in range(7):
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
    for _ in range(3):
        with h.error("NoSuchKey"):
            client.get_object(Bucket=bucket, Key="none")
    after = embedded.admin.metrics()
    name = "holdfast_s3_requests_total"
    assert moved(before, after, name, op="PutObject", code="200") == 7
    assert moved(before, after, name, op="GetObject", code="404") == 3
    assert moved(before, after, "holdfast_s3_request_duration_seconds_count", op="PutObject") == 7
    assert moved(before, after, name) == 10


def test_bytes_and_syncs_move(embedded):
    client = embedded.client()
    bucket, before = new_bucket(client), embedded.admin.metrics()
    client.put_object(Bucket=bucket, Key="k", Body=h.body(8 * MIB))
    assert len(h.get(client, bucket, "k")) == 8 * MIB
    after = embedded.admin.metrics()
    for word in ("received", "sent"):
        name, = [n for n in after.names()
                 if n.startswith("holdfast_s3_") and word in n and n.endswith("bytes_total")]
        assert moved(before, after, name) >= 8 * MIB
    assert moved(before, after, "holdfast_drive_syncs_total") >= 5
    assert moved(before, after, "holdfast_index_syncs_total") >= 1
    assert moved(before, after, "holdfast_drive_used_bytes") >= 12 * MIB, "4+2 writes 1.5 times"
    drives = {labels["drive"] for name, labels, _ in after.samples
              if name == "holdfast_drive_used_bytes"}
    assert len(drives) == 6


def test_used_bytes_fall_after_a_delete(embedded):
    client = embedded.client()
    bucket = new_bucket(client)
    before = embedded.admin.metrics().total("holdfast_drive_used_bytes")
    client.put_object(Bucket=bucket, Key="k", Body=h.body(8 * MIB))
    assert embedded.admin.metrics().total("holdfast_drive_used_bytes") >= before + 12 * MIB
    client.delete_object(Bucket=bucket, Key="k")
    until(lambda: embedded.admin.metrics().total("holdfast_drive_used_bytes") < before + MIB, 60,
          "the space of the deleted object is free", pause=0.5)


def test_a_lost_drive_leaves_the_metrics(embedded):
    """Sums over drives would count what is gone, for as long as the process lives."""
    client = embedded.client()
    client.put_object(Bucket=new_bucket(client), Key="k", Body=h.body(8 * MIB))

    def drives():
        return {labels["drive"] for name, labels, _ in embedded.admin.metrics().samples
                if name in ("holdfast_drive_used_bytes", "holdfast_drive_free_bytes")}

    before = drives()
    shutil.rmtree(embedded.drive(2))
    until(lambda: drives() - before, 60, "the drive is laid out anew", pause=0.2)
    until(lambda: len(drives()) == 6, 60, "the lost drive's series are gone", pause=0.5)


def test_small_writes_share_their_syncs(embedded):
    """Group commit, as a count and not as a time: 32 writers need far fewer syncs than writes."""
    client = embedded.client()
    bucket, before = new_bucket(client), embedded.admin.metrics()
    with ThreadPoolExecutor(32) as pool:
        clients = [embedded.client() for _ in range(32)]
        list(pool.map(lambda n: clients[n % 32].put_object(
            Bucket=bucket, Key=f"k{n:04}", Body=h.body(4096)), range(640)))
    after = embedded.admin.metrics()
    syncs = (moved(before, after, "holdfast_drive_syncs_total")
             + moved(before, after, "holdfast_index_syncs_total"))
    assert syncs < 4 * 640, f"{syncs} syncs for 640 writes: nothing was grouped"


@pytest.mark.cluster
def test_heal_backlog_rises_and_falls(cluster):
    client = cluster.client()
    bucket = new_bucket(client)
    cluster.kill_node(3)
    for number in range(20):
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=h.body(MIB))
    until(lambda: cluster.admin.metrics().total("holdfast_heal_backlog_objects") > 0, 60,
          "writes without a node queue for healing", pause=0.2)
    assert cluster.admin.heal()["backlog_objects"] > 0
    before = cluster.admin.metrics()
    cluster.start_node(3)
    cluster.admin.wait_healed(180)
    after = cluster.admin.metrics()
    healed = [n for n in after.names() if "heal" in n and n.endswith("objects_total")]
    assert sum(moved(before, after, name) for name in healed) >= 20


@pytest.mark.cluster
def test_quorum_failures_are_counted(cluster):
    client = cluster.client()
    bucket = new_bucket(client)
    cluster.kill_node(0)
    cluster.kill_node(1)
    before = cluster.admin.metrics()
    with h.error(status=503):
        client.put_object(Bucket=bucket, Key="k", Body=h.body(3 * MIB))
    after = cluster.admin.metrics()
    names = [n for n in after.names() if "quorum_failures" in n]
    assert sum(moved(before, after, name) for name in names) >= 1


def assert_promtool_accepts(text):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (tests/install says why)")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_page(embedded):
    client = embedded.client()
    client.put_object(Bucket=new_bucket(client), Key="k", Body=h.body(MIB))
    assert_promtool_accepts(embedded.admin.metrics().text)


# -- shard nodes

@pytest.mark.cluster
def test_shard_nodes_show_their_drives(cluster):
    """What Prometheus scrapes of each node: its own drive, whose numbers move with writes."""
    client = cluster.client()
    bucket = new_bucket(client)
    before = [cluster.monitor(node).metrics() for node in range(6)]
    for number in range(4):
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=h.body(4 * MIB))
    seen = set()
    for node in range(6):
        page = cluster.monitor(node).metrics()
        assert page.names() == {n for n in page.names() if n.startswith(("holdfast_", "process_"))}
        drive, = {labels["drive"] for name, labels, _ in page.samples
                  if name == "holdfast_drive_used_bytes"}
        seen.add(drive)
        assert moved(before[node], page, "holdfast_drive_used_bytes") >= 4 * MIB
        assert moved(before[node], page, "holdfast_drive_syncs_total") >= 4
        assert page.total("holdfast_drive_free_bytes") > 0
        assert page.total("holdfast_rpc_connections", side="server") >= 1
        assert page.total("holdfast_build_info") == 1
        assert not [name for name in page.names() if name.startswith("holdfast_s3_")]
        for word in (bucket, cluster.access_key, cluster.secret):
            assert word not in page.text
    listed = cluster.admin.json("GET", "/admin/v1/drives")["drives"]
    assert seen == {drive["drive"] for drive in listed}
    assert_promtool_accepts(cluster.monitor(0).metrics().text)


@pytest.mark.cluster
def test_health_of_a_shard_node_tells_whether_it_serves(cluster):
    assert [cluster.monitor(node).health("ready") for node in range(6)] == [200] * 6
    cluster.stop()
    assert cluster.monitor(0).health("live") is None
    cluster.spawn_node(0)
    until(lambda: cluster.monitor(0).health("live") == 200, 60, "the node lives")
    assert cluster.monitor(0).health("ready") == 503, "no gateway, no drive is served"
    for method, path, status in (("POST", "/metrics", 405), ("GET", "/admin/v1/heal", 404),
                                 ("GET", "/", 404)):
        assert cluster.monitor(0).request(method, path, sign=False).status_code == status, path
    cluster.spawn_gateway()
    for node in range(1, 6):
        cluster.spawn_node(node)
    cluster.wait_ready()
    until(lambda: cluster.monitor(0).health("ready") == 200, 60, "the node is ready")
    assert "metrics=http://127.0.0.1:" in cluster.nodes[0].wait_line("ready ", 30)


@pytest.mark.cluster
def test_a_metrics_port_in_use_is_named_with_its_flag(cluster):
    cluster.kill_node(0)
    cluster.monitor_ports[0] = cluster.monitor_ports[1]
    node = cluster.spawn_node(0)
    assert node.wait_exit(60) == 1
    said = node.tail(2)
    assert str(cluster.monitor_ports[1]) in said and "--metrics-listen" in said, said


# -- health

def test_health_is_on_both_listeners(embedded):
    for url in (embedded.admin_url, embedded.s3_url):
        for which in ("live", "ready"):
            answer = requests.get(f"{url.rstrip('/')}/health/{which}", timeout=10)
            assert answer.status_code == 200, (url, which)
            head = requests.head(f"{url.rstrip('/')}/health/{which}", timeout=10)
            assert head.status_code == 200 and head.content == b""


def test_signed_requests_for_health_are_s3_requests(embedded):
    answer = sigv4.client(embedded).call("GET", "/health/ready")
    assert answer.code in ("NoSuchBucket", "InvalidBucketName"), answer
    put = rawhttp.exchange(embedded.s3_url.split("//")[1], "PUT", "/health/ready",
                           {"host": "x"}, b"x")
    assert put.status in (400, 403), put


def held_upload(server, path, data, sent):
    """A signed PUT of which only `sent` bytes were sent: it keeps a drain from ending."""
    signer = sigv4.client(server)
    request = sigv4.Request("PUT", path, [], {"content-length": str(len(data))})
    headers, _, _ = signer.signed_headers(request, sigv4.UNSIGNED)
    sock = rawhttp.connect(signer.address)
    sock.sendall(rawhttp.head("PUT", path, headers) + data[:sent])
    started = "holdfast_s3_requests_in_flight"
    until(lambda: server.admin.metrics().total(started) > 0, 30, "the upload has begun")
    return sock


def test_both_listeners_say_so_while_draining_and_open_requests_finish(embedded):
    client = embedded.client()
    bucket, data = new_bucket(client), h.body(6 * MIB)
    client.put_object(Bucket=bucket, Key="old", Body=b"old")
    with held_upload(embedded, f"/{bucket}/k", data, 3 * MIB) as sock:
        embedded.process.signal(15)
        until(lambda: embedded.admin.health("ready") == 503, 30, "ready is 503")
        for url in (embedded.admin_url, embedded.s3_url):
            url = url.rstrip("/")
            assert requests.get(f"{url}/health/ready", timeout=30).status_code == 503, url
            assert requests.get(f"{url}/health/live", timeout=30).status_code == 200, url
        for method, path, body in (("GET", f"/{bucket}/old", b""), ("PUT", f"/{bucket}/n", b"x"),
                                   ("GET", "/", b"")):
            answer = sigv4.client(embedded).call(method, path, body)
            assert (answer.status, answer.code) == (503, "ServiceUnavailable"), answer
            assert answer.headers["connection"] == "close"
            assert int(answer.headers["retry-after"]) > 0
        assert embedded.process.running()
        sock.sendall(data[3 * MIB:])
        assert rawhttp.read_answer(sock).status == 200
    assert embedded.process.wait_exit(60) == 0
    for url in (embedded.admin_url, embedded.s3_url):
        with pytest.raises(UNREACHABLE):
            requests.get(url, timeout=5)
    embedded.start()
    assert h.get(client, bucket, "k") == data
    assert h.status_of(client, bucket, "n") == 404


@pytest.mark.parametrize("first, second", [("SIGTERM", "SIGINT"), ("SIGINT", "SIGTERM")])
def test_a_second_signal_ends_the_process_at_once(embedded, first, second):
    """An upload that does not go on would hold the drain for 30 s; nothing acknowledged is lost."""
    client = embedded.client()
    bucket, data = new_bucket(client), h.body(MIB)
    client.put_object(Bucket=bucket, Key="old", Body=data)
    with held_upload(embedded, f"/{bucket}/k", data, 1000):
        embedded.process.signal(getattr(signal, first))
        until(lambda: embedded.admin.health("ready") == 503, 30, "ready is 503")
        embedded.process.signal(getattr(signal, second))
        assert embedded.process.wait_exit(60) == 1
    assert "second signal" in embedded.logs()
    embedded.start()
    assert h.get(client, bucket, "old") == data
    assert h.status_of(client, bucket, "k") == 404
    embedded.admin.assert_index_clean()


@pytest.mark.cluster
def test_ready_says_when_writes_are_not_possible(cluster):
    """With fewer drives than small writes need, the gateway is not ready; it still lives."""
    for victim in (0, 1, 2, 3):
        cluster.kill_node(victim)
    until(lambda: cluster.admin.health("ready") == 503, 120, "ready is 503", pause=0.5)
    assert cluster.admin.health("live") == 200
    for victim in (0, 1, 2, 3):
        cluster.start_node(victim)
    until(lambda: cluster.admin.health("ready") == 200, 120, "ready again", pause=0.5)
