"""Goal: accounts have their own keys, buckets and nothing else; they outlast a kill and the index; a
wrong master key costs keys and no object.

Method: holdfast's own commands make accounts and keys; boto3 with default settings asks for each; a
kill, a lost index and another master key in servers of their own.
"""
import secrets
import shutil
import stat

import pytest
import requests

from conftest import new_bucket
from harness import s3 as h
from harness.accounts import Account, asked, command, name
from harness.commands import run
from harness.server import Cluster, Embedded, binary


@pytest.fixture
def two(server):
    return Account(server, name()), Account(server, name())


def buckets_of(client):
    answer = client.list_buckets()
    return [b["Name"] for b in answer["Buckets"]], answer["Owner"]


# -- commands

def test_an_account_from_its_making_to_its_end(server):
    called = name()
    made = asked(server, "account", "create", called, "--email", f"{called}@example.com")
    assert len(made["id"]) == 64 and len(made["number"]) == 12 and made["keys"] == []
    assert (made["is_admin"], made["is_root"]) == (False, False)
    for which in (called, made["number"], made["id"]):
        assert asked(server, "account", "show", which) == made
    listed = asked(server, "account", "list")["accounts"]
    assert made in listed and listed[0]["is_root"] and listed[0]["name"] == "root"
    assert listed[0]["keys"][0]["access_key"] == server.access_key
    for taken in ((called,), (name(), "--email", f"{called.upper()}@EXAMPLE.com")):
        refused = command(server, "account", "create", *taken, check=False)
        assert refused.code == 1 and "another account" in refused.err, refused
    assert asked(server, "account", "delete", called) == {"deleted": made["id"]}
    gone = command(server, "account", "show", called, check=False)
    assert gone.code == 1 and f"there is no account {called}" in gone.err, gone


def test_keys_are_made_shown_once_stopped_and_deleted(server, tmp_path):
    account = Account(server, name())
    key = account.key
    assert len(key["secret_key"]) == 40 and key["account_name"] == account.name
    secret_file = tmp_path / "secret"
    secret_file.write_text("my own secret".replace(" ", "-") + "\n")
    own = f"own.{secrets.token_hex(5)}"
    given = account.new_key(own, "--secret-file", secret_file)
    assert (given["access_key"], given["secret_key"]) == (own, "my-own-secret")
    keys = asked(server, "key", "list", account.name)["keys"]
    assert {k["access_key"] for k in keys} == {key["access_key"], own}
    everything = command(server, "-o", "json", "account", "list").out
    everything += command(server, "-o", "json", "key", "list").out
    assert key["secret_key"] not in everything and "my-own-secret" not in everything
    table = command(server, "key", "list", account.name).out
    assert own in table and "active" in table
    clients = [account.client(), account.client(given)]
    for client in clients:
        assert buckets_of(client)[0] == []
    # At once, and back again.
    assert asked(server, "key", "disable", own)["is_active"] is False
    with h.error("InvalidAccessKeyId", 403):
        clients[1].list_buckets()
    assert buckets_of(clients[0])[0] == []
    asked(server, "key", "enable", own)
    assert buckets_of(clients[1])[0] == []
    asked(server, "key", "delete", own)
    with h.error("InvalidAccessKeyId", 403):
        clients[1].list_buckets()
    for words in (("key", "create", account.name, key["access_key"]),
                  ("key", "create", account.name, server.access_key),
                  ("key", "disable", server.access_key), ("key", "delete", own),
                  ("key", "create", name()), ("key", "create", account.name, "a")):
        assert command(server, *words, check=False).code == 1, words
    asked(server, "account", "delete", account.name)
    with h.error("InvalidAccessKeyId", 403):
        clients[0].list_buckets()


def test_only_administrators_use_the_admin_api(server):
    plain, admin = Account(server, name()), Account(server, name(), "--admin")

    def env(account):
        return {"HOLDFAST_ACCESS_KEY": account.key["access_key"],
                "HOLDFAST_SECRET_KEY": account.key["secret_key"]}

    denied = command(server, "account", "list", check=False, env=env(plain))
    assert denied.code == 5, denied
    assert admin.name in command(server, "account", "list", env=env(admin)).out
    bucket = new_bucket(plain.client())
    admin.client().put_object(Bucket=bucket, Key="k", Body=b"by an administrator")
    assert h.get(plain.client(), bucket, "k") == b"by an administrator"
    refused = command(server, "account", "delete", plain.name, check=False)
    assert refused.code == 1 and bucket in refused.err, refused
    admin.client().delete_object(Bucket=bucket, Key="k")
    plain.client().delete_bucket(Bucket=bucket)
    asked(server, "account", "delete", plain.name)


