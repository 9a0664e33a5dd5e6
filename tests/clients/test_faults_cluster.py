"""Goal: with separate processes, one lost node is not felt, two are survived, and what cannot be
written says so; nothing acknowledged is lost by killing anything.

Method: a gateway and six shard nodes (4+2) as real processes; nodes are killed, stopped in their
tracks (SIGSTOP) or started again. Everything is asked through boto3 and the admin API.
"""
import random
import signal

import pytest

from conftest import new_bucket
from harness import rawhttp
from harness import s3 as h
from harness import sigv4
from harness.corpus import Corpus
from harness.oplog import Writers, problems
from harness.s3 import KIB, MIB
from harness.wait import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
SMALL = 2 * KIB
LARGE = 3 * MIB


@pytest.fixture
def filled(cluster):
    client = cluster.client()
    corpus = Corpus(client, new_bucket(client))
    # A write may be acknowledged with a shard late; until it is healed it can lose one drive less.
    cluster.admin.wait_healed(180)
    return cluster, client, corpus


def write_all_kinds(client, bucket, prefix):
    """Puts, overwrites, copies, uploads in parts and deletes; returns what must be there."""
    want = {}
    for index, size in enumerate([0, SMALL, 200 * KIB, LARGE]):
        key, data = f"{prefix}/{index}", h.body(size)
        client.put_object(Bucket=bucket, Key=key, Body=b"first")
        client.put_object(Bucket=bucket, Key=key, Body=data)
        want[key] = data
    source = {"Bucket": bucket, "Key": f"{prefix}/3"}
    client.copy_object(Bucket=bucket, Key=f"{prefix}/copy", CopySource=source)
    want[f"{prefix}/copy"] = want[f"{prefix}/3"]
    parts = [h.body(5 * MIB), b"end"]
    h.multipart(client, bucket, f"{prefix}/parts", parts)
    want[f"{prefix}/parts"] = b"".join(parts)
    client.put_object(Bucket=bucket, Key=f"{prefix}/gone", Body=b"x")
    client.delete_object(Bucket=bucket, Key=f"{prefix}/gone")
    return want


def assert_holds(client, bucket, prefix, want):
    for key, data in want.items():
        assert h.get(client, bucket, key) == data, key
    assert set(h.all_keys(client, bucket, Prefix=prefix + "/")) == set(want)


def test_healthy_cluster_does_everything(filled):
    cluster, client, corpus = filled
    want = write_all_kinds(client, corpus.bucket, "w")
    corpus.check()
    assert_holds(client, corpus.bucket, "w", want)
    cluster.admin.assert_index_clean()
    assert cluster.admin.heal()["backlog_objects"] == 0
    assert cluster.stop() == 0


def test_one_node_killed_is_not_felt(filled):
    cluster, client, corpus = filled
    written = {}
    for victim in (0, 4):
        cluster.kill_node(victim)
        corpus.check()
        prefix = f"without-{victim}"
        written[prefix] = write_all_kinds(client, corpus.bucket, prefix)
        assert_holds(client, corpus.bucket, prefix, written[prefix])
        cluster.start_node(victim)
        cluster.admin.wait_healed(180)
    cluster.admin.assert_index_clean()
    # What was written without a node has its full margin again: any two others may go.
    for victim in (1, 2):
        cluster.kill_node(victim)
    corpus.check()
    for prefix, want in written.items():
        assert_holds(client, corpus.bucket, prefix, want)


