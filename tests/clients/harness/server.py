"""Holdfast as its users start it: the embedded cluster, or a gateway with shard nodes.

Both forms keep their ports and directories across restarts, so that a client made once stays
good, and both have `s3_url`, `admin`, keys and `client()`.
"""
import os
import secrets
import shutil
from pathlib import Path

from . import s3
from .admin import Admin
from .commands import run
from .ports import free_port
from .process import Process
from .wait import until

ROOT = Path(__file__).resolve().parents[3]
READY_SECONDS = 60
DOMAIN = "s3.holdfast.test"
# Space written ahead would only cost the tests time and disk; what is tested does not depend on it.
SMALL = {"HOLDFAST_PREWRITE_BYTES": str(64 << 20)}


def binary():
    """The binary under test: HOLDFAST_BIN, or the dev build of this repository."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = Path(os.environ.get("HOLDFAST_BIN", target / "debug" / "holdfast"))
    assert path.exists(), f"{path} does not exist: build it with `cargo build`, or set HOLDFAST_BIN"
    return path


def _parse_ready(line):
    """`ready s3=URL admin=URL` as a dict."""
    return dict(word.split("=", 1) for word in line.split()[1:])


class _Keys:
    """What both forms have once they are reachable."""

    def __init__(self, directory):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.access_key = "AK" + secrets.token_hex(8).upper()
        self.secret_key = secrets.token_hex(20)
        self.region = "us-east-1"
        self.s3_url = self.admin_url = None

    def _take(self, ready):
        self.s3_url, self.admin_url = ready["s3"], ready["admin"]
        self.admin = Admin(self.admin_url, self.access_key, self.secret_key)

    def client(self, **options):
        """A boto3 client with the SDK's default settings; `options` go to botocore's Config."""
        return s3.client(self.s3_url, self.access_key, self.secret_key, self.region, **options)

    def environ(self):
        """For programs that are clients: the aws cli, rclone, and holdfast's own commands."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region, "AWS_ENDPOINT_URL": self.s3_url,
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": "",
            "HOLDFAST_ADMIN_URL": self.admin_url or "", "HOLDFAST_S3_URL": self.s3_url or "",
            **self.server_keys(),
        }

    def server_keys(self):
        return {"HOLDFAST_ACCESS_KEY": self.access_key, "HOLDFAST_SECRET_KEY": self.secret_key}


class Embedded(_Keys):
    """`holdfast server`: a gateway and its drives in one process."""

    form = "embedded"

    def __init__(self, directory, args=(), env=None, start=True):
        super().__init__(directory)
        self.data, self.log = self.dir / "data", self.dir / "server.log"
        self.args, self.env = list(args), {**SMALL, **(env or {})}
        self.listen = self.admin_listen = "127.0.0.1:0"
        self.process = None
        if start:
            self.start()

    def spawn(self):
        """Starts the process without waiting for it."""
        argv = [binary(), "server", "--data-dir", self.data, "--listen", self.listen,
                "--admin-listen", self.admin_listen, *self.args]
        self.process = Process("server", argv, {**self.server_keys(), **self.env}, self.log)
        return self.process

    def start(self, seconds=READY_SECONDS):
        ready = _parse_ready(self.spawn().wait_line("ready ", seconds))
        self._take(ready)
        # A restart keeps the addresses that the first start was given.
        self.listen = self.s3_url.split("//")[1]
        self.admin_listen = self.admin_url.split("//")[1]
        return self

    def drive(self, number):
        return self.data / "drives" / str(number)

    def stop(self):
        return self.process.terminate()

    def kill9(self):
        self.process.kill9()

    def restart(self):
        self.stop()
        return self.start()

    def rebuild_index(self):
        """Ends, makes the index anew from the drives, as its operator would, and starts again."""
        self.stop()
        shutil.rmtree(self.data / "index")
        run([binary(), "index", "rebuild", "--data-dir", self.data], self.server_keys())
        self.start()

    def assert_lasts(self, check):
        """`check` holds now, after a kill, and with an index made from the drives, which is clean."""
        check()
        self.kill9()
        self.start()
        check()
        self.rebuild_index()
        check()
        self.admin.assert_index_clean()

    def logs(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self):
        if self.process and self.process.running():
            self.process.kill9()


