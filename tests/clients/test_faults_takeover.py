"""Goal: two gateways never serve one cluster at the same time: a second one is refused while the
first lives, takes over when it does not, and a gateway that slept through that answers nothing.

Method: a gateway and six shard nodes as real processes; a copy of the gateway's data directory is
the second gateway. The first is stopped in its tracks (SIGSTOP) for longer than its lease.
"""
import shutil
import signal
import subprocess
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import new_bucket
from harness import s3 as h
from harness.ports import free_port
from harness.process import Process, environment
from harness.s3 import KIB, MIB
from harness.server import Cluster, _parse_ready, binary
from harness.wait import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
LEASE = {"HOLDFAST_LEASE": "3s"}
ANSWERS = 90
TOOK_OVER = "was taken over by gateway"


@pytest.fixture
def cluster(own_server):
    return own_server(Cluster, env=LEASE)


class Second:
    """Another gateway of the same cluster, on other ports."""

    def __init__(self, cluster, data):
        self.cluster, self.data = cluster, data
        self.ports = {name: free_port() for name in ("listen", "admin-listen", "node-listen")}
        self.process = None

    def argv(self, *verb):
        named = [f"--{flag}=127.0.0.1:{port}" for flag, port in self.ports.items()
                 if not (verb[0] == "index" and flag == "listen")]
        return [str(binary()), *verb, "--data-dir", str(self.data), *named]

    def env(self):
        return {**self.cluster.server_keys(), **self.cluster._environ()}

    def start(self, *flags):
        argv = self.argv("gateway") + ["--geometry", self.cluster.geometry, "--drives",
                                       str(self.cluster.count), *flags]
        self.process = Process("second", argv, self.env(), self.cluster.dir / "second.log")
        return self.process

    def client(self):
        url = _parse_ready(self.process.wait_line("ready ", ANSWERS))["s3"]
        keys = self.cluster.access_key, self.cluster.secret_key
        return h.client(url, *keys, self.cluster.region)

    def rebuild(self):
        return subprocess.run(self.argv("index", "rebuild"), env=environment(self.env()),
                              capture_output=True, text=True, timeout=180, check=False)


def copy_of(cluster):
    """The gateway's directory as a backup of a stopped gateway has it; the gateway runs again."""
    assert cluster.gateway.terminate() == 0
    data = cluster.dir / "copy"
    shutil.copytree(cluster.data, data)
    cluster.start_gateway()
    return data


def status(client, bucket, key):
    """The status of a GET, or None when nobody answers."""
    try:
        client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return 200
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    except BotoCoreError:
        return None


def test_second_gateway_is_refused_while_the_first_serves(cluster):
    client = cluster.client()
    bucket = new_bucket(client)
    second = Second(cluster, copy_of(cluster))
    client.put_object(Bucket=bucket, Key="kept", Body=b"after the copy")
    process = second.start()
    assert process.wait_exit(ANSWERS) == 1
    said = process.output()
    assert f"pid {cluster.gateway.pid}" in said and "holds the lease" in said, said
    assert "--takeover" in said
    # The first was not disturbed, and nobody took a generation from it.
    assert h.get(client, bucket, "kept") == b"after the copy"
    client.put_object(Bucket=bucket, Key="more", Body=b"x")
    assert cluster.gateway.running()


def test_rebuild_is_refused_while_the_gateway_serves(cluster):
    client = cluster.client()
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="kept", Body=b"x")
    same = Second(cluster, cluster.data).rebuild()
    assert same.returncode != 0 and "in use" in same.stderr, same.stderr
    elsewhere = Second(cluster, copy_of(cluster)).rebuild()
    assert elsewhere.returncode == 1, elsewhere.stderr
    assert "holds the lease" in elsewhere.stderr, elsewhere.stderr
    assert h.get(client, bucket, "kept") == b"x"
    client.put_object(Bucket=bucket, Key="more", Body=b"y")


def test_gateway_that_slept_goes_on_when_nobody_took_over(cluster):
    client = cluster.client()
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="kept", Body=b"x")
    cluster.gateway.signal(signal.SIGSTOP)
    threading.Event().wait(5)  # longer than the lease; what follows holds however long it was
    cluster.gateway.signal(signal.SIGCONT)
    until(lambda: status(client, bucket, "kept") == 200, ANSWERS, "the lease is renewed")
    client.put_object(Bucket=bucket, Key="more", Body=b"y")
    assert cluster.gateway.running()


class Writer(threading.Thread):
    """Puts small and large objects, one after the other, until told to stop."""

    def __init__(self, client, bucket):
        super().__init__(daemon=True)
        self.client, self.bucket = client, bucket
        self.acked, self.refused, self.ended = {}, [], threading.Event()

    def run(self):
        number = 0
        while not self.ended.is_set():
            key, data = f"w/{number}", h.body((2 * KIB, 3 * MIB)[number % 2], number)
            number += 1
            try:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=data)
                self.acked[key] = data
            except ClientError as error:
                self.refused.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
            except BotoCoreError:
                self.refused.append(None)


def test_gateway_that_slept_through_a_takeover_answers_nothing(cluster):
    client = cluster.client()
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="gone", Body=b"deleted after the copy")
    second = Second(cluster, copy_of(cluster))
    client.delete_object(Bucket=bucket, Key="gone")
    client.put_object(Bucket=bucket, Key="key", Body=b"by the first")
    writer = Writer(client, bucket)
    writer.start()
    until(lambda: len(writer.acked) >= 6, ANSWERS, "writes of the first gateway")
    cluster.gateway.signal(signal.SIGSTOP)
    second.start()
    new = second.client()
    before = dict(writer.acked)
    # The copy of the index was older than all of this: it was made anew from the drives.
    assert h.get(new, bucket, "key") == b"by the first"
    assert h.status_of(new, bucket, "gone") == 404
    for key, data in before.items():
        assert h.get(new, bucket, key) == data, key
    new.put_object(Bucket=bucket, Key="key", Body=b"by the second")
    new.delete_object(Bucket=bucket, Key="w/0")
    stale = cluster.client()
    cluster.gateway.signal(signal.SIGCONT)
    assert cluster.gateway.wait_exit(ANSWERS) == 1
    writer.ended.set()
    writer.join(ANSWERS)
    assert not writer.is_alive()
    assert writer.acked == before, "a write was acknowledged after the takeover"
    assert all(code is None or code >= 500 for code in writer.refused), writer.refused
    assert status(stale, bucket, "key") is None
    said = cluster.gateway.output()
    assert TOOK_OVER in said or "was granted since" in said, said[-4000:]
    for key, data in before.items():
        if key != "w/0":
            assert h.get(new, bucket, key) == data, key
    assert h.get(new, bucket, "key") == b"by the second"
    assert h.status_of(new, bucket, "w/0") == 404
    assert second.process.terminate() == 0


def test_restart_after_a_kill_does_not_wait_for_its_own_lease(cluster):
    client = cluster.client()
    bucket = new_bucket(client)
    for round_ in range(3):
        client.put_object(Bucket=bucket, Key=f"k{round_}", Body=b"x")
        cluster.kill_gateway()
        cluster.start_gateway()
        assert h.get(client, bucket, f"k{round_}") == b"x"
    assert "to run out" not in cluster.gateway.output()
    # Neither when the drives forgot whose lease it was.
    cluster.kill9()
    cluster.start()
    assert h.get(client, bucket, "k0") == b"x"
    assert "to run out" not in cluster.gateway.output()
