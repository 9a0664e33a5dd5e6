"""Goal: a gateway's index can be lost, or be garbage, and nothing else is: with separate processes
it is rebuilt from the drives of the shard nodes, and a start says what to do.

Method: a gateway and six shard nodes (4+2) as real processes, or an embedded cluster; the index
directory is deleted or overwritten while the gateway is stopped, `holdfast index rebuild` is run.
"""
import hashlib
import shutil
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError

from conftest import new_bucket
from harness import s3 as h
from harness.commands import run
from harness.corpus import Corpus
from harness.server import Cluster, Embedded, binary
from harness.wait import until

pytestmark = pytest.mark.timeout(600)


def rebuild(cluster, *more, check=True):
    """The command as the gateway's administrator runs it."""
    argv = [binary(), "index", "rebuild", "--data-dir", cluster.data,
            "--admin-listen", f"127.0.0.1:{cluster.ports['admin']}",
            "--node-listen", f"127.0.0.1:{cluster.ports['node']}", *more]
    return run(argv, {"HOLDFAST_CLUSTER_SECRET": cluster.secret}, check=check)


@pytest.fixture
def filled(cluster):
    client = cluster.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    client.put_object(Bucket=corpus.bucket, Key="gone", Body=h.body(2_000_000))
    client.delete_object(Bucket=corpus.bucket, Key="gone")
    client.put_object(Bucket=corpus.bucket, Key="over", Body=h.body(2_000_000))
    client.put_object(Bucket=corpus.bucket, Key="over", Body=b"newest", Metadata={"a": "b"})
    # A write may be acknowledged with a shard late; until it is healed it can lose one drive less.
    cluster.admin.wait_healed(180)
    return cluster, client, corpus


def assert_everything(client, corpus):
    corpus.check(client)
    over = client.get_object(Bucket=corpus.bucket, Key="over")
    assert over["Body"].read() == b"newest" and over["Metadata"] == {"a": "b"}
    assert h.status_of(client, corpus.bucket, "gone") == 404
    keys = [*corpus.objects, "over"]
    assert h.all_keys(client, corpus.bucket) == sorted(keys, key=str.encode)


@pytest.mark.cluster
def test_deleted_index_of_a_gateway_is_rebuilt_from_its_shard_nodes(filled):
    cluster, client, corpus = filled
    assert cluster.gateway.terminate() == 0
    shutil.rmtree(cluster.data / "index")
    # The gateway says what to do instead of serving an empty store.
    assert cluster.spawn_gateway().wait_exit(60) == 1
    assert "holdfast index rebuild" in cluster.gateway.tail(3)
    done = rebuild(cluster)
    assert "RECORDS" in done.out, done
    cluster.start_gateway()
    assert_everything(client, corpus)
    cluster.admin.assert_index_clean()
    after = h.body(3_000_000)
    client.put_object(Bucket=corpus.bucket, Key="after", Body=after)
    assert h.get(client, corpus.bucket, "after") == after
    cluster.admin.wait_healed(180)


@pytest.mark.cluster
def test_rebuild_needs_enough_drives_and_no_more(filled):
    """With three of six drives it refuses and changes nothing; with four it does its work."""
    cluster, client, corpus = filled
    assert cluster.gateway.terminate() == 0
    for node in (0, 2, 5):
        cluster.kill_node(node)
    index = cluster.data / "index"
    before = tree(index)
    done = rebuild(cluster, "--wait", "15s", check=False)
    assert done.code == 4, done
    assert "3 of 6 drives" in done.err and "at least 4" in done.err, done
    assert str(cluster.node_dir(2)) in done.err, done
    assert tree(index) == before
    cluster.start_node(5)
    shutil.rmtree(index)
    rebuild(cluster, "--wait", "15s")
    cluster.start_gateway()
    assert_everything(client, corpus)
    for node in (0, 2):
        cluster.start_node(node)
    cluster.admin.wait_healed(180)
    # A tombstone that only the absent drives still had to forget may be left there, in no row.
    wrong = [problem for problem in cluster.admin.index_check()["problems"]
             if problem["kind"] != "unknown_write"]
    assert wrong == []
    # Those that missed the rebuild are whole again: any two others may go.
    for node in (1, 3):
        cluster.kill_node(node)
    assert_everything(client, corpus)