class Cluster(_Keys):
    """One `holdfast gateway` and `nodes` shard nodes of `dirs` drives each."""

    form = "cluster"

    def __init__(self, directory, nodes=6, geometry="4+2", args=(), env=None, dirs=1):
        super().__init__(directory)
        self.secret = secrets.token_hex(24)
        self.geometry, self.count, self.dirs = geometry, nodes, dirs
        self.args, self.env = list(args), {**SMALL, **(env or {})}
        self.ports = {name: free_port() for name in ("s3", "admin", "node")}
        self.node_ports = [free_port() for _ in range(nodes)]
        self.monitor_ports = [free_port() for _ in range(nodes)]
        self.data, self.log = self.dir / "gateway", self.dir / "gateway.log"
        self.gateway, self.nodes = None, [None] * nodes
        self._admin = f"http://127.0.0.1:{self.ports['admin']}"
        self.spawn_gateway()
        for number in range(nodes):
            self.spawn_node(number)
        self.wait_ready()

    def _environ(self):
        return {**self.env, "HOLDFAST_CLUSTER_SECRET": self.secret}

    def spawn_gateway(self):
        argv = [binary(), "gateway", "--data-dir", self.data]
        for flag, name in (("--listen", "s3"), ("--admin-listen", "admin"),
                           ("--node-listen", "node")):
            argv += [flag, f"127.0.0.1:{self.ports[name]}"]
        argv += ["--geometry", self.geometry, "--drives", self.count * self.dirs,
                 *self.args]
        env = {**self.server_keys(), **self._environ()}
        self.gateway = Process("gateway", argv, env, self.log)
        return self.gateway

    def node_dir(self, number, drive=0):
        """The data directory of a node's drive."""
        return self.dir / (f"node-{number}" if self.dirs == 1 else f"node-{number}-{drive}")

    def monitor(self, number):
        """Metrics and health of a node."""
        return Admin(f"http://127.0.0.1:{self.monitor_ports[number]}", "", "")

    def node_log(self, number):
        return self.dir / f"node-{number}.log"

    def spawn_node(self, number):
        argv = [binary(), "shard-node", "--listen", f"127.0.0.1:{self.node_ports[number]}",
                "--metrics-listen", f"127.0.0.1:{self.monitor_ports[number]}",
                "--join", self._admin]
        for drive in range(self.dirs):
            argv += ["--data-dir", self.node_dir(number, drive)]
        process = Process(f"node {number}", argv, self._environ(), self.node_log(number))
        self.nodes[number] = process
        return process

    def wait_ready(self, seconds=READY_SECONDS):
        self._take(_parse_ready(self.gateway.wait_line("ready ", seconds)))

    def kill_node(self, number):
        self.nodes[number].kill9()

    def start_node(self, number):
        """Starts a node again, without waiting: whether it is used is for the test to ask."""
        return self.spawn_node(number)

    def kill_gateway(self):
        self.gateway.kill9()

    def start_gateway(self):
        self.spawn_gateway()
        self.wait_ready()

    def kill9(self):
        """The gateway and every node, as near to at once as signals go."""
        for process in (self.gateway, *self.nodes):
            process.signal(9)
        for process in (self.gateway, *self.nodes):
            process.wait_exit(10)

    def start(self):
        self.spawn_gateway()
        for number in range(self.count):
            self.spawn_node(number)
        self.wait_ready()
        return self

    def stop(self):
        """Ends the gateway first, so that it can drain; returns its exit code."""
        code = self.gateway.terminate()
        for process in self.nodes:
            process.terminate()
        return code

    def restart(self):
        self.stop()
        return self.start()

    def logs(self):
        files = sorted(self.dir.glob("*.log"))
        return "\n".join(f"== {f.name}\n{f.read_text(errors='replace')}" for f in files)

    def close(self):
        for process in (self.gateway, *self.nodes):
            if process and process.running():
                process.kill9()


class External(_Keys):
    """Another S3 endpoint, to run the S3 suites against (HOLDFAST_TEST_S3_URL and the AWS keys)."""

    form = "external"

    def __init__(self, directory):
        super().__init__(directory)
        self.s3_url = os.environ["HOLDFAST_TEST_S3_URL"]
        self.access_key = os.environ["HOLDFAST_ACCESS_KEY"]
        self.secret_key = os.environ["HOLDFAST_SECRET_KEY"]

    def logs(self):
        return ""

    def close(self):
        pass


def empty_directory(path):
    """Removes everything inside `path`, as an operator who lost a drive would find it."""
    for entry in Path(path).iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def wait_serving(server, seconds=READY_SECONDS):
    """Until /health/ready answers 200."""
    until(lambda: server.admin.health("ready") == 200, seconds, "/health/ready is 200")