# -- isolation

def test_each_account_sees_its_own_buckets_and_is_their_owner(server, s3, two):
    for account in two:
        client = account.client()
        bucket = new_bucket(client)
        client.put_object(Bucket=bucket, Key="k", Body=b"data")
        owner = {"DisplayName": account.name, "ID": account.id}
        assert buckets_of(client) == ([bucket], owner)
        grant = {"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
        for acl in (client.get_bucket_acl(Bucket=bucket),
                    client.get_object_acl(Bucket=bucket, Key="k")):
            assert (acl["Owner"], acl["Grants"]) == (owner, [grant])
        assert client.list_objects(Bucket=bucket)["Contents"][0]["Owner"] == owner
        assert bucket not in buckets_of(s3)[0]
        client.head_bucket(Bucket=bucket, ExpectedBucketOwner=account.number)
        with h.error(None, 403):
            client.head_bucket(Bucket=bucket, ExpectedBucketOwner="123456789012")


@pytest.mark.parametrize("call", [
    lambda c, b: c.head_bucket(Bucket=b), lambda c, b: c.list_objects_v2(Bucket=b),
    lambda c, b: c.list_object_versions(Bucket=b), lambda c, b: c.get_bucket_acl(Bucket=b),
    lambda c, b: c.get_bucket_location(Bucket=b), lambda c, b: c.delete_bucket(Bucket=b),
    lambda c, b: c.get_object(Bucket=b, Key="k"), lambda c, b: c.head_object(Bucket=b, Key="k"),
    lambda c, b: c.get_object(Bucket=b, Key="none"),
    lambda c, b: c.put_object(Bucket=b, Key="k", Body=b"x"),
    lambda c, b: c.delete_object(Bucket=b, Key="k"),
    lambda c, b: c.delete_objects(Bucket=b, Delete={"Objects": [{"Key": "k"}]}),
    lambda c, b: c.create_multipart_upload(Bucket=b, Key="k"),
    lambda c, b: c.put_bucket_versioning(
        Bucket=b, VersioningConfiguration={"Status": "Enabled"}),
], ids=["head-bucket", "list", "versions", "acl", "location", "delete-bucket", "get", "head",
        "get-none", "put", "delete", "delete-many", "upload", "versioning"])
def test_nothing_of_another_account_is_seen_or_changed(two, call):
    mine, other = two[0].client(), two[1].client()
    bucket = new_bucket(mine)
    mine.put_object(Bucket=bucket, Key="k", Body=b"data")
    with h.error(None, 403):
        call(other, bucket)
    with h.error(None, 404):
        call(other, "no-such-bucket-at-all")
    assert h.get(mine, bucket, "k") == b"data"


def test_nothing_is_copied_between_accounts(s3, two):
    mine, other = two[0].client(), two[1].client()
    source, target = new_bucket(mine), new_bucket(other)
    mine.put_object(Bucket=source, Key="k", Body=b"data")
    upload = other.create_multipart_upload(Bucket=target, Key="u")["UploadId"]
    where = {"Bucket": source, "Key": "k"}
    with h.error("AccessDenied", 403):
        other.copy_object(Bucket=target, Key="k", CopySource=where)
    with h.error("AccessDenied", 403):
        other.upload_part_copy(Bucket=target, Key="u", UploadId=upload, PartNumber=1,
                               CopySource=where)
    with h.error("AccessDenied", 403):
        mine.copy_object(Bucket=target, Key="k", CopySource=where)
    assert h.all_keys(other, target) == []
    with h.error("BucketAlreadyExists", 409):
        other.create_bucket(Bucket=source)
    s3.copy_object(Bucket=target, Key="k", CopySource=where)
    assert h.get(other, target, "k") == b"data"


def test_a_link_dies_with_its_key(server, two):
    mine, other = (account.client(signature_version="s3v4") for account in two)
    bucket = new_bucket(mine)
    mine.put_object(Bucket=bucket, Key="k", Body=b"data")
    where = {"Bucket": bucket, "Key": "k"}
    link = mine.generate_presigned_url("get_object", Params=where)
    foreign = other.generate_presigned_url("get_object", Params=where)
    assert requests.get(link, timeout=30).content == b"data"
    assert requests.get(foreign, timeout=30).status_code == 403
    asked(server, "key", "disable", two[0].key["access_key"])
    refused = requests.get(link, timeout=30)
    assert refused.status_code == 403 and "InvalidAccessKeyId" in refused.text


# -- what lasts

def test_accounts_outlast_a_restart_a_kill_and_the_index(own_server):
    server = own_server(Embedded)
    account, gone = Account(server, "alice"), Account(server, "gone")
    off = account.new_key()
    bucket = new_bucket(account.client())
    account.client().put_object(Bucket=bucket, Key="k", Body=b"data")
    asked(server, "key", "disable", off["access_key"])
    asked(server, "account", "delete", "gone")
    root = server.client().list_buckets()["Owner"]

    def check():
        client = account.client()
        assert h.get(client, bucket, "k") == b"data"
        assert buckets_of(client) == ([bucket], {"DisplayName": "alice", "ID": account.id})
        assert server.client().list_buckets()["Owner"] == root
        for key in (off, gone.key):
            with h.error("InvalidAccessKeyId", 403):
                account.client(key).list_buckets()
        metrics = server.admin.metrics()
        assert metrics.total("holdfast_auth_accounts") == 2
        assert metrics.total("holdfast_auth_keys") == 3
        assert metrics.total("holdfast_auth_unusable_keys") == 0

    master = server.data / "master.key"
    assert stat.S_IMODE(master.stat().st_mode) == 0o600 and master.stat().st_size == 32
    server.assert_lasts(check)
    assert server.logs().count("back it up") == 1
    assert account.key["secret_key"] not in server.logs()


def test_another_master_key_costs_keys_and_no_object(own_server):
    server = own_server(Embedded)
    account = Account(server, "alice")
    bucket = new_bucket(account.client())
    account.client().put_object(Bucket=bucket, Key="k", Body=b"data")
    server.stop()
    master = server.data / "master.key"
    right = master.read_bytes()
    shutil.rmtree(server.data / "index")
    master.unlink()
    rebuilt = run([binary(), "index", "rebuild", "--data-dir", server.data], server.server_keys())
    assert "does not open" in rebuilt.err and "alice" in rebuilt.err, rebuilt
    assert not master.exists()

    def check_lost():
        with h.error("InvalidAccessKeyId", 403):
            account.client().list_buckets()
        assert server.admin.metrics().total("holdfast_auth_unusable_keys") == 1
        assert h.get(server.client(), bucket, "k") == b"data"
        key = asked(server, "key", "list", "alice")["keys"][0]
        assert (key["is_usable"], key["is_active"]) == (False, True)
        assert "unusable" in command(server, "account", "show", "alice").out

    said = server.logs().count("does not open")
    server.start()
    assert server.logs().count("does not open") == said + 1
    check_lost()
    assert master.stat().st_size == 32 and master.read_bytes() != right
    # A key that is made now is good; the account has not lost what it owns.
    new = account.new_key()
    assert h.get(account.client(new), bucket, "k") == b"data"
    server.stop()
    server.env["HOLDFAST_MASTER_KEY"] = right.hex()
    server.start()
    assert h.get(account.client(), bucket, "k") == b"data"
    with h.error("InvalidAccessKeyId", 403):
        account.client(new).list_buckets()


def test_the_master_key_is_configured_as_a_value_or_a_file(own_server, tmp_path):
    server = own_server(Embedded, env={"HOLDFAST_MASTER_KEY": "ab" * 32})
    account = Account(server, "alice")
    assert not (server.data / "master.key").exists()
    assert "back it up" not in server.logs()
    file = tmp_path / "key"
    file.write_text("AB" * 32 + "\n")
    server.stop()
    server.env = {k: v for k, v in server.env.items() if k != "HOLDFAST_MASTER_KEY"}
    server.env["HOLDFAST_MASTER_KEY_FILE"] = str(file)
    server.start()
    assert buckets_of(account.client())[0] == []
    server.stop()
    file.write_text("ab" * 31)
    process = server.spawn()
    assert process.wait_exit(30) == 2
    assert "64 hexadecimal digits" in process.output()


def test_accounts_of_a_gateway_with_shard_nodes(own_server):
    server = own_server(Cluster)
    account = Account(server, "alice")
    bucket = new_bucket(account.client())
    account.client().put_object(Bucket=bucket, Key="k", Body=b"data")
    server.kill_gateway()
    server.start_gateway()
    assert h.get(account.client(), bucket, "k") == b"data"
    with h.error("AccessDenied", 403):
        Account(server, "bob").client().list_objects_v2(Bucket=bucket)