@pytest.mark.cluster
def test_rebuild_refuses_a_running_gateway_and_a_wrong_or_missing_secret(filled):
    cluster, client, corpus = filled
    done = rebuild(cluster, check=False)
    assert done.code == 1 and str(cluster.data) in done.err and "in use" in done.err, done
    cluster.admin.assert_index_clean()
    assert cluster.gateway.terminate() == 0
    argv = [binary(), "index", "rebuild", "--data-dir", cluster.data]
    done = run(argv, {}, check=False)
    assert done.code == 2 and "HOLDFAST_CLUSTER_SECRET" in done.err, done
    before, right = tree(cluster.data / "index"), cluster.secret
    cluster.secret = "another-secret-than-that-of-the-nodes"
    done = rebuild(cluster, "--wait", "8s", check=False)
    assert done.code == 4 and "0 of 6 drives" in done.err and "secret" in done.err, done
    cluster.secret = right
    assert tree(cluster.data / "index") == before
    cluster.start_gateway()
    assert_everything(client, corpus)
    cluster.admin.assert_index_clean()


@pytest.mark.cluster
def test_gateway_that_a_forced_rebuild_left_in_doubt_starts_itself_again(own_server):
    """Three of seven drives are away: unknown keys answer 503 until they are back, then the
    gateway claims the drives anew in the same process and knows."""
    cluster = own_server(Cluster, nodes=7, env={"HOLDFAST_DOWN_AFTER": "3s"})
    client = cluster.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    client.put_object(Bucket=corpus.bucket, Key="gone", Body=b"small")
    client.delete_object(Bucket=corpus.bucket, Key="gone")
    cluster.admin.wait_healed(180)
    assert cluster.gateway.terminate() == 0
    for node in (1, 3, 5):
        cluster.kill_node(node)
    shutil.rmtree(cluster.data / "index")
    done = rebuild(cluster, "--wait", "4s", check=False)
    assert done.code == 4 and "--force" in done.err, done
    done = rebuild(cluster, "--wait", "4s", "--force", check=False)
    assert done.code == 3 and "IN DOUBT" in done.out, done
    cluster.start_gateway()
    pid = cluster.gateway.pid
    for key in ("gone", "never"):
        assert h.status_of(client, corpus.bucket, key) == 503
    for node in (1, 3, 5):
        cluster.start_node(node)
    until(lambda: h.status_of(client, corpus.bucket, "gone") == 404, 180, "the doubt is over",
          pause=1, ignore=(BotoCoreError,))
    assert cluster.gateway.running() and cluster.gateway.pid == pid
    assert "to start again and claim the drives anew" in cluster.gateway.output()
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert command[0].decode() == str(binary())
    assert h.status_of(client, corpus.bucket, "never") == 404
    corpus.check(client)
    corpus.check_listing(client)
    cluster.admin.wait_healed(180)
    cluster.admin.assert_index_clean()


# -- an index that is garbage

def tree(directory):
    """Every file below `directory` and the hash of its bytes."""
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.rglob("*")) if path.is_file()}


def overwrite(directory):
    """Garbage in the place of every file, of the same length."""
    for path in directory.rglob("*"):
        if path.is_file():
            path.write_bytes(b"garbage!" * (path.stat().st_size // 8 + 1))


@pytest.mark.parametrize("form", [Embedded, pytest.param(Cluster, marks=pytest.mark.cluster)])
def test_a_start_on_a_garbage_index_says_so_and_destroys_nothing(own_server, form):
    server = own_server(form)
    client = server.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    gateway = server.process if form is Embedded else server.gateway
    assert gateway.terminate() == 0
    index = server.data / "index"
    overwrite(index)
    garbage = tree(index)
    again = server.spawn() if form is Embedded else server.spawn_gateway()
    assert again.wait_exit(60) == 1
    said = again.tail(3)
    assert str(index) in said and "holdfast index rebuild" in said, said
    assert "panicked" not in again.output()
    assert tree(index) == garbage, "what is there may still be of use to someone"
    if form is Embedded:
        run([binary(), "index", "rebuild", "--data-dir", server.data], {})
        server.start()
    else:
        rebuild(server)
        server.start_gateway()
    corpus.check(client)
    server.admin.assert_index_clean()
