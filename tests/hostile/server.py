"""The orchestrator under attack: the real program with its own store, port and socket, seen from outside."""
import http.client
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cloud import BINARIES
from host import TestFailure, wait_for
from process_levels import process_levels

PORT = 7443
FILES = 8192  # that the server may have open: attackers try to have them all


class LocalApi:
    """The administrator's way in: the unix socket, a connection a request."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, path, body=None, seconds=10):
        connection = http.client.HTTPConnection("localhost", timeout=seconds)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(seconds)
        connection.sock.connect(self.path)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json"} if body is not None else {})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            is_json = "json" in answer.getheader("Content-Type", "")
            return answer.status, json.loads(text) if is_json and text else text
        finally:
            connection.close()

    def must(self, method, path, body=None):
        status, answer = self.ask(method, path, body)
        if status not in (200, 201, 202):
            raise TestFailure(f"{method} {path}: {status} {answer}")
        return answer


class Server:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.socket = str(self.directory / "run/api.sock")
        self.api = LocalApi(self.socket)
        self.log = self.directory / "log.txt"
        self.process = None
        (self.directory / "axle.yaml").write_text(
            f"stateDirectory: {directory}/state\nlogDirectory: {directory}/log\nrunDirectory: {directory}/run\n"
            f"group: root\nlisten: \"127.0.0.1:{PORT}\"\nadvertise: [\"127.0.0.1:{PORT}\"]\n")

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BINARIES / "axle-orchestrator", "--config", self.directory / "axle.yaml"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                                                                  (FILES, FILES)))
        wait_for("the orchestrator serves", 60, self._serves)
        self.authority = self.api.must("GET", "/v1/ca.pem")
        return self

    def _serves(self):
        if self.process.poll() is not None:
            raise TestFailure(f"axle-orchestrator ended with {self.process.returncode}:\n{self.log_tail()}")
        try:
            return self.api.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def is_alive(self):
        return self.process.poll() is None

    def token(self, name, role):
        return self.api.must("POST", "/v1/tokens", {"name": name, "spec": {"role": role}})["secret"]

    def join_token(self, name):
        return self.api.must("POST", "/v1/jointokens", {"name": name, "spec": {"uses": 100}})["secret"]

    def log_tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def log_has(self, words):
        return words in self.log.read_text(errors="replace")

    def metric(self, name):
        found = re.search(rf"^{name} (\S+)$", self.api.must("GET", "/metrics"), re.M)
        if not found:
            raise TestFailure(f"/metrics has no {name}")
        return float(found.group(1))


class Levels:
    """Memory, open files and threads of a process, and their peaks."""

    def __init__(self, pid):
        self._proc = Path(f"/proc/{pid}")
        self._clear_peak()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def now(self):
        return process_levels(self._proc)

    def _clear_peak(self):
        self._peak = {"memory": 0, "files": 0, "threads": 0}

    def take_peak(self):
        """The highest since the last call."""
        peak = self._peak
        self._clear_peak()
        return peak

    def _watch(self):
        while not self._end.wait(0.1):
            try:
                seen = self.now()
            except (OSError, AttributeError):  # the process has ended, which others notice
                return
            self._peak = {name: max(value, seen[name]) for name, value in self._peak.items()}

    def stop(self):
        self._end.set()
        self._thread.join()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def seconds_since(moment):
    return time.monotonic() - moment
