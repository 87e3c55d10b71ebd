"""Honest clients: a program of its own, so that its clocks measure the server and not the attackers.

honest.py SETTING, as JSON. Each line of input names the phase that begins; at its end the samples go out as JSON:
{"phases": {phase: {client: [milliseconds]}}, "failures": [sentence]}. A request fails if it is answered otherwise than
by success, or not within its deadline.
"""
import hashlib
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from types import SimpleNamespace

from machine_link import Identity, MachineLink
from server import PORT

DEADLINE_S = 10
PAUSE_S = 0.05


class Failed(Exception):
    pass


class Client:
    """One kept connection; a request is tried once more if the server had closed it meanwhile, as idle ones are."""

    def __init__(self, setting, local=False):
        self.setting, self.local, self.connection = setting, local, None
        self.context = ssl.create_default_context(cadata=setting.authority)

    def _dial(self):
        if self.local:
            self.connection = http.client.HTTPConnection("localhost", timeout=DEADLINE_S)
            self.connection.sock = socket.socket(socket.AF_UNIX)
            self.connection.sock.settimeout(DEADLINE_S)
            self.connection.sock.connect(self.setting.socket)
        else:
            self.connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=DEADLINE_S, context=self.context)

    def ask(self, method, path, body=None, wanted=(200, 201, 202)):
        headers = {} if self.local else {"Authorization": f"Bearer {self.setting.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            headers["Idempotency-Key"] = hashlib.sha256(f"{path} {body}".encode()).hexdigest()
        began = time.monotonic()
        kept = self.connection is not None
        try:
            if not kept:
                self._dial()
            self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if kept:
                return self.ask(method, path, body, wanted)
            raise Failed(f"{method} {path}: {type(error).__name__} {error}") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Failed(f"{method} {path}: {type(error).__name__} {error} after {time.monotonic() - began:.1f} s"
                         ) from error
        if answer.will_close:
            self.close()
        if answer.status not in wanted:
            raise Failed(f"{method} {path}: {answer.status} {text[:300].decode(errors='replace')}")
        if time.monotonic() - began > DEADLINE_S:
            raise Failed(f"{method} {path}: answered after {time.monotonic() - began:.1f} s")
        return text

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Honest:
    def __init__(self, setting):
        self.setting = setting
        self.phase, self.samples, self.failures = "start", {}, []
        self.lock, self.ending = threading.Lock(), threading.Event()
        self.seen, self.told = set(), threading.Condition()

    def note(self, client, began):
        with self.lock:
            self.samples.setdefault(self.phase, {}).setdefault(client, []).append((time.monotonic() - began) * 1000)

    def keep(self, name, step):
        """step() again and again; what it takes is a sample, what it throws a failure."""
        while not self.ending.is_set():
            began = time.monotonic()
            try:
                step()
                self.note(name, began)
            except (Failed, OSError) as error:
                with self.lock:
                    self.failures.append(f"{self.phase}: {name}: {error}")
                self.ending.wait(0.5)
            self.ending.wait(PAUSE_S)

    # The clients. Each returns its step.
    def get(self):
        client = Client(self.setting)
        return lambda: client.ask("GET", "/v1/projects/default")

    def list_anew(self):
        def step():
            client = Client(self.setting)
            client.ask("GET", "/v1/projects/default/placementgroups?limit=20")
            client.close()
        return step

    def local(self):
        client = Client(self.setting, local=True)
        return lambda: client.ask("GET", "/v1/status")

    def change(self):
        """Creates and deletes; the watch must have told both within the deadline."""
        client, number = Client(self.setting), 0

        def step():
            nonlocal number
            number += 1
            name = f"honest-{number}"
            client.ask("POST", "/v1/projects/default/placementgroups", {"name": name, "spec": {}})
            client.ask("DELETE", f"/v1/projects/default/placementgroups/{name}")
            with self.told:
                if not self.told.wait_for(lambda: name in self.seen, DEADLINE_S):
                    raise Failed(f"the watch did not tell of {name} within {DEADLINE_S} s")
        return step

    def agent(self):
        identity = Identity(self.setting.directory, "honest").join(
            SimpleNamespace(api=SimpleNamespace(must=lambda method, path, body: json.loads(
                Client(self.setting, local=True).ask(method, path, body)))), self.setting.join_secret)
        link, number = MachineLink(identity, self.setting.authority, DEADLINE_S), 0

        def step():
            nonlocal number
            number += 1
            link.send({"type": "heartbeat", "load": {"cpu": 0.5, "memoryFree": 1 << 30}})
            link.ping(str(number).encode())
        return step

    def watch(self):
        """One stream to the program's end: an event that does not come, comes twice or in disorder is a failure."""
        connection = http.client.HTTPSConnection("127.0.0.1", PORT, timeout=60, context=ssl.create_default_context(
            cadata=self.setting.authority))
        connection.request("GET", "/v1/watch?kinds=placementgroup",
                           headers={"Authorization": f"Bearer {self.setting.token}"})
        answer, last = connection.getresponse(), 0
        while True:  # beyond self.ending: the last steps still wait for what it tells
            line = answer.readline().decode().strip()
            if not line and answer.isclosed():
                raise Failed("the watch was cut off")
            if line.startswith("id: "):
                revision = int(line[4:].split("-")[0])
                if revision < last:
                    raise Failed(f"the watch told revision {revision} after {last}")
                last = revision
            if line.startswith("data: ") and '"name":"' in line:
                with self.told:
                    self.seen.add(line.split('"name":"')[1].split('"')[0])
                    self.told.notify_all()

    def keep_watching(self):
        try:
            self.watch()
        except (Failed, OSError, http.client.HTTPException) as error:
            with self.lock:
                self.failures.append(f"{self.phase}: watch: {error}")

    def run(self):
        steps = {"get": self.get, "list, dialled anew": self.list_anew, "unix socket": self.local,
                 "create, delete, watched": self.change, "agent's ping": self.agent}
        threading.Thread(target=self.keep_watching, daemon=True).start()
        threads = [threading.Thread(target=self.keep, args=(name, make())) for name, make in steps.items()]
        for thread in threads:
            thread.start()
        print("ready", flush=True)
        for line in sys.stdin:
            with self.lock:
                self.phase = line.strip()
        self.ending.set()
        for thread in threads:
            thread.join()
        print(json.dumps({"phases": self.samples, "failures": self.failures}), flush=True)


if __name__ == "__main__":
    Honest(SimpleNamespace(**json.loads(sys.argv[1]))).run()
