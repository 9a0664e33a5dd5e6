"""Goal: what rots unread is found and healed, and the commands that tell so tell the truth: scrub,
heal, check, inspect, durability.

Method: a cluster of its own per test; bytes of stopped drives are flipped from outside, then only
the commands are used, as an operator would.
"""
import json
import os
import random

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness.commands import run
from harness.corpus import Corpus
from harness.s3 import MIB
from harness.server import binary
from harness.wait import until


def ask(server, *words, codes=(0,)):
    """The JSON answer of a command; its exit code must be one of `codes`."""
    done = run([binary(), *words, "-o", "json"], server.environ(), check=False)
    assert done.code in codes, done
    return json.loads(done.out)


def flip_arenas(folder, seed, every):
    """Flips a byte in every `every` bytes of the large files of a drive."""
    chance, count = random.Random(seed), 0
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            size = os.path.getsize(path)
            if size < 32 << 10:
                continue
            with open(path, "r+b") as file:
                for start in range(0, size, every):
                    file.seek(min(size - 1, start + chance.randrange(every)))
                    place, old = file.tell(), file.read(1)
                    file.seek(place)
                    file.write(bytes([old[0] ^ 1]))
                    count += 1
    return count


def scrubbed(server):
    """Starts the scrub, and waits until every drive completed a pass that began after that."""
    begun = ask(server, "scrub", "start")
    known = {d["drive"]: d["last_complete_ms"] or 0 for d in begun["drives"]}

    def complete():
        status = ask(server, "scrub", "status")
        return len(status["drives"]) == 6 and all(
            d["state"] == "waiting" and (d["last_complete_ms"] or 0) > known.get(d["drive"], 0)
            for d in status["drives"])

    until(complete, 120, "a scrub pass of all drives", pause=0.3)
    return ask(server, "scrub", "status")


@pytest.mark.timeout(600)
def test_what_rots_unread_is_found_by_the_scrub_and_healed(embedded):
    client = embedded.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    embedded.admin.wait_healed()
    embedded.stop()
    for number in (2, 5):
        assert flip_arenas(embedded.drive(number), seed=number, every=256 << 10) > 10
    embedded.start()
    before = ask(embedded, "scrub", "status")["errors_found"]
    for _ in range(4):
        status = scrubbed(embedded)
        embedded.admin.wait_healed(240)
        if status["errors_found"] == before:
            break
        before = status["errors_found"]
    else:
        pytest.fail("the fourth pass still found damage")
    metrics = embedded.admin.metrics()
    assert metrics.total("holdfast_scrub_errors_total") == status["errors_found"] > 0
    assert metrics.total("holdfast_scrub_bytes_total") > corpus.bytes()
    report = ask(embedded, "check", "--deep")
    assert report["clean"] and report["complete"] and report["objects"] == []
    assert report["counts"]["verified"] > 0
    corpus.check(client)


def test_check_inspect_and_durability_follow_what_is_lost(embedded):
    client, bucket = embedded.client(), None
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="dir/large one", Body=h.body(3 * MIB))
    client.put_object(Bucket=bucket, Key="small", Body=b"x")
    embedded.admin.wait_healed()
    whole = ask(embedded, "inspect", f"s3://{bucket}/dir/large one")
    assert (whole["survives"], whole["survives_whole"]) == (2, 2)
    body = whole["bodies"][0]
    assert (body["kind"], body["stripe_count"], len(body["shards"])) == ("coded", 3, 6)
    assert {shard["state"] for shard in body["shards"]} == {"good"}
    until(lambda: ask(embedded, "durability")["by_margin"][-1] == {"margin": 2, "objects": 2},
          60, "both objects are counted as whole")
    assert embedded.admin.metrics().total("holdfast_durability_objects", margin="2") == 2
    assert ask(embedded, "check")["clean"]
    ask(embedded, "heal", "pause")
    assert ask(embedded, "heal", "status")["paused"] is True
    assert ask(embedded, "heal", "run", "--dry-run")["items"] == []
    ask(embedded, "heal", "resume")
    ask(embedded, "scrub", "pause")
    assert {d["state"] for d in ask(embedded, "scrub", "status")["drives"]} <= {"paused"}
    ask(embedded, "scrub", "resume")
    done = run([binary(), "inspect", f"s3://{bucket}/none"], embedded.environ(), check=False)
    assert done.code == 1 and "none" in done.err, done
    done = run([binary(), "inspect", bucket], embedded.environ(), check=False)
    assert done.code == 2, done


def exit_of(server, *words):
    """The exit code of a command, and its JSON answer if it gave one."""
    done = run([binary(), *words, "-o", "json"], server.environ(), check=False)
    return done.code, json.loads(done.out) if done.out.strip() else None, done


def rot(server, numbers, seed):
    """Flips bytes of stopped drives."""
    server.stop()
    for number in numbers:
        assert flip_arenas(server.drive(number), seed=seed + number, every=256 << 10) > 3
    server.start()


@pytest.mark.timeout(600)
def test_the_exit_code_of_check_says_what_it_found(embedded):
    client = embedded.client()
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="large", Body=h.body(8 * MIB))
    embedded.admin.wait_healed()
    code, report, done = exit_of(embedded, "check", "--deep")
    assert code == 0 and report["clean"] and report["complete"], done
    # One drive of six is bad: all can be read, not all is whole.
    rot(embedded, [2], seed=1)
    code, report, done = exit_of(embedded, "check", "--deep")
    assert code == 3 and "not whole" in done.err, done
    assert {found["state"] for found in report["objects"]} <= {"degraded", "queued"}, done
    exit_of(embedded, "check", "--deep", "--heal")
    embedded.admin.wait_healed(240)
    until(lambda: exit_of(embedded, "check", "--deep")[0] == 0, 240, "all is whole again")
    # Three are bad: one more than the object survives.
    rot(embedded, [0, 1, 3], seed=2)
    code, report, done = exit_of(embedded, "check", "--deep")
    assert code == 1 and "cannot be read" in done.err, done
    assert [found["key"] for found in report["objects"] if found["state"] == "lost"] == ["large"]
    assert exit_of(embedded, "check", "--shallow")[0] == 2
    environ = {**embedded.environ(), "HOLDFAST_SECRET_KEY": "another secret"}
    assert run([binary(), "check"], environ, check=False).code == 5
    embedded.stop()
    assert exit_of(embedded, "check")[0] == 4
