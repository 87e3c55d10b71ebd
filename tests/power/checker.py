"""After the cut, with no hand on it: all that was acknowledged is there, once; guests run; disks are whole.

Each check returns sentences, one a violation. They only read, but for what anybody would do whose request was not
answered: ask again with the same key.
"""
import json
import re
import time

from api import Unanswered
from journal import PROJECT

KINDS = ("sshkeys", "networks", "volumes", "vms")

# Run in the machine: every disk and image, one a line: "STATUS FILE words".
CHECK_DISKS = r"""
cd /var/lib/axle
for file in pools/main/volumes/* pools/main/images/* images/*.qcow2; do
    [[ -f $file && $file == *.qcow2 ]] || continue
    words=$(qemu-img check -U "$file" 2>&1); echo "$? $file $(tail -n 3 <<<"$words" | tr '\n' ' ')"
done
"""
LEFT_OVER = "find /var/lib/axle -name 'upload-*' -o -name '*.tmp' -o -name '*.new' -o -path '*/incoming/*'"
UNITS = """
systemctl --failed --no-legend --plain
systemctl show -P NRestarts axle-allinone | sed '/^0$/d; s/$/ restarts/'
"""
RESTARTS = "systemctl show -P NRestarts axle-allinone; journalctl -q -b -o cat -n 4 _COMM=axle-allinone"
EXPECTED = ("NoAccelerator", "NoAddress")  # as it was configured; the guest of one sector asks for none
KERNEL = "dmesg | grep -E 'EXT4-fs (error|warning)|I/O error|Kernel panic|BUG:' || true"


