"""A private host seen from outside: what must be as it was after each round, and what is measured."""
import contextlib
import json
import os
import re
from collections import Counter
from pathlib import Path

from cloud import BINARIES
from process_levels import process_levels

FOLDERS = ("/var/lib/axle", "/var/log/axle", "/etc/axle", "/run", "/etc/libvirt", "/var/lib/libvirt",
           "/var/cache/libvirt")
KINDS = ("project", "flavor", "sshkey", "image", "pool", "network", "volume", "placementgroup", "vm", "portforward",
         "zone", "host", "token", "jointoken")
SOFT = ("image", "volume", "vm")
NAMESPACES = ("mnt", "net", "ipc", "uts", "user", "cgroup")
# Grows by design, within bounds of its own (README): what -> its files.
GROWS = {"store": re.compile(r"/var/lib/axle/store/db/"), "ended tasks": re.compile(r"/var/lib/axle/agent/tasks/")}
TOMBSTONES = "/var/lib/axle/agent/desired"


def is_tombstone(document):
    return json.loads(document.read_text().splitlines()[0])["verdict"] == "gone"


class Levels:
    def __init__(self, cloud):
        self._cloud, self._host = cloud, cloud.host

    def _lines(self, *command):
        return sorted(self._host.run(*command).stdout.splitlines())

    def _processes(self):
        """Name -> folders in /proc of the host's processes."""
        mine, found = os.readlink(f"/proc/{self._host.pid}/ns/pid"), {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(folder / "ns/pid") == mine:
                    found.setdefault((folder / "comm").read_text().strip(), []).append(folder)
            except OSError:  # it has ended, or is of no concern of ours
                pass
        return found

    def _files(self):
        """All below the folders, in the host's words; what grows by design is counted apart."""
        files, grown = [], Counter()
        for top in FOLDERS:
            root = self._host.path(top)
            for folder, folders, names in os.walk(root):
                inside = top + folder[len(str(root)):]
                files += [f"{inside}/{name}/" for name in folders]
                for name in names:
                    path = f"{inside}/{name}"
                    what = next((word for word, pattern in GROWS.items() if pattern.match(path)), None)
                    if inside == TOMBSTONES and is_tombstone(Path(folder, name)):
                        what = "tombstones"
                    if what:
                        grown[what] += 1
                    else:
                        files.append(path)
        return sorted(files), grown

    def _objects(self):
        found = []
        for kind in KINDS:
            deleted = ["--deleted"] if kind in SOFT else []
            found += self._lines(self._cloud.program, kind, "list", "-o", "name", *deleted)
        return found

    def _doctor(self):
        """(leftovers that it names, whatever else is an error)"""
        path = f"PATH={BINARIES}:{os.environ['PATH']}"  # it asks the agent of this machine
        said = self._host.run("env", path, self._cloud.program, "doctor", "-o", "json", check=False).stdout
        bad = [each for each in json.loads(said) if each["level"] != "ok"]
        return ([each["message"] for each in bad if each["subject"] == "leftover"],
                [each["message"] for each in bad if each["subject"] != "leftover" and each["level"] == "error"])

    def things(self):
        """Named, so that what is too many or too few can be told."""
        processes = self._processes()
        leftovers, errors = self._doctor()
        spaces = set()
        for folder in (folder for folders in processes.values() for folder in folders):
            with contextlib.suppress(OSError):  # it has ended
                spaces |= {os.readlink(folder / "ns" / kind) for kind in NAMESPACES}
        mounts = Path(f"/proc/{self._host.pid}/mountinfo").read_text().splitlines()
        return {
            "objects": self._objects(),
            "files and sockets": self._files()[0],
            "domains": self._lines("virsh", "-q", "list", "--all", "--name"),
            "processes": sorted(name for name, folders in processes.items() for _ in folders),
            "interfaces": [line.split(": ")[1] for line in self._lines("ip", "-o", "link")],
            "addresses": [" ".join(line.split()[1:4]) for line in self._lines("ip", "-o", "addr")],
            "rules": self._lines("nft", "-s", "list", "ruleset"),
            "mounts": sorted(line.split()[4] for line in mounts),
            "namespaces": sorted(space.split(":")[0] for space in spaces),
            "groups of processes": self._lines("find", "/sys/fs/cgroup", "-type", "d"),
            "unclaimed": self._lines(self._cloud.program, "unclaimed", "list", "-o", "name"),
            "leftovers": leftovers,
            "errors of the doctor": errors,
        }

    def unended_tasks(self):
        tasks = json.loads(self._host.run(self._cloud.program, "task", "list", "-o", "json").stdout)
        return [f"a task has not ended: {task['spec'].get('goal')} of {task['spec'].get('target')}: {task['status']}"
                for task in tasks if task["status"]["phase"] not in ("succeeded", "failed", "superseded", "cancelled")]

    def figures(self):
        processes = self._processes()
        axle = processes["axle-allinone"][0]
        files, grown = self._files()
        ours = [file for file in files if file.startswith("/var/lib/axle/")]
        store = sum(path.stat().st_size for path in self._host.path("/var/lib/axle/store/db").rglob("*"))
        levels, libvirtd = process_levels(axle), process_levels(processes["libvirtd"][0])
        return {"memory": levels["memory"], "threads": levels["threads"], "fds": sum(self.open_files(axle).values()),
                "libvirtd": libvirtd["memory"], "files": len(ours), "grown": grown, "store": store / (1 << 20)}

    def open_files(self, process=None):
        """Of what kind they are; the tables of the store come and go as it likes."""
        folder = (process or self._processes()["axle-allinone"][0]) / "fd"
        kinds = Counter()
        for number in os.listdir(folder):
            try:
                target = os.readlink(folder / number)
            except FileNotFoundError:
                continue
            if not GROWS["store"].match(target):
                kinds[re.sub(r"\d+", "N", target)] += 1
        return kinds


def difference(before, now):
    """Sentences: what is there more, and what is missing."""
    told = []
    for what, names in now.items():
        more, less = Counter(names) - Counter(before[what]), Counter(before[what]) - Counter(names)
        told += [f"{what}: {sum(each.values())} {word}: {', '.join(list(each)[:5])}"
                 for word, each in (("more", more), ("missing", less)) if each]
    return told
