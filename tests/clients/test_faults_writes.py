"""Goal: a write that goes wrong leaves the old object, and a start that cannot work says why.

Method: broken uploads against the embedded cluster and against separate processes; a small file
system mounted through a loop device for the full disk; second processes for the clashes.
"""
import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import new_bucket
from harness import checksums, rawhttp, sigv4
from harness import s3 as h
from harness.commands import run
from harness.corpus import Corpus
from harness.ports import free_port
from harness.process import Process
from harness.s3 import KIB, MIB
from harness.server import Cluster, Embedded, binary
from harness.wait import Deadline, until


@pytest.fixture(params=[Embedded, Cluster], ids=["embedded", "cluster"])
def either(request, own_server):
    return own_server(request.param)


def _without_garbage(server, client, bucket):
    """Only `k` with its old content is there, also after a restart, and the index agrees."""
    assert h.all_keys(client, bucket) == ["k"]
    assert h.get(client, bucket, "k") == b"old"
    server.restart()
    assert h.all_keys(client, bucket) == ["k"]
    assert h.get(client, bucket, "k") == b"old"
    server.admin.assert_index_clean()


@pytest.mark.timeout(400)
def test_broken_uploads_leave_the_old_object(either):
    client = either.client()
    bucket, signer = new_bucket(client), sigv4.client(either)
    client.put_object(Bucket=bucket, Key="k", Body=b"old")
    for size in (2 * KIB, 3 * MIB):
        data = h.body(size)
        wrong = {"ContentMD5": checksums.md5_header(b"other")}, {
            "ChecksumSHA256": checksums.value("SHA256", b"other")}
        for more in wrong:
            with h.error("BadDigest", 400):
                client.put_object(Bucket=bucket, Key="k", Body=data, **more)
        for sent in (0, 1, size // 2, size - 1):
            request = sigv4.Request("PUT", f"/{bucket}/k", [], {"content-length": str(size)}, data)
            headers, _, _ = signer.signed_headers(request)
            # The client dies: once by a clean end of its side, once by a reset.
            try:
                answer = signer.send(request, headers, stop_after=sent)
                assert answer.status == 400, answer
            except rawhttp.NoAnswer:
                pass
            with rawhttp.connect(signer.address) as sock:
                sock.sendall(rawhttp.head("PUT", request.path, headers) + data[:sent])
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with h.error("NoSuchKey", 404):
            client.get_object(Bucket=bucket, Key="new")
    _without_garbage(either, client, bucket)


def test_client_gone_while_reading_harms_nobody(either):
    client = either.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    signer = sigv4.client(either)
    request = sigv4.Request("GET", f"/{corpus.bucket}/{corpus.prefix}/multipart")
    for _ in range(20):
        headers, _, _ = signer.signed_headers(request)
        with rawhttp.connect(signer.address) as sock:
            sock.sendall(rawhttp.head("GET", request.path, headers))
            assert sock.recv(1000)
    corpus.check()


# -- a full disk

@pytest.fixture
def small_disk(space):
    """An ext4 of 1,000 MiB; needs root and loop devices."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    image, at = space / "disk.img", space / "disk"
    at.mkdir()
    with open(image, "wb") as file:
        file.truncate(1000 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, at], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a loop device here: {mounted.stderr.strip()}")
    yield at
    subprocess.run(["umount", "-l", at], check=True)


@pytest.mark.root_only
@pytest.mark.timeout(600)
def test_full_disk_is_a_clear_error_and_deletes_still_work(small_disk, own_server):
    # Six drives and the index share this disk, with the settings that everybody gets.
    server = own_server(Embedded, name=small_disk / "holdfast")
    client = server.client()
    bucket, stored, refused = new_bucket(client), {}, []

    def fill(first):
        for number in range(first, 200, 8):
            data = h.body(4 * MIB, seed=number)
            try:
                client.put_object(Bucket=bucket, Key=f"k{number:03}", Body=data)
            except client.exceptions.ClientError as failure:
                refused.append(failure.response)
                return
            stored[f"k{number:03}"] = h.sha256(data)

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(fill, range(8)))
    assert refused, "800 MiB, 1,200 with parity, fitted on a disk of 1,000 MiB"
    for full in refused:
        assert full["ResponseMetadata"]["HTTPStatusCode"] in (503, 507), full
        assert any(word in full["Error"]["Message"].lower() for word in ("full", "space")), full
    assert len(stored) > 10, "most of the disk was usable"
    disk = os.statvfs(small_disk)
    left = disk.f_bavail * disk.f_frsize
    assert left > 128 * MIB, f"{left} bytes left: eight writers at once went into the reserve"
    assert h.all_keys(client, bucket) == sorted(stored)
    for key, digest in stored.items():
        assert h.sha256(h.get(client, bucket, key)) == digest
    for key in sorted(stored)[::2]:
        client.delete_object(Bucket=bucket, Key=key)
        del stored[key]
    assert h.all_keys(client, bucket) == sorted(stored)

    def again():
        try:
            client.put_object(Bucket=bucket, Key="again", Body=h.body(4 * MIB, seed=999))
        except client.exceptions.ClientError:
            return False
        return True

    try:
        until(again, 60, "freed space is used again", pause=0.5)
    except Deadline as late:
        free = [s for s in server.admin.metrics().samples
                if s[0] in ("holdfast_drive_free_bytes", "holdfast_purge_backlog_entries")]
        raise AssertionError(f"{late}; {len(stored)} objects left; {free}") from late
    server.restart()
    for key, digest in stored.items():
        assert h.sha256(h.get(client, bucket, key)) == digest
    assert h.get(client, bucket, "again") == h.body(4 * MIB, seed=999)
    server.admin.assert_index_clean()
    server.stop()


# -- starts that cannot work

def refused_start(argv, env, log, *words):
    """The program ends with a code that is no success, and its message holds every word."""
    process = Process("refused", argv, env, log)
    code = process.wait_exit(60)
    text = process.output().lower()
    assert code in (1, 2), (code, text)
    for word in words:
        assert str(word).lower() in text, (word, text)
    assert "panicked" not in text
    return code


@pytest.mark.parametrize("flag", ["--listen", "--admin-listen"])
def test_port_in_use_names_the_port_and_the_flag(space, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen = {"--listen": "127.0.0.1:0", "--admin-listen": "127.0.0.1:0"}
        listen[flag] = f"127.0.0.1:{port}"
        argv = [binary(), "server", "--data-dir", space / "data",
                *[word for pair in listen.items() for word in pair]]
        assert refused_start(argv, {}, space / "log", port, flag) == 1


def test_data_directory_in_use_is_refused(embedded, space):
    argv = [binary(), "server", "--data-dir", embedded.data, "--listen", "127.0.0.1:0",
            "--admin-listen", "127.0.0.1:0"]
    assert refused_start(argv, {}, space / "second.log", embedded.data, "in use") == 1
    client = embedded.client()
    client.put_object(Bucket=new_bucket(client), Key="k", Body=b"the first one is well")


def test_unknown_config_key_names_the_nearest(space):
    config = space / "holdfast.toml"
    config.write_text('lisen = "127.0.0.1:0"\n')
    argv = [binary(), "server", "--data-dir", space / "data", "--config", config]
    refused_start(argv, {}, space / "log", "lisen", "listen", config)
    assert not (space / "data").exists() or not any((space / "data").iterdir())


def test_unknown_flag_and_bad_values_are_usage_errors(space):
    for more in (["--no-such-flag"], ["--geometry", "four+two"], ["--geometry", "0+2"],
                 ["--geometry", "4+0"], ["--drives", "3"], ["--listen", "nonsense"]):
        argv = [binary(), "server", "--data-dir", space / "data", *more]
        assert refused_start(argv, {}, space / "log", more[-1].lstrip("-")) == 2


def test_weak_credentials_are_refused(space):
    for access, secret in (("ab", "long-enough-secret"), ("admin", "short")):
        env = {"HOLDFAST_ACCESS_KEY": access, "HOLDFAST_SECRET_KEY": secret}
        argv = [binary(), "server", "--data-dir", space / "data", "--listen", "127.0.0.1:0",
                "--admin-listen", "127.0.0.1:0"]
        refused_start(argv, env, space / f"log-{access}", "128")


def test_separate_processes_refuse_to_start_without_a_secret(space):
    env = {"HOLDFAST_ACCESS_KEY": "AKTEST00", "HOLDFAST_SECRET_KEY": "secret-secret"}
    port = free_port()
    gateway = [binary(), "gateway", "--data-dir", space / "g", "--listen", "127.0.0.1:0",
               "--admin-listen", f"127.0.0.1:{port}", "--node-listen", "127.0.0.1:0",
               "--geometry", "4+2", "--drives", "6"]
    refused_start(gateway, env, space / "gateway.log", "HOLDFAST_CLUSTER_SECRET")
    node = [binary(), "shard-node", "--data-dir", space / "n", "--listen", "127.0.0.1:0",
            "--join", f"http://127.0.0.1:{port}"]
    refused_start(node, env, space / "node.log", "HOLDFAST_CLUSTER_SECRET")


def test_drive_of_another_cluster_is_refused(own_server, space):
    first = own_server(Cluster, name="first")
    second = own_server(Cluster, name="second")
    client = second.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    first.stop()
    second.kill_node(0)
    shutil.rmtree(second.node_dir(0))
    shutil.copytree(first.node_dir(0), second.node_dir(0))
    process = second.start_node(0)
    until(lambda: "cluster" in process.output().lower().split("--- node 0")[-1], 60,
          "it says that the drive belongs to another cluster")
    corpus.check()
    assert "panicked" not in process.output()


def test_missing_index_is_not_mistaken_for_an_empty_store(embedded):
    client = embedded.client()
    client.put_object(Bucket=new_bucket(client), Key="k", Body=h.body(MIB))
    embedded.stop()
    shutil.rmtree(embedded.data / "index")
    shutil.rmtree(embedded.drive(3))
    process = embedded.spawn()
    # Without an index no drive is laid out anew: it refuses and names the way out.
    until(lambda: not process.running(), 60, "it refuses to start")
    assert process.wait_exit(5) == 1
    text = process.output()
    assert "index" in text and "rebuild" in text, text


def test_shard_node_with_a_wrong_secret_gets_nothing(cluster, space):
    env = {"HOLDFAST_CLUSTER_SECRET": "another-secret-entirely-0000000000"}
    argv = [binary(), "shard-node", "--data-dir", space / "intruder", "--listen",
            f"127.0.0.1:{free_port()}", "--join", cluster.admin_url]
    process = Process("intruder", argv, env, space / "intruder.log")
    words = ("secret", "denied", "refused", "unauthor", "authent")
    until(lambda: not process.running() or any(w in process.output().lower() for w in words), 60,
          "it says that it was refused")
    assert any(w in process.output().lower() for w in words), process.tail()
    if process.running():
        process.kill9()
    client = cluster.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    corpus.check()
    assert not run(["grep", "-rl", "another-secret-entirely", cluster.dir], {}, check=False).out
