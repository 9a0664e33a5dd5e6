"""compose.yml as data, and its services as processes on this machine.

What a container would give a process is mapped: a volume is a directory, a secret a file, a port
of a service a free port of loopback. Commands, environment, order and health checks are those of
the file. A service is reached only by those that share a network with it.
"""
import os
import re
import shutil

import requests
import yaml

from binary import COMPOSE, INSTALLED, make_secrets
from harness import s3
from harness.commands import run
from harness.ports import free_port
from harness.process import Process
from harness.server import SMALL, binary
from harness.wait import until

FILE = COMPOSE / "compose.yml"
IMAGE = "holdfast:local"
READY_SECONDS = 60
_ADDRESS = re.compile(r"(?<![\w.-])([A-Za-z0-9][\w.-]*):(\d{2,5})\b")
_DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")


def load():
    """The file, with variables at their defaults."""
    return yaml.safe_load(_DEFAULT.sub(lambda found: found[2], FILE.read_text()))


def variables():
    """Variables of the file, and their defaults."""
    return dict(_DEFAULT.findall(FILE.read_text()))


def is_holdfast(service):
    return service["image"] == IMAGE


class Service:
    """One service; started again it finds what it left in its volumes."""

    def __init__(self, name, spec, composed):
        self.name, self.spec, self.composed = name, spec, composed
        self.dir, self.process = composed.dir / name, None
        self.dir.mkdir(parents=True)
        self.mounts = {INSTALLED: binary(), "/run/secrets": self._secrets()}
        for volume in spec.get("volumes", []):
            source, target, *_ = volume.split(":")
            place = self.dir / target.strip("/").replace("/", "-")
            if source.startswith("."):
                shutil.copytree(COMPOSE / source, place)
            else:
                place.mkdir()
            self.mounts[target] = place

    def _secrets(self):
        """A directory with those secrets that the service is given."""
        place = self.dir / "secrets"
        place.mkdir()
        for name in self.spec.get("secrets", []):
            shutil.copy(self.composed.secrets[name], place / name)
        return place

    def port(self, port):
        """What stands for a port of this service."""
        ports, key = self.composed.ports, (self.name, int(port))
        if key not in ports:
            ports[key] = free_port()
        return ports[key]

    def address(self, host, port):
        """What stands for an address, as this service sees it."""
        if host in ("0.0.0.0", "127.0.0.1"):
            return f"127.0.0.1:{self.port(port)}"
        other = self.composed.services.get(host)
        assert other, f"{self.name}: there is no service {host}"
        shared = set(self.spec["networks"]) & set(other.spec["networks"])
        assert other is self or shared, f"{self.name} cannot reach {host}: no common network"
        return f"127.0.0.1:{other.port(port)}"

    def here(self, text):
        """A text of the file with paths and addresses of this machine."""
        for target, place in self.mounts.items():
            text = re.sub(rf"(^|=){re.escape(target)}(?=/|$)", rf"\g<1>{place}", str(text))
        return _ADDRESS.sub(lambda found: self.address(found[1], found[2]), text)

    def environment(self):
        own = {name: self.here(value) for name, value in self.spec["environment"].items()}
        return {**SMALL, **own}

    def start(self):
        program = binary() if is_holdfast(self.spec) else self.name
        argv = [program, *map(self.here, self.spec["command"])]
        env = self.environment() if is_holdfast(self.spec) else {}
        self.process = Process(self.name, argv, env, self.dir / "log")

    def run(self, argv, only=None):
        """Another command of the image, with variables of the service; it must succeed."""
        env = {name: value for name, value in self.environment().items()
               if only is None or name in only}
        return run([binary(), *map(self.here, argv)], env)

    def healthy(self):
        """Whether the health check of the file succeeds; where it is wget, by the URL."""
        assert self.process.running(), f"{self.name} ended:\n{self.process.tail()}"
        kind, *argv = self.spec["healthcheck"]["test"]
        assert kind == "CMD"
        argv = [self.here(word) for word in argv]
        if argv[0] == "wget":
            try:
                return requests.get(argv[-1], timeout=5).ok
            except requests.ConnectionError:
                return False
        assert argv[0] == str(binary())
        return run(argv, self.environment(), check=False, timeout=30).code == 0

    def wait_healthy(self):
        until(self.healthy, READY_SECONDS, f"{self.name} is healthy")

    def stop(self):
        """As Compose does: SIGTERM, and so much time."""
        grace = int(self.spec.get("stop_grace_period", "10s").rstrip("s"))
        return self.process.terminate(grace)


class Composed:
    """The services, but for Grafana, which cannot be had here."""

    LEFT_OUT = ("grafana",)

    def __init__(self, directory):
        self.dir, self.ports = directory, {}
        self.secrets = make_secrets(directory / "all-secrets")
        specs = load()["services"]
        self.services = {}
        for name, spec in specs.items():
            if name not in self.LEFT_OUT:
                self.services[name] = Service(name, spec, self)
        self._watch()

    def _watch(self):
        """Prometheus asks what the file says, where that is here, and more often."""
        prometheus = self.services["prometheus"]
        place = prometheus.mounts["/etc/prometheus"]
        for file in (place / "targets").iterdir():
            file.write_text(prometheus.here(file.read_text()))
        file = place / "prometheus.yml"
        file.write_text(file.read_text().replace("_interval: 15s", "_interval: 1s"))

    def order(self):
        """Services, each after those that it depends on."""
        done = []

        def visit(name):
            for other in self.services[name].spec.get("depends_on", {}):
                visit(other)
            if name not in done:
                done.append(name)

        for name in self.services:
            visit(name)
        return [self.services[name] for name in done]

    def start(self):
        for service in self.order():
            for name, how in service.spec.get("depends_on", {}).items():
                if how["condition"] == "service_healthy":
                    self.services[name].wait_healthy()
                else:
                    assert how["condition"] == "service_started"
                    assert self.services[name].process.running()
            service.start()
        for service in self.services.values():
            service.wait_healthy()

    def stop(self):
        """Dependents first; exit codes by name."""
        return {service.name: service.stop() for service in reversed(self.order())}

    def url(self, name, port):
        return f"http://127.0.0.1:{self.services[name].port(port)}"

    def client(self):
        """A client with the administrator's keys."""
        environment = self.services["gateway"].spec["environment"]
        secret = self.secrets["secret_key"].read_text().strip()
        return s3.client(self.url("gateway", 9000), environment["HOLDFAST_ACCESS_KEY"], secret)

    def logs(self):
        return "\n".join(f"== {name}\n{service.process.tail()}"
                         for name, service in self.services.items() if service.process)

    def close(self):
        for service in self.services.values():
            if service.process and service.process.running():
                service.process.kill9()
        if not os.environ.get("HOLDFAST_TEST_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
