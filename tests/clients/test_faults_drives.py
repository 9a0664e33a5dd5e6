"""Goal: with separate processes, drives can be lost and replaced, be slow, be several to a node, or
vanish in numbers, and nothing acknowledged is lost or unreadable beyond what the geometry says.

Method: a gateway and shard nodes as real processes; directories are emptied, nodes are killed,
stopped in their tracks (SIGSTOP) and started again. Everything is asked through boto3, the admin
API, metrics, and holdfast's own commands.
"""
import signal

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.commands import run
from harness.corpus import Corpus
from harness.s3 import KIB, MIB
from harness.server import Cluster, binary, empty_directory
from harness.wait import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def drives(cluster):
    """The drives of the map that are not dead, by their directory."""
    listed = cluster.admin.json("GET", "/admin/v1/drives")["drives"]
    return {drive["directory"]: drive for drive in listed if drive["usage"] != "dead"}


def drive_of(cluster, node):
    return drives(cluster)[str(cluster.node_dir(node))]


def filled(cluster, copies=1):
    """A client and a corpus with its full margin: a write may be acknowledged with a shard late."""
    client = cluster.client()
    corpus = Corpus(client, new_bucket(client), copies=copies)
    cluster.admin.wait_healed(180)
    return client, corpus


def kill(cluster, nodes):
    """Kills nodes; returns when the gateway knows, so that no write counts on them."""
    lost = [str(cluster.node_dir(node, drive)) for node in nodes for drive in range(cluster.dirs)]
    for node in nodes:
        cluster.kill_node(node)
    until(lambda: not any(drives(cluster)[path]["writable"] for path in lost), 60,
          "the gateway knows")


def start(cluster, nodes):
    for node in nodes:
        cluster.start_node(node)
    until(lambda: all(drive["writable"] for drive in drives(cluster).values()), 120,
          "all drives are back")
    cluster.admin.wait_healed(180)


def put_many(client, bucket, prefix, sizes):
    want = {f"{prefix}/{number:02}": h.body(size) for number, size in enumerate(sizes)}
    for key, data in want.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)
    return want


def assert_holds(client, bucket, want):
    for key, data in want.items():
        assert h.get(client, bucket, key) == data, key


# -- lost for good

def lose(cluster, nodes):
    """Empties the drives of `nodes`; returns their ids. The nodes run again and are refused."""
    ids = {node: drive_of(cluster, node)["drive"] for node in nodes}
    for node in nodes:
        cluster.kill_node(node)
        empty_directory(cluster.node_dir(node))
        cluster.start_node(node)
    for node, drive in ids.items():
        said = f"holdfast drive replace {drive}"
        until(lambda: said in cluster.nodes[node].output(), 60, "the refusal says what to do")
        assert str(cluster.node_dir(node)) in cluster.nodes[node].tail()
        assert cluster.monitor(node).health("ready") == 503
        assert not list(cluster.node_dir(node).glob("super*")), "nothing is laid out"
    return ids


def replace(cluster, ids):
    """`holdfast drive replace`, until the successors have their places."""
    for node, drive in ids.items():
        until(lambda: not drive_of(cluster, node)["writable"], 60, "the loss is noticed")
        run([binary(), "drive", "replace", drive], cluster.environ())
    for node, lost in ids.items():
        until(lambda: drive_of(cluster, node)["drive"] != lost, 60, "a new drive has the place",
              ignore=(KeyError,))
    cluster.admin.wait_healed(180)
    for node in ids:
        assert drive_of(cluster, node)["state"] == "up"
        assert cluster.monitor(node).health("ready") == 200


