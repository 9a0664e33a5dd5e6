"""The units of systemd as data."""
import re

from binary import COMPOSE

UNITS = COMPOSE / "systemd"
INSTANCE = "01"
SECRETS = "/etc/holdfast/secrets/"
CREDENTIALS = "/run/credentials"


class Unit:
    """One unit; of a template its instance 01."""

    def __init__(self, path):
        self.path, self.values = path, {}
        section = None
        for line in path.read_text().splitlines():
            if found := re.fullmatch(r"\[(\w+)\]", line):
                section = found[1]
            elif line and not line.startswith("#"):
                key, value = line.split("=", 1)
                self.values.setdefault((section, key), []).append(self._filled(value))

    def _filled(self, value):
        value = value.replace("%i", INSTANCE).replace("%d", CREDENTIALS)
        assert "%" not in value, f"{self.path.name}: {value}"
        return value

    def all(self, key, section="Service"):
        return self.values.get((section, key), [])

    def one(self, key, section="Service"):
        found = self.all(key, section)
        assert len(found) == 1, f"{self.path.name}: {key} = {found}"
        return found[0]

    def environment(self):
        return dict(each.split("=", 1) for each in self.all("Environment"))

    def credentials(self):
        """Names of credentials, and the files that they are read from."""
        return dict(each.split(":", 1) for each in self.all("LoadCredential"))


def units():
    return {path.name: Unit(path) for path in sorted(UNITS.glob("*.service"))}
