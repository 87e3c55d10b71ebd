"""What the cloud has acknowledged, noted outside of it, and what was asked and not answered."""
import dataclasses
import threading
import uuid

PROJECT = "/v1/projects/default"


@dataclasses.dataclass
class Claim:
    """What must be true of an object, by what was acknowledged of it."""
    kind: str
    name: str
    present: bool = True
    id: str = ""
    revision: int = 0
    generation: int = 0
    power: str = ""
    start_serial: int = 0
    labels: dict = dataclasses.field(default_factory=dict)

    def take(self, document):
        """An acknowledged answer about it."""
        spec = document.get("spec", {})
        self.id = document["id"]
        self.revision = max(self.revision, document["revision"])
        self.generation = max(self.generation, document.get("generation", 0))
        self.labels = document.get("labels", {})
        self.power = spec.get("power", "")
        self.start_serial = spec.get("startSerial", 0)


@dataclasses.dataclass
class Operation:
    method: str
    path: str
    body: object
    claim: Claim
    key: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    answer: dict = None

    def ask(self, api, seconds=30):
        key = self.key if self.method == "POST" else None
        return api.ask(self.method, self.path, self.body, key, seconds)


class Journal:
    """Any thread; each object is changed by one thread alone."""

    def __init__(self):
        self._mutex = threading.Lock()
        self.claims = {}  # (kind, name) -> Claim
        self.open = []  # operations that nobody answered
        self.answered = []  # POSTs that were, in order
        self.beats = {}  # name of a guest -> highest record that its disk had acknowledged
        self.refused = []
        self.acknowledged = 0

    def perform(self, api, operation):
        """Sends it and notes what becomes of it; Unanswered passes, with the operation left among the open ones."""
        with self._mutex:
            self.open.append(operation)
        status, document, _ = operation.ask(api)
        with self._mutex:
            self.open.remove(operation)
            if status >= 300:
                self.refused.append(f"{operation.method} {operation.path}: {status} {document}")
                return None
            self.note(operation, document)
        return document

    def note(self, operation, document):
        claim = operation.claim
        self.acknowledged += 1
        self.claims[claim.kind, claim.name] = claim
        if operation.method == "DELETE":
            claim.present = False
        else:
            claim.take(document)
        if operation.method == "POST":
            operation.answer = document
            self.answered.append(operation)

    def create(self, api, kind, name, spec):
        operation = Operation("POST", f"{PROJECT}/{kind}", {"name": name, "spec": spec}, Claim(kind, name))
        return self.perform(api, operation)

    def label(self, api, claim, **labels):
        body = {"labels": labels}
        return self.perform(api, Operation("PATCH", f"{PROJECT}/{claim.kind}/{claim.name}", body, claim))

    def act(self, api, claim, action, **arguments):
        path = f"{PROJECT}/{claim.kind}/{claim.name}/actions/{action}"
        return self.perform(api, Operation("POST", path, arguments, claim))

    def delete(self, api, claim):
        now = "?now=true" if claim.kind in ("vms", "volumes") else ""
        return self.perform(api, Operation("DELETE", f"{PROJECT}/{claim.kind}/{claim.name}{now}", None, claim))

    def in_doubt(self):
        return {(operation.claim.kind, operation.claim.name) for operation in self.open}

    def beat(self, name, record):
        with self._mutex:
            self.beats[name] = max(record, self.beats.get(name, 0))

    def living(self, kind, prefix=""):
        return [claim for (of, name), claim in self.claims.items()
                if of == kind and claim.present and name.startswith(prefix)]
