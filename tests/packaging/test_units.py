"""Goal: systemd takes the units, thinks well of them, and what they start is known to the binary.

Method: `systemd-analyze`, which needs no running systemd; commands and variables are held against
the binary; the commands run, with the ports and directories of a test in place of theirs. What
systemd forbids them is not shown by this.
"""
import os
import re
import shutil

import pytest

from binary import (INSTALLED, ROLES, assert_command, assert_secrets_by_file, assert_settings,
                    make_secrets)
from harness.commands import run
from harness.ports import free_port
from harness.process import Process
from harness.server import SMALL, binary
from units import CREDENTIALS, INSTANCE, SECRETS, UNITS, units

ALL = units()
EXPOSURE_MAX = 1.5
analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"),
                             reason="no systemd-analyze (tests/install says why)")


@pytest.fixture
def installed(tmp_path):
    """The units with the binary under test in place of the one that is not installed."""
    for name, unit in ALL.items():
        text = unit.path.read_text()
        assert text.count(INSTALLED) == 1
        name = name.replace("@.", f"@{INSTANCE}.")
        (tmp_path / name).write_text(text.replace(INSTALLED, str(binary())))
    return sorted(tmp_path.iterdir())


def test_there_is_one_for_each_process():
    assert {unit.one("ExecStart").split()[1] for unit in ALL.values()} == set(ROLES)


@analyze
def test_systemd_takes_them(installed):
    done = run(["systemd-analyze", "verify", "--man=no", *installed], {}, check=False)
    assert done.code == 0 and not done.out + done.err, done


@analyze
def test_systemd_warns_of_what_is_wrong(installed):
    """Otherwise the test above shows nothing."""
    for right, wrong in (("ProtectSystem=", "ProtectSystems="), ("Type=exec", "Type=exce"),
                         (str(binary()), "/nowhere/holdfast")):
        text = installed[0].read_text()
        installed[0].write_text(text.replace(right, wrong))
        done = run(["systemd-analyze", "verify", "--man=no", installed[0]], {}, check=False)
        assert done.out + done.err, wrong
        installed[0].write_text(text)


@analyze
def test_they_are_exposed_little(installed):
    for path in installed:
        done = run(["systemd-analyze", "security", "--offline=yes", "--no-pager", path], {})
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.out)
        assert level and float(level[1]) <= EXPOSURE_MAX, done


@pytest.mark.parametrize("name", ALL)
def test_commands_and_settings_are_known(name, tmp_path):
    unit = ALL[name]
    program, role, *flags = unit.one("ExecStart").split()
    assert program == INSTALLED and role in ROLES
    assert_command([role, *flags])
    environment = unit.environment()
    assert_secrets_by_file(environment)
    made = make_secrets(tmp_path / "secrets")
    credentials = unit.credentials()
    for given, file in credentials.items():
        assert file == SECRETS + given and given in made
    used = {value for key, value in environment.items() if key.endswith("_FILE")}
    assert used == {f"{CREDENTIALS}/{given}" for given in credentials}
    assert_settings(role, {key: value.replace(CREDENTIALS, str(tmp_path / "secrets"))
                           for key, value in environment.items()})


@pytest.mark.parametrize("name", ALL)
def test_it_may_write_where_its_data_lies_and_nowhere_else(name):
    unit = ALL[name]
    data = unit.environment()["HOLDFAST_DATA_DIR"]
    assert f"/var/lib/{unit.one('StateDirectory')}" == data
    assert unit.one("RequiresMountsFor", "Unit") == data
    assert unit.one("ProtectSystem") == "strict" and not unit.all("ReadWritePaths")
    assert all(file.startswith("-/etc/holdfast/") for file in unit.all("EnvironmentFile"))


@pytest.mark.skipif(not shutil.which("systemd-sysusers") or os.getuid() != 0,
                    reason="no systemd-sysusers, or not root: the user is not made")
def test_their_user_is_made(tmp_path):
    (tmp_path / "etc").mkdir()
    run(["systemd-sysusers", f"--root={tmp_path}", UNITS / "sysusers.conf"], {})
    users = [line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert users == [unit.one("User") for unit in ALL.values()][:1]
    assert {unit.one("User") for unit in ALL.values()} == set(users)


class Host:
    """A machine with some units started: a directory for /var/lib, a port for each of theirs."""

    def __init__(self, directory):
        self.dir, self.ports, self.processes = directory, {}, []
        make_secrets(directory / "secrets")

    def port(self, port):
        if int(port) not in self.ports:
            self.ports[int(port)] = free_port()
        return self.ports[int(port)]

    def here(self, text):
        text = text.replace(CREDENTIALS, str(self.dir / "secrets"))
        text = text.replace("/var/lib", str(self.dir / "lib"))
        return re.sub(r"(127\.0\.0\.1):(\d+)", lambda at: f"{at[1]}:{self.port(at[2])}", text)

    def start(self, name, instance=INSTANCE, **defaults):
        """Starts a unit; `defaults` are settings that it leaves at theirs, which are addresses."""
        unit = ALL[name]
        env = {key: self.here(re.sub(rf"{INSTANCE}$", instance, value))
               for key, value in {**unit.environment()}.items()}
        env |= {key: self.here(value) for key, value in defaults.items()}
        assert not set(defaults) & set(unit.environment())
        argv = [binary(), *unit.one("ExecStart").split()[1:]]
        os.makedirs(env["HOLDFAST_DATA_DIR"], mode=0o700)
        process = Process(f"{name}-{instance}", argv, {**SMALL, **env},
                          self.dir / f"{name}-{instance}.log")
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            if process.running():
                process.kill9()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path / "host")
    yield made
    made.close()


LISTENERS = {"HOLDFAST_LISTEN": "127.0.0.1:9000", "HOLDFAST_ADMIN_LISTEN": "127.0.0.1:9001"}


def test_a_server_starts(host):
    host.start("holdfast-server.service", **LISTENERS).wait_line("ready ", 60)
    assert [process.terminate() for process in host.processes] == [0]


def test_a_gateway_and_six_nodes_start(host):
    gateway = host.start("holdfast-gateway.service", **LISTENERS,
                         HOLDFAST_NODE_LISTEN="127.0.0.1:9002")
    for number in range(1, 7):
        host.start("holdfast-shard-node@.service", f"{number:02}",
                   HOLDFAST_JOIN="http://127.0.0.1:9001")
    gateway.wait_line("ready ", 60)
    assert [process.terminate() for process in host.processes] == [0] * 7
