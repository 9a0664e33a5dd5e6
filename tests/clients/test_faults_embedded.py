"""Goal: the embedded cluster keeps every acknowledged byte through lost, emptied and damaged
drives, kill -9, and the loss of its index.

Method: a process of its own per test; files under its data directory are removed or changed from
outside, as a careless hand or a dying drive would.
"""
import json
import os
import random
import shutil

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.commands import run
from harness.corpus import Corpus
from harness.oplog import Writers, problems
from harness.server import Embedded, binary, empty_directory
from harness.wait import until


@pytest.fixture
def filled(embedded):
    """A running embedded cluster, its bucket's client, and a corpus in it."""
    client = embedded.client()
    corpus = Corpus(client, new_bucket(client))
    # A write may be acknowledged with a shard late; until it is healed it can lose one drive less.
    embedded.admin.wait_healed(180)
    return embedded, client, corpus


def used(server):
    """Bytes in use per drive, by the metric."""
    samples = [(labels["drive"], value) for name, labels, value in server.admin.metrics().samples
               if name == "holdfast_drive_used_bytes"]
    return dict(samples)


def wait_whole(server, before, seconds=180):
    """Until two drives that are not in `before` carry their share and nothing waits for healing.

    The first half is a fact on the drives: a backlog of 0 alone could mean that the loss was not
    noticed yet.
    """
    def carrying():
        now = used(server)
        fresh = [value for drive, value in now.items() if drive not in before]
        return len(fresh) == 2 and min(fresh) >= 0.5 * max(now.values()) > 0

    until(carrying, seconds, "two drives laid out anew carry data", pause=0.5)
    server.admin.wait_healed(seconds)


def test_restart_keeps_everything(filled):
    server, client, corpus = filled
    assert server.stop() == 0
    server.start()
    corpus.check(client)
    server.admin.assert_index_clean()


@pytest.mark.timeout(600)
def test_two_emptied_drives_heal_and_then_two_others_can_go(filled):
    server, client, corpus = filled
    for first, second in ((0, 1), (2, 3), (4, 5)):
        before = used(server)
        server.stop()
        empty_directory(server.drive(first))
        shutil.rmtree(server.drive(second))
        server.start()
        corpus.check(client)  # at once, whether healed or not
        wait_whole(server, before)
    corpus.check(client)
    server.admin.assert_index_clean()


@pytest.mark.timeout(600)
def test_drives_deleted_under_a_running_server(filled):
    """What the README shows: two drives deleted while it runs, and the file read back."""
    server, client, corpus = filled
    before = used(server)
    for number in (1, 4):
        shutil.rmtree(server.drive(number))
    corpus.check(client)
    client.put_object(Bucket=corpus.bucket, Key="small", Body=b"after the loss")
    until(lambda: all(server.drive(n).is_dir() for n in (1, 4)), 120, "they are laid out anew")
    wait_whole(server, before)
    for number in (0, 5):
        shutil.rmtree(server.drive(number))
    server.restart()
    corpus.check(client)
    assert h.get(client, corpus.bucket, "small") == b"after the loss"
    server.admin.assert_index_clean()


def test_three_emptied_drives_are_refused_not_forgotten(filled):
    """More than m lost at once: nothing is laid out anew over what may come back."""
    server, client, corpus = filled
    server.stop()
    aside = server.dir / "aside"
    aside.mkdir()
    for number in (0, 1, 2):
        os.rename(server.drive(number), aside / str(number))
    process = server.spawn()
    until(lambda: not process.running() or server.admin.health("live") == 200, 60, "it answers")
    assert not process.running() or server.admin.health("ready") != 200
    process.kill9()
    assert "drive" in process.tail().lower()
    for number in (0, 1, 2):
        shutil.rmtree(server.drive(number), ignore_errors=True)
        os.rename(aside / str(number), server.drive(number))
    server.start()
    corpus.check(client)
    server.admin.assert_index_clean()


def flip(folder, seed, every=16 << 10):
    """Flips a byte in every `every` bytes of every file below `folder`; returns how many."""
    chance, count = random.Random(seed), 0
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            size = os.path.getsize(path)
            # The superblock and other small files say which drive this is; damage to data is meant.
            if size < 32 << 10:
                continue
            with open(path, "r+b") as file:
                for start in range(0, size, every):
                    file.seek(min(size - 1, start + chance.randrange(every)))
                    place, old = file.tell(), file.read(1)
                    file.seek(place)
                    file.write(bytes([old[0] ^ (1 << chance.randrange(8))]))
                    count += 1
    return count


def checksum_failures(server):
    metrics = server.admin.metrics()
    names = [name for name in metrics.names() if "checksum_failures" in name]
    return sum(metrics.total(name) or 0 for name in names)


@pytest.mark.timeout(600)
def test_damaged_bytes_are_never_served_and_what_reads_find_is_healed(filled):
    """Damage where no read looks (parity) is the scrub's to find; what a read met is mended."""
    server, client, corpus = filled
    for number in (0, 3):
        server.stop()
        assert flip(server.drive(number), seed=number) > 100
        server.start()
        corpus.check(client)
        assert checksum_failures(server) > 0
        for _ in range(5):
            server.admin.wait_healed(240)
            before = checksum_failures(server)
            corpus.check(client)
            if checksum_failures(server) == before:
                break
        else:
            pytest.fail("the fifth reading after healing still met damaged shards")
    server.restart()
    corpus.check(client)
    server.admin.assert_index_clean()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_in_the_middle_of_uploads_loses_nothing(embedded, seed):
    """Rounds of writers, kill -9 at a random moment, restart; then all logs are checked."""
    chance, client = random.Random(seed), embedded.client()
    bucket, logs = new_bucket(client), []
    for number in range(4):
        writers = Writers(embedded.client, bucket, seed=seed * 10 + number, round_name=f"r{number}")
        writers.start()
        enough = chance.randrange(20, 150)
        until(lambda: writers.done() >= enough, 90, "the writers got through", pause=0.01)
        embedded.kill9()
        logs.append(writers.stop())
        embedded.start()
        assert problems(client, bucket, logs) == [], f"seed {seed}, round {number}"
        embedded.admin.assert_index_clean()
    embedded.admin.wait_healed()