def test_two_nodes_killed_reads_go_on_and_large_writes_stop(filled):
    cluster, client, corpus = filled
    bucket = corpus.bucket
    client.put_object(Bucket=bucket, Key="old", Body=b"old content")
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    for victim in (1, 3):
        cluster.kill_node(victim)
    corpus.check()
    for key in corpus.objects:
        head = client.head_object(Bucket=bucket, Key=key)
        assert head["ContentLength"] == len(corpus.objects[key])
    # A write that cannot reach its quorum: 503 with Retry-After, and nothing to be seen of it.
    for key in ("old", "new"):
        with h.error(("ServiceUnavailable", "SlowDown"), 503) as refused:
            client.put_object(Bucket=bucket, Key=key, Body=h.body(LARGE))
        assert int(refused.headers["retry-after"]) > 0
    with h.error(status=503):
        h.put_part(client, bucket, "parts", upload, 1, h.body(5 * MIB))
    with h.error(status=503):
        client.copy_object(Bucket=bucket, Key="copy",
                           CopySource=f"{bucket}/{corpus.prefix}/multipart")
    assert h.get(client, bucket, "old") == b"old content"
    assert "Parts" not in client.list_parts(Bucket=bucket, Key="parts", UploadId=upload)
    for key in ("new", "copy", "parts"):
        assert h.status_of(client, bucket, key) == 404
    # Small objects need m + 1 drives only, and deletes too.
    for number in range(30):
        client.put_object(Bucket=bucket, Key=f"small/{number:02}", Body=h.body(SMALL, seed=number))
    for number in range(0, 30, 2):
        client.delete_object(Bucket=bucket, Key=f"small/{number:02}")
    left = [f"small/{number:02}" for number in range(1, 30, 2)]
    assert h.all_keys(client, bucket, Prefix="small/") == left
    client.delete_object(Bucket=bucket, Key=f"{corpus.prefix}/0/9")
    corpus.objects.pop(f"{corpus.prefix}/0/9")
    corpus.check()
    # They come back: writes go on, and what they missed does not come back with them.
    for victim in (1, 3):
        cluster.start_node(victim)
    until(lambda: _put(client, bucket, "new", LARGE), 120, "large writes work again", pause=0.5)
    cluster.admin.wait_healed(180)
    cluster.admin.assert_index_clean()
    assert h.all_keys(client, bucket, Prefix="small/") == left
    for victim in (0, 2):
        cluster.kill_node(victim)
    corpus.check()
    for number in range(1, 30, 2):
        assert h.get(client, bucket, f"small/{number:02}") == h.body(SMALL, seed=number)


def _put(client, bucket, key, size):
    """Whether a write of this size is taken."""
    try:
        client.put_object(Bucket=bucket, Key=key, Body=h.body(size))
    except client.exceptions.ClientError as failure:
        assert failure.response["ResponseMetadata"]["HTTPStatusCode"] == 503, failure
        return False
    return True


def test_refused_writes_stay_refused_after_a_restart(filled):
    """Shards of a write without quorum lie on four drives; no merge makes an object of them."""
    cluster, client, corpus = filled
    for victim in (0, 5):
        cluster.kill_node(victim)
    for number in range(5):
        with h.error(status=503):
            client.put_object(Bucket=corpus.bucket, Key=f"never/{number}", Body=h.body(LARGE))
    for victim in (0, 5):
        cluster.start_node(victim)
    cluster.kill_gateway()
    cluster.start_gateway()
    until(lambda: _put(client, corpus.bucket, "probe", LARGE), 120, "large writes work", pause=0.5)
    assert h.all_keys(client, corpus.bucket, Prefix="never/") == []
    corpus.check()
    cluster.admin.assert_index_clean()


def test_three_nodes_killed_reads_say_so(filled):
    cluster, client, corpus = filled
    for victim in (0, 2, 4):
        cluster.kill_node(victim)
    key = f"{corpus.prefix}/multipart"
    with h.error(status=503):
        client.get_object(Bucket=corpus.bucket, Key=key)
    assert h.status_of(client, corpus.bucket, key) in (200, 503), "HEAD needs the index only"
    with h.error(status=503):
        client.put_object(Bucket=corpus.bucket, Key="new", Body=h.body(LARGE))
    for victim in (0, 2, 4):
        cluster.start_node(victim)

    def readable():
        try:
            return h.get(client, corpus.bucket, key) == corpus.objects[key]
        except client.exceptions.ClientError:
            return False

    until(readable, 120, "the object is readable again", pause=0.5)
    corpus.check()
    assert h.status_of(client, corpus.bucket, "new") == 404


def test_a_node_that_hangs_is_worked_around(filled):
    """SIGSTOP: connections stay open and nothing answers, the worst kind of failure."""
    cluster, client, corpus = filled
    cluster.nodes[2].signal(signal.SIGSTOP)
    try:
        corpus.check()
        want = write_all_kinds(client, corpus.bucket, "hanging")
        assert_holds(client, corpus.bucket, "hanging", want)
    finally:
        cluster.nodes[2].signal(signal.SIGCONT)
    cluster.admin.wait_healed(180)
    corpus.check()
    cluster.admin.assert_index_clean()


