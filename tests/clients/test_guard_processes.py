"""Goal: nobody without the right credential reads, writes or learns anything, on any port; secrets
stay where they belong.

Method: processes of their own; every listener is asked without, with wrong and with right
credentials; logs and data directories are searched for secrets.
"""
import re
import secrets
import socket
import stat
import subprocess
import threading

import pytest
import requests

from conftest import new_bucket
from harness import rawhttp, sigv4
from harness import s3 as h
from harness.admin import Admin
from harness.corpus import Corpus
from harness.process import Process
from harness.server import Cluster, Embedded, binary
from harness.wait import until

OPEN = {"/health/live", "/health/ready", "/metrics", "/"}


def containing(folder, text):
    """Files below `folder` that hold `text`."""
    done = subprocess.run(["grep", "-rlaF", text, folder], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("kind", [Embedded, Cluster], ids=["embedded", "cluster"])
def test_secrets_are_in_no_log_and_in_no_data_directory(own_server, kind):
    server = own_server(kind, env={"HOLDFAST_LOG": "debug", "RUST_LOG": "debug"})
    client = server.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    # Refused requests too: an error path likes to log what it was given.
    signer = sigv4.client(server)
    signer.follow("GET", signer.presign("GET", f"/{corpus.bucket}/none"))
    signer.call("GET", "/", alter=lambda head: head.update(authorization="AWS4-HMAC-SHA256 x"))
    signer.signer.access_key = server.secret_key  # pasted into the wrong field
    signer.call("GET", "/")
    server.stop()
    assert server.secret_key not in server.logs()
    found = [path for path in containing(server.dir, server.secret_key)
             if not path.endswith("/credentials")]
    assert found == []
    if kind is Cluster:
        assert server.secret not in server.logs()
        assert containing(server.dir, server.secret) == []


def test_generated_credentials_are_printed_once_and_kept_safe(space):
    argv = [binary(), "server", "--data-dir", space / "data", "--listen", "127.0.0.1:0",
            "--admin-listen", "127.0.0.1:0"]
    keys = []
    for turn in range(2):
        process = Process("server", argv, {}, space / f"log{turn}")
        ready = process.wait_line("ready ", 60)
        text = process.output()
        found = re.findall(r"AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)=['\"]?([^\s'\"]+)", text)
        if turn == 0:
            assert len(found) >= 2, f"the keys are printed in ready-to-paste form:\n{text}"
            keys = found[:2]
            url = ready.split("s3=")[1].split()[0]
        else:
            assert keys[1] not in text, "the secret is printed once, at the first start"
            url = ready.split("s3=")[1].split()[0]
        assert h.client(url, *keys).list_buckets()["Buckets"] == []
        assert process.terminate() == 0
    mode = stat.S_IMODE((space / "data/credentials").stat().st_mode)
    assert mode == 0o600, oct(mode)
    assert stat.S_IMODE((space / "data/master.key").stat().st_mode) == 0o600
    assert len(keys[1]) >= 20, "a generated secret is no word"


def test_two_stores_generate_different_credentials(space):
    seen = set()
    for name in ("one", "two"):
        argv = [binary(), "server", "--data-dir", space / name, "--listen", "127.0.0.1:0",
                "--admin-listen", "127.0.0.1:0"]
        process = Process(name, argv, {}, space / f"{name}.log")
        process.wait_line("ready ", 60)
        process.terminate()
        seen.add((space / name / "credentials").read_text())
    assert len(seen) == 2


def test_well_known_default_credentials_do_not_work(embedded):
    for access, secret in (("minioadmin", "minioadmin"), ("admin", "password"),
                           ("holdfast", "holdfast"), ("rustfsadmin", "rustfsadmin")):
        client = h.client(embedded.s3_url, access, secret)
        with h.error("InvalidAccessKeyId", 403):
            client.list_buckets()


# -- the admin listener

def routes(described):
    """Method and path of every route that the API describes, parameters filled in."""
    return [(method.upper(), re.sub(r"\{\w+\}", "x", path))
            for path, methods in described["paths"].items() for method in methods
            if method in ("get", "post", "put", "delete", "patch")]


def test_no_admin_route_answers_without_authorisation(embedded):
    described = embedded.admin.json("GET", "/admin/v1/openapi.json")
    assert described["openapi"].startswith("3.") and described["info"]["title"]
    known = routes(described)
    assert ("GET", "/admin/v1/heal") in known and ("POST", "/admin/v1/index/check") in known
    stranger = Admin(embedded.admin_url, "AKNOBODY00", "no-such-secret")
    liar = Admin(embedded.admin_url, embedded.access_key, "not-the-secret-at-all")
    for method, path in known:
        if path in OPEN:
            continue
        answers = {
            "unsigned": embedded.admin.request(method, path, sign=False),
            "unknown key": stranger.request(method, path),
            "wrong secret": liar.request(method, path),
            "wrong bearer": embedded.admin.request(method, path, sign=False, headers={
                "Authorization": "Bearer " + secrets.token_hex(16)}),
            "empty bearer": embedded.admin.request(method, path, sign=False, headers={
                "Authorization": "Bearer "}),
        }
        got = {how: answer.status_code for how, answer in answers.items()}
        # A join proves the cluster secret in its body, so a body that proves nothing may be bad; and
        # this gateway takes no nodes, which it says to everybody.
        refusals = {400, 401, 403, 404, 409} if path.endswith("/join") else {401, 403}
        assert set(got.values()) <= refusals, (method, path, got)


def test_unlisted_paths_of_the_admin_listener_give_nothing_away(embedded):
    for path in ("/admin", "/admin/v1", "/admin/v1/none", "/debug/pprof", "/debug/pprof/heap",
                 "/minio/admin/v3/info", "/config", "/env", "/.git/config",
                 "/credentials", "/master.key", "/profile", "/internal", "/rpc"):
        answer = embedded.admin.request("GET", path, sign=False)
        assert answer.status_code in (401, 403, 404), (path, answer.status_code)
        assert embedded.secret_key not in answer.text


def test_signature_for_s3_does_not_open_another_admin_request(embedded):
    """A captured signature is bound to its method, path and time."""
    captured = {}
    real = requests.request
    try:
        requests.request = lambda *a, **k: captured.update(k["headers"]) or real(*a, **k)
        embedded.admin.heal()
    finally:
        requests.request = real
    url = embedded.admin_url.rstrip("/")
    again = requests.post(url + "/admin/v1/index/check", headers=captured, timeout=30)
    assert again.status_code in (401, 403)


def test_admin_paths_are_not_on_the_s3_listener(embedded):
    url = embedded.s3_url.rstrip("/")
    for path in ("/admin/v1/heal", "/metrics", "/admin/v1/openapi.json"):
        assert requests.get(url + path, timeout=30).status_code in (400, 403, 404), path


def test_health_and_metrics_carry_no_names(embedded):
    client = embedded.client()
    bucket = new_bucket(client, "findme")
    client.put_object(Bucket=bucket, Key="find-this-key", Body=b"x", Metadata={"m": "find-meta"})
    for path in ("/metrics", "/health/live", "/health/ready", "/"):
        text = requests.get(embedded.admin_url.rstrip("/") + path, timeout=30).text
        for word in (bucket, "find-this-key", "find-meta", embedded.access_key):
            assert word not in text, (path, word)


# -- the nodes

def test_node_rpc_answers_nobody_without_the_secret(cluster):
    client = cluster.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    garbage = [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 4096, b"\xff" * 4096,
               b"HFHS" + b"\x01" * 200, b"\x16\x03\x01" + b"\x00" * 300,
               b"HFHS\x01" + (0xFFFFFFFF).to_bytes(4, "little") + b"x" * 100,
               secrets.token_bytes(100_000)]
    for port in (*cluster.node_ports, cluster.ports["node"]):
        for data in garbage:
            with rawhttp.connect(f"127.0.0.1:{port}") as sock:
                sock.settimeout(20)
                said = b""
                try:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    while more := sock.recv(4096):
                        said += more
                except OSError:
                    pass  # closed on us, the best answer
                # At most a greeting of the handshake; never an answer to what was asked.
                assert len(said) < 512, (port, data[:10], said[:100])
                assert cluster.secret.encode() not in said
    for process in (cluster.gateway, *cluster.nodes):
        assert process.running()
    assert "panicked" not in cluster.logs()
    corpus.check()


def test_recorded_node_connection_cannot_be_replayed(cluster):
    """A proxy records what a node says when it joins; said again later, it opens nothing."""
    client = cluster.client()
    corpus = Corpus(client, new_bucket(client), copies=1)
    recorded = _record_join(cluster)
    assert recorded, "the node spoke to the gateway through the proxy"
    for port in (cluster.ports["node"], *cluster.node_ports):
        with rawhttp.connect(f"127.0.0.1:{port}") as sock:
            sock.settimeout(10)
            said = b""
            try:
                sock.sendall(recorded)
                sock.shutdown(socket.SHUT_WR)
                while more := sock.recv(4096):
                    said += more
            except OSError:
                pass
            assert len(said) < 512, (port, said[:100])
    corpus.check()


def _record_join(cluster):
    """What the gateway sends to node 0 while it connects anew, seen by a proxy in between."""
    cluster.kill_node(0)
    front = socket.socket()
    front.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    front.bind(("127.0.0.1", cluster.node_ports[0]))
    front.listen()
    front.settimeout(60)
    recorded = []

    def accept():
        try:
            sock, _ = front.accept()
        except TimeoutError:
            return
        with sock:
            sock.settimeout(5)
            try:
                recorded.append(sock.recv(65536))
            except (TimeoutError, ConnectionResetError):
                pass

    thread = threading.Thread(target=accept)
    thread.start()
    # Reading makes the gateway look for the node at the address it knows.
    client = cluster.client()
    client.list_buckets()
    thread.join(65)
    front.close()
    cluster.start_node(0)
    address = f"127.0.0.1:{cluster.node_ports[0]}"
    until(lambda: rawhttp.connect(address).close() is None, 30, "the node listens again",
          ignore=(ConnectionRefusedError,))
    return b"".join(recorded)