def test_emptied_drives_are_refused_until_replaced_and_then_heal(cluster):
    client, corpus = filled(cluster)
    before = drives(cluster)
    done = run([binary(), "drive", "replace", drive_of(cluster, 0)["drive"]], cluster.environ(),
               check=False)
    assert done.code != 0 and "answers" in done.err, "a drive that lives is not given up"
    for victims in ((1, 4), (0, 3)):
        ids = lose(cluster, victims)
        corpus.check()
        small = put_many(client, corpus.bucket, f"small-{victims[0]}", [2 * KIB] * 5)
        replace(cluster, ids)
        corpus.check()
        assert_holds(client, corpus.bucket, small)
        large = put_many(client, corpus.bucket, f"large-{victims[0]}", [2 * MIB] * 3)
        assert_holds(client, corpus.bucket, large)
    cluster.admin.assert_index_clean()
    after = drives(cluster)
    assert set(after) == set(before) and len(after) == 6
    kept = {path for path in after if after[path]["drive"] == before[path]["drive"]}
    assert kept == {str(cluster.node_dir(node)) for node in (2, 5)}
    # Everything is on the new drives as well: the two that were never lost may go.
    for node in (2, 5):
        cluster.kill_node(node)
    corpus.check()


def test_a_replaced_drive_that_comes_back_stays_out(cluster):
    """Its id is dead for ever: the old directory, put back, is refused and not read."""
    client, corpus = filled(cluster)
    lost = drive_of(cluster, 2)["drive"]
    cluster.kill_node(2)
    aside = cluster.dir / "aside"
    cluster.node_dir(2).rename(aside)
    cluster.start_node(2)
    until(lambda: f"drive replace {lost}" in cluster.nodes[2].output(), 60, "it is refused")
    replace(cluster, {2: lost})
    cluster.nodes[2].terminate()
    new = cluster.dir / "new"
    cluster.node_dir(2).rename(new)
    aside.rename(cluster.node_dir(2))
    cluster.start_node(2)
    until(lambda: f"drive {lost} is not, or no longer, part" in cluster.nodes[2].output(), 60,
          "the dead drive is refused")
    corpus.check()
    cluster.nodes[2].terminate()
    cluster.node_dir(2).rename(aside)
    new.rename(cluster.node_dir(2))
    cluster.start_node(2)
    until(lambda: drive_of(cluster, 2)["state"] == "up" and drive_of(cluster, 2)["writable"], 60,
          "the successor is back")
    cluster.admin.wait_healed(180)
    corpus.check()
    cluster.admin.assert_index_clean()


# -- several drives on one node

def test_a_node_of_several_drives_may_go_whole(own_server):
    """4+2 over three nodes of three drives: no node has more than two drives of any group."""
    cluster = own_server(Cluster, nodes=3, dirs=3, env={"HOLDFAST_PREWRITE_BYTES": str(16 * MIB)})
    client, corpus = filled(cluster, copies=2)
    assert len(drives(cluster)) == 9
    assert len({drive["node"] for drive in drives(cluster).values()}) == 3
    written = {}
    for victim in range(3):
        kill(cluster, [victim])
        corpus.check()
        # Two of each group are gone with the node: hand-offs take their places.
        want = put_many(client, corpus.bucket, f"without-{victim}", [2 * KIB, 2 * MIB] * 3)
        assert_holds(client, corpus.bucket, want)
        written.update(want)
        start(cluster, [victim])
    assert_holds(client, corpus.bucket, written)
    cluster.admin.assert_index_clean()
    assert cluster.stop() == 0


# -- hand-off

def test_hand_offs_take_large_writes_and_are_as_good_as_their_group(own_server):
    """Seven drives, 4+2: with two of them down a large write finds its five drives only because one
    outside the group takes a shard. Six drives without a spare answer 503 to it."""
    cluster = own_server(Cluster, nodes=7)
    client, corpus = filled(cluster)
    kill(cluster, (1, 5))
    want = put_many(client, corpus.bucket, "handed", [2 * MIB] * 12)
    assert_holds(client, corpus.bucket, want)
    start(cluster, (1, 5))
    cluster.admin.assert_index_clean()
    # The full margin again: whichever two go, those that took hand-offs among them.
    for pair in ((0, 2), (3, 4), (6, 1), (5, 0)):
        kill(cluster, pair)
        assert_holds(client, corpus.bucket, want)
        corpus.check_ranges(client)
        start(cluster, pair)
    for key in want:
        client.delete_object(Bucket=corpus.bucket, Key=key)
    corpus.check()
    until(lambda: cluster.admin.index_check()["clean"], 120, "the index is clean", pause=0.5)