def test_gateway_killed_alone_comes_back_to_everything(filled):
    cluster, client, corpus = filled
    writers = Writers(cluster.client, corpus.bucket, seed=5).start()
    until(lambda: writers.done() >= 60, 120, "the writers got through", pause=0.01)
    cluster.kill_gateway()
    log = writers.stop()
    cluster.start_gateway()
    wrong = [p for p in problems(client, corpus.bucket, [log])
             if not p.startswith(corpus.prefix + "/")]
    assert wrong == []
    corpus.check()
    cluster.admin.assert_index_clean()


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_of_everything_in_the_middle_of_uploads_loses_nothing(cluster, seed):
    chance, client = random.Random(seed), cluster.client()
    bucket, logs = new_bucket(client), []
    for number in range(3):
        writers = Writers(cluster.client, bucket, seed=seed * 10 + number, round_name=f"r{number}")
        writers.start()
        enough = chance.randrange(20, 100)
        until(lambda: writers.done() >= enough, 120, "the writers got through", pause=0.01)
        cluster.kill9()
        logs.append(writers.stop())
        cluster.start()
        assert problems(client, bucket, logs) == [], f"seed {seed}, round {number}"
        cluster.admin.assert_index_clean()
    cluster.admin.wait_healed(180)


def test_nodes_killed_one_after_another_under_load_lose_nothing(cluster):
    """Every node is killed and started once while writers run; never more than one is away."""
    client = cluster.client()
    bucket = new_bucket(client)
    writers = Writers(cluster.client, bucket, seed=9).start()
    for victim in range(6):
        goal = writers.done() + 10
        until(lambda: writers.done() >= goal, 120, "writes go on", pause=0.02)
        cluster.kill_node(victim)
        goal = writers.done() + 10
        until(lambda: writers.done() >= goal, 120, f"writes go on without {victim}", pause=0.02)
        cluster.start_node(victim)
        cluster.admin.wait_healed(180)
    log = writers.stop()
    assert log.refused == [], "one lost node fails no request"
    assert problems(client, bucket, [log]) == []
    cluster.admin.assert_index_clean()


def test_deleted_stays_deleted_on_a_node_that_was_away(filled):
    cluster, client, corpus = filled
    cluster.kill_node(5)
    for key in list(corpus.objects)[:10]:
        client.delete_object(Bucket=corpus.bucket, Key=key)
        del corpus.objects[key]
    cluster.start_node(5)
    cluster.admin.wait_healed(180)
    cluster.restart()
    corpus.check(client)
    cluster.admin.assert_index_clean()


def test_gateway_waits_for_all_drives_and_says_how_many(cluster):
    client = cluster.client()
    client.put_object(Bucket=new_bucket(client), Key="k", Body=b"x")
    cluster.stop()
    fresh_admin = cluster.admin
    cluster.spawn_gateway()
    until(lambda: fresh_admin.health("live") == 200, 30, "the gateway lives")
    assert fresh_admin.health("ready") == 503
    for number in range(6):
        cluster.spawn_node(number)
    cluster.wait_ready()
    assert cluster.admin.health("ready") == 200


def test_requests_under_way_finish_when_the_gateway_is_asked_to_stop(cluster):
    """SIGTERM drains: ready turns 503, the upload on its way is finished, the exit code is 0."""
    client = cluster.client()
    bucket, data = new_bucket(client), h.body(6 * MIB)
    signer = sigv4.client(cluster)
    request = sigv4.Request("PUT", f"/{bucket}/k", [], {"content-length": str(len(data))})
    headers, _, _ = signer.signed_headers(request, sigv4.UNSIGNED)
    with rawhttp.connect(signer.address) as sock:
        sock.sendall(rawhttp.head("PUT", request.path, headers) + data[:4 * MIB])
        cluster.gateway.signal(signal.SIGTERM)
        until(lambda: cluster.admin.health("ready") in (503, None), 20, "ready is no longer 200")
        assert cluster.gateway.running()
        sock.sendall(data[4 * MIB:])
        answer = rawhttp.read_answer(sock)
    assert answer.status == 200, answer
    assert cluster.gateway.wait_exit(40) == 0
    cluster.start_gateway()
    assert h.get(client, bucket, "k") == data