@pytest.mark.timeout(600)
def test_kill_9_soon_after_start_loses_nothing(embedded):
    """The merge at start is interrupted again and again."""
    client = embedded.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    writers = Writers(embedded.client, corpus.bucket, seed=77).start()
    until(lambda: writers.done() >= 60, 90, "the writers got through", pause=0.01)
    embedded.kill9()
    log = writers.stop()
    for _ in range(5):
        process = embedded.spawn()
        until(lambda: process.running() and embedded.admin.health("live") == 200, 60, "it lives",
              pause=0.005)
        process.kill9()
    embedded.start()
    found = problems(client, corpus.bucket, [log])
    assert [text for text in found if not text.startswith(corpus.prefix + "/")] == []
    corpus.check(client)
    embedded.admin.assert_index_clean()


def snapshot(client, bucket):
    """The whole listing, with sizes, ETags and times."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {e["Key"]: (e["Size"], e["ETag"], e["LastModified"])
            for page in pages for e in page.get("Contents", [])}


def test_deleted_index_is_rebuilt_from_the_drives(filled):
    server, client, corpus = filled
    bucket = corpus.bucket
    client.put_object(Bucket=bucket, Key="meta", Body=b"x", Metadata={"a": "b"},
                      ContentType="text/x", CacheControl="no-store")
    client.put_object(Bucket=bucket, Key="gone", Body=h.body(2_000_000))
    client.delete_object(Bucket=bucket, Key="gone")
    client.put_object(Bucket=bucket, Key="over", Body=h.body(2_000_000))
    client.put_object(Bucket=bucket, Key="over", Body=b"newest")
    empty = new_bucket(client)
    dropped = new_bucket(client)
    client.delete_bucket(Bucket=dropped)
    upload = client.create_multipart_upload(Bucket=bucket, Key="pending")["UploadId"]
    part = h.put_part(client, bucket, "pending", upload, 1, b"pending part")
    aborted = client.create_multipart_upload(Bucket=bucket, Key="aborted")["UploadId"]
    h.put_part(client, bucket, "aborted", aborted, 1, b"x")
    client.abort_multipart_upload(Bucket=bucket, Key="aborted", UploadId=aborted)
    before = snapshot(client, bucket)
    server.rebuild_index()
    assert snapshot(client, bucket) == before
    corpus.check_ranges(client)
    head = client.head_object(Bucket=bucket, Key="meta")
    assert head["Metadata"] == {"a": "b"} and head["ContentType"] == "text/x"
    assert head["CacheControl"] == "no-store"
    assert h.get(client, bucket, "over") == b"newest"
    assert h.status_of(client, bucket, "gone") == 404
    names = [b["Name"] for b in client.list_buckets()["Buckets"]]
    assert empty in names and dropped not in names
    uploads = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(u["Key"], u["UploadId"]) for u in uploads] == [("pending", upload)]
    client.complete_multipart_upload(Bucket=bucket, Key="pending", UploadId=upload,
                                     MultipartUpload={"Parts": [part]})
    assert h.get(client, bucket, "pending") == b"pending part"
    server.admin.assert_index_clean()


def test_index_rebuild_works_without_two_drives(filled):
    server, client, corpus = filled
    before = snapshot(client, corpus.bucket)
    server.stop()
    shutil.rmtree(server.data / "index")
    aside = server.dir / "aside"
    aside.mkdir()
    for number in (1, 3):
        os.rename(server.drive(number), aside / str(number))
    run([binary(), "index", "rebuild", "--data-dir", server.data], server.server_keys())
    for number in (1, 3):
        shutil.rmtree(server.drive(number), ignore_errors=True)
        os.rename(aside / str(number), server.drive(number))
    server.start()
    assert snapshot(client, corpus.bucket) == before
    corpus.check(client)


def test_index_rebuild_refuses_a_running_server(embedded):
    done = run([binary(), "index", "rebuild", "--data-dir", embedded.data],
               embedded.server_keys(), check=False)
    assert done.code == 1, done
    assert str(embedded.data) in done.err and "use" in done.err.lower(), done
    embedded.admin.assert_index_clean()


def test_index_check_command_says_clean(embedded):
    client = embedded.client()
    client.put_object(Bucket=new_bucket(client), Key="k", Body=h.body(1_500_000))
    done = run([binary(), "index", "check"], embedded.environ())
    assert "clean" in done.out.lower(), done
    done = run([binary(), "index", "check", "-o", "json"], embedded.environ())
    report = json.loads(done.out)
    assert report["clean"] is True and report["problems"] == []
    wrong = {**embedded.environ(), "HOLDFAST_SECRET_KEY": "not-the-secret-at-all"}
    assert run([binary(), "index", "check"], wrong, check=False).code == 5
    nobody = {**embedded.environ(), "HOLDFAST_ADMIN_URL": "http://127.0.0.1:1"}
    assert run([binary(), "index", "check"], nobody, check=False).code == 4


def test_geometry_and_drives_are_chosen_by_flags(own_server):
    server = own_server(Embedded, args=["--drives", "4", "--geometry", "2+1"])
    client = server.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    assert sorted(p.name for p in (server.data / "drives").iterdir()) == ["0", "1", "2", "3"]
    server.stop()
    shutil.rmtree(server.drive(2))
    server.start()
    corpus.check(client)