# -- slow

def test_two_slow_drives_delay_nobody_for_long_and_lose_nothing(cluster):
    """SIGSTOP: reads ask other drives, small writes stand-ins; the deadlines hold, no request
    fails that the geometry allows."""
    client, corpus = filled(cluster)
    bucket, before = corpus.bucket, cluster.admin.metrics()
    slow = (0, 3)
    for node in slow:
        cluster.nodes[node].signal(signal.SIGSTOP)
    try:
        # Asked at once: nobody knows yet that the drives are slow.
        for key in corpus.objects:
            assert h.get(client, bucket, key) == corpus.objects[key]
        small = put_many(client, bucket, "small", [0, 100, 2 * KIB, 30 * KIB] * 5)
        assert_holds(client, bucket, small)
        client.delete_object(Bucket=bucket, Key="small/00")
        del small["small/00"]
        hedged = "holdfast_store_hedged_reads_total"
        assert cluster.admin.metrics().total(hedged) > before.total(hedged)
        until(lambda: not drive_of(cluster, 0)["writable"], 60, "the gateway knows", pause=0.5)
        corpus.check()
        with h.error(status=503):
            client.put_object(Bucket=bucket, Key="large", Body=h.body(2 * MIB))
    finally:
        for node in slow:
            cluster.nodes[node].signal(signal.SIGCONT)
    until(lambda: all(drive["writable"] for drive in drives(cluster).values()), 60, "they answer")
    cluster.admin.wait_healed(180)
    corpus.check()
    assert_holds(client, bucket, small)
    for key in ("large", "small/00"):
        assert h.status_of(client, bucket, key) == 404, key
    until(lambda: cluster.admin.index_check()["clean"], 120, "the index is clean", pause=0.5)
    for node in (1, 4):
        cluster.kill_node(node)
    corpus.check()
    assert_holds(client, bucket, small)


# -- a partition

def test_healing_holds_back_while_too_many_drives_are_away(own_server):
    """More than a fifth of the drives, and more than the parity, at once: that is a partition."""
    # With 1+2 there are no hand-offs: what node 0 misses waits for it, and any one shard heals it.
    cluster = own_server(Cluster, nodes=8, geometry="1+2")
    client = cluster.client()
    bucket = new_bucket(client)
    kill(cluster, [0])
    want = put_many(client, bucket, "k", [200 * KIB] * 60)
    admin = cluster.admin
    assert admin.heal()["backlog_objects"] > 0 and admin.heal()["held_back"] is None
    for node in (1, 2, 3):
        cluster.kill_node(node)
    held = until(lambda: admin.heal()["held_back"], 60, "healing holds back")
    assert "4 of 8 drives" in held
    assert admin.metrics().total("holdfast_heal_held_back_drives") == 4
    assert "too many drives vanished" in cluster.gateway.output()
    healed = "holdfast_heal_objects_total"
    before = admin.metrics().total(healed)
    # The drive that the backlog waits for is back, and nothing is healed: three are still away.
    cluster.start_node(0)
    until(lambda: admin.metrics().total("holdfast_heal_held_back_drives") == 3, 60, "one is back")
    until(lambda: admin.metrics().total("holdfast_compare_pending_drives") == 0, 60, "compared")
    assert drive_of(cluster, 0)["state"] == "up"
    assert admin.metrics().total(healed) == before
    assert admin.heal()["held_back"] and admin.heal()["backlog_objects"] > 0
    cluster.start_node(1)
    until(lambda: admin.heal()["held_back"] is None, 60, "healing goes on")
    assert "healing goes on" in cluster.gateway.output()
    until(lambda: admin.metrics().total(healed) > before, 120, "what can be healed is healed")
    for node in (2, 3):
        cluster.start_node(node)
    admin.wait_healed(180)
    assert admin.metrics().total("holdfast_heal_held_back_drives") == 0
    assert_holds(client, bucket, want)
    admin.assert_index_clean()