class Checker:
    def __init__(self, node, journal, patience=900):
        self._node, self._journal = node, journal
        self._deadline = time.monotonic() + patience
        self._api = node.api()
        self.seconds_to_ready = self.disks = 0

    def _until(self, condition):
        """Polls until it has nothing to complain of; what it complains of when patience is over."""
        while True:
            try:
                complaints = condition()
            except Unanswered as error:
                complaints = [f"the API does not answer: {error}"]
            if not complaints or time.monotonic() > self._deadline:
                return complaints
            time.sleep(1)  # each question costs an emulated node a tenth of a second

    def acknowledged(self):
        """Ready, and everything acknowledged is there as it was: seen before anything is asked."""
        started = time.monotonic()
        complaints = self._until(self._ready)
        self.seconds_to_ready = time.monotonic() - started
        complaints = complaints or self._revision()
        if complaints:
            return complaints
        found = {kind: self._api.names(kind) for kind in KINDS}
        doubtful = self._journal.in_doubt()
        for key, claim in self._journal.claims.items():
            if key not in doubtful:
                complaints += self._compare(claim, found[claim.kind].get(claim.name))
        return complaints

    def _ready(self):
        try:
            status, document = self._api.get("/readyz", 5)
        except Unanswered:
            self._look_at_service()
            raise
        return [f"not ready: {status} {document}"] if status != 200 else []

    def _look_at_service(self):
        """Waits no longer for a service that ends again and again."""
        restarts, _, words = self._node.shell(RESTARTS)[1].partition("\n")
        if int(restarts) >= 3:
            self._deadline = 0
            raise Unanswered(f"the service was started {restarts} times and says: {words}")

    def _revision(self):
        document = self._api.get("/v1/status")[1]
        newest = max((claim.revision for claim in self._journal.claims.values()), default=0)
        if document["revision"] < newest:
            return [f"revision {newest} was acknowledged, the store is at {document['revision']}"]
        return []

    @staticmethod
    def _compare(claim, found):
        what = f"{claim.kind} {claim.name}"
        if not claim.present:
            return [f"{what} was deleted and is there again"] if found and found["id"] == claim.id else []
        if not found:
            return [f"{what} was acknowledged (revision {claim.revision}) and is not there"]
        out = []
        if found["id"] != claim.id:
            out.append(f"{what} is another one: {found['id']}, acknowledged was {claim.id}")
        if found["revision"] < claim.revision or found.get("labels", {}) != claim.labels:
            out.append(f"{what} is of revision {found['revision']} with labels {found.get('labels', {})}, acknowledged "
                       f"were {claim.revision} and {claim.labels}")
        spec = found.get("spec", {})
        if claim.power and (spec["power"], spec["startSerial"]) != (claim.power, claim.start_serial):
            out.append(f"{what} is to be {spec['power']} (start {spec['startSerial']}), acknowledged was {claim.power} "
                       f"(start {claim.start_serial})")
        return out

    def asked_again(self):
        """Unanswered requests, and the last that were answered: the same key has the same outcome, once."""
        complaints = []
        for operation in self._journal.answered[-5:]:
            status, document, headers = operation.ask(self._api)
            if operation.claim.present:
                same = status < 300 and document["id"] == operation.answer["id"] and headers.get("Idempotent-Replayed")
            else:
                same = status == 409 and document["code"] == "gone-since"
            if not same:
                complaints.append(f"{operation.path} with the key of an answered request: {status} {document}")
        for operation in list(self._journal.open):
            complaints += self._ask_again(operation)
        return complaints

    def _ask_again(self, operation):
        claim = operation.claim
        serial = claim.start_serial
        status, document, _ = operation.ask(self._api)
        self._journal.open.remove(operation)
        if status == 404 and operation.method == "DELETE":
            status, document = 200, {}
        if status >= 300:
            return [f"asked again, {operation.method} {operation.path} is refused: {status} {document}"]
        self._journal.note(operation, document)
        if operation.path.endswith("/start") and claim.start_serial != serial + 1:
            return [f"{operation.path} asked twice raised the start from {serial} to {claim.start_serial}"]
        return []

    def exact(self):
        """By names: all that is known, and nothing else."""
        complaints = []
        for kind in KINDS:
            wanted = {claim.name for claim in self._journal.living(kind)}
            if kind == "volumes":
                wanted |= {f"{claim.name}-root" for claim in self._journal.living("vms")}
            found = set(self._api.names(kind))
            if found != wanted:
                complaints.append(f"{kind}: missing {sorted(wanted - found)}, nobody's {sorted(found - wanted)}")
        return complaints

    def power(self):
        """Every VM does what it was last told."""
        def condition():
            found = self._api.names("vms")
            return [f"VM {claim.name} is {found[claim.name]['status'].get('phase')}, wanted {claim.power}: "
                    f"{found[claim.name]['status'].get('conditions')}"
                    for claim in self._journal.living("vms")
                    if found[claim.name]["status"].get("phase") != claim.power]
        return self._until(condition)

    def beats(self):
        """A guest finds on its disk what the disk had acknowledged, without a hole, and goes on counting."""
        return self._until(lambda: [words for name in self._journal.beats for words in self._beat(name)])

    def _beat(self, name):
        acknowledged = self._journal.beats[name]
        status, log = self._api.get(f"{PROJECT}/vms/{name}/log?tail=20000")
        boots = list(re.finditer(r"boot (\d+) (ok|hole)\.", log)) if status == 200 else []
        if not boots:
            return [f"guest {name} has not booted: {status}"]
        record, state = int(boots[-1][1]), boots[-1][2]
        if record < acknowledged:
            return [f"guest {name} found record {record} on its disk, synced was {acknowledged}"]
        if state != "ok":
            return [f"guest {name} found a hole among its records before {record}"]
        if f"#{record + 1}." not in log[boots[-1].end():]:
            return [f"guest {name} does not go on after record {record}"]
        return []

    def disks_are_whole(self):
        """Guests stand still meanwhile, so that QEMU has written down what it knew of them."""
        running = [claim for claim in self._journal.living("vms") if claim.power == "running"]
        for claim in running:
            self._act(claim, "pause")
        complaints = self._until(lambda: self._phases(running, "paused"))
        checked = self._node.shell(CHECK_DISKS)[1].splitlines()
        self.disks = len(checked)
        # 3: clusters that belong to nothing. They cost space, and are mended before a start.
        complaints += [f"disk: {line}" for line in checked if line.split()[0] not in ("0", "3")]
        if self.disks < len(running):
            complaints.append(f"{len(running)} guests run, and there are {self.disks} disks")
        for claim in running:
            self._act(claim, "resume")
        return complaints + self._until(lambda: self._phases(running, "running"))

    def _act(self, claim, action):
        status, document, _ = self._api.ask("POST", f"{PROJECT}/vms/{claim.name}/actions/{action}", {})
        if status < 300:
            claim.take(document)

    def _phases(self, claims, phase):
        found = self._api.names("vms")
        return [f"VM {claim.name} is {found[claim.name]['status'].get('phase')}, wanted {phase}" for claim in claims
                if found[claim.name]["status"].get("phase") != phase]

    def nothing_left_over(self):
        return self._until(self._left_over)

    def _left_over(self):
        complaints = []
        found = self._api.names("volumes")
        files = set(self._node.shell("ls /var/lib/axle/pools/main/volumes")[1].split())
        known = {item["id"] for item in found.values()}
        strange = sorted(file for file in files if file.split(".")[0] not in known)
        if strange:
            complaints.append(f"files of no volume: {strange}")
        bad = [f"{name} {item['status'].get('phase')}" for name, item in found.items()
               if item["status"].get("phase") in ("lost", "failed")]
        if bad:
            complaints.append(f"volumes: {bad}")
        findings = json.loads(self._node.shell("axle-allinone doctor -o json", check=False)[1])
        findings = findings if isinstance(findings, list) else findings.get("checks", [])
        complaints += [f"doctor: {finding}" for finding in findings
                       if finding.get("level") == "error" or (finding.get("name") == "leftover"
                                                              and finding.get("level") != "ok")]
        complaints += [f"status: {problem}" for problem in self._api.get("/v1/status")[1]["problems"]
                       if problem["type"] not in EXPECTED]
        for what, script in (("left over", LEFT_OVER), ("unit", UNITS), ("kernel", KERNEL)):
            complaints += [f"{what}: {line}" for line in self._node.shell(script)[1].splitlines()]
        return complaints

    def all(self):
        """Everything, what is cheap to see first; of violations the first kind is told, with all of its kind."""
        for check in (self.acknowledged, self.asked_again, self.exact, self.power, self.beats, self.disks_are_whole,
                      self.nothing_left_over):
            complaints = check()
            if complaints:
                return complaints
        return []
