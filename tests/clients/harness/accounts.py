"""Accounts made by holdfast's own commands."""
import json
import secrets

from harness import s3 as h
from harness.commands import run
from harness.server import binary


def command(server, *words, check=True, env=None):
    return run([binary(), *words], {**server.environ(), **(env or {})}, check=check)


def asked(server, *words):
    return json.loads(command(server, "-o", "json", *words).out)


class Account:
    """An account with a key, made by commands."""

    def __init__(self, server, name, *flags):
        self.server, self.name = server, name
        self.view = asked(server, "account", "create", name, *flags)
        self.id, self.number = self.view["id"], self.view["number"]
        self.key = self.new_key()

    def new_key(self, *words):
        return asked(self.server, "key", "create", self.name, *words)

    def client(self, key=None, **options):
        key = key or self.key
        return h.client(self.server.s3_url, key["access_key"], key["secret_key"],
                        self.server.region, **options)


def name():
    return "a-" + secrets.token_hex(6)
