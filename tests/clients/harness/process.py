"""One child process: its output kept in a log, its ready line awaited, its end always certain."""
import ctypes
import os
import signal
import subprocess
import threading
import time

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    """In the child: a test run that is killed leaves no server behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def environment(added):
    """The environment of a child: nothing of the caller's that a store or a client would read."""
    own = {name: value for name, value in os.environ.items()
           if not name.startswith(("HOLDFAST_", "AWS_", "RCLONE_"))}
    return {**own, **added}


class ProcessFailed(AssertionError):
    """A process ended or kept silent where it should have become ready."""


class Process:
    """A started program whose stdout lines can be awaited.

    stdout and stderr are appended to `log`, so that one file tells the story across restarts.
    """

    def __init__(self, name, argv, env, log, cwd=None):
        self.name, self.argv, self.log = name, [str(a) for a in argv], log
        self.lines, self._news = [], threading.Condition()
        self._eof = False
        with open(log, "ab") as out:
            out.write(f"--- {name}: {' '.join(self.argv)}\n".encode())
        self._log_file = open(log, "ab")
        self.child = subprocess.Popen(
            self.argv, env=environment(env), cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self._log_file, start_new_session=True,
            preexec_fn=_die_with_parent)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for raw in self.child.stdout:
            self._log_file.write(raw)
            self._log_file.flush()
            with self._news:
                self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._eof = True
            self._news.notify_all()

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child.poll() is None

    def wait_line(self, prefix, seconds):
        """The first stdout line that starts with `prefix`; fails when the process ends first."""
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for line in self.lines:
                    if line.startswith(prefix):
                        return line
                left = end - time.monotonic()
                if self._eof or left <= 0:
                    break
                self._news.wait(left)
        why = "ended" if self._eof else f"was silent for {seconds} s"
        if self._eof:
            why += f" with exit code {self.child.wait(5)}"
        raise ProcessFailed(f"{self.name} {why} before it said '{prefix}':\n{self.tail()}")

    def wait_exit(self, seconds):
        """The exit code; fails when the process is still there after `seconds`."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            why = f"{self.name} still runs after {seconds} s:\n{self.tail()}"
            raise ProcessFailed(why) from None
        self._reader.join(5)
        self._log_file.close()
        return code

    def signal(self, number):
        if self.running():
            self.child.send_signal(number)

    def terminate(self, seconds=40):
        """SIGTERM, and the exit code it led to. Draining may take 30 s."""
        self.signal(signal.SIGTERM)
        return self.wait_exit(seconds)

    def kill9(self):
        """SIGKILL; returns when the process is gone."""
        self.signal(signal.SIGKILL)
        return self.wait_exit(10)

    def output(self):
        """All that the program wrote so far, both streams."""
        with open(self.log, errors="replace") as text:
            return text.read()

    def tail(self, count=40):
        return "\n".join(self.output().splitlines()[-count:])
