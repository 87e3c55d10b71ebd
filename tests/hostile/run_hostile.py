"""tests/run hostile [SECONDS] [WORDS]: a real orchestrator among attackers, with honest clients beside them.

A quiet time, then each attack alone if SECONDS are given (so many in all), then all at once, then quiet again. No
honest request may fail or take longer than its deadline; memory stays below a bound and comes back; so do open files.
Words choose attacks by their names.
"""
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from attacker import ATTACKS, complaints_about, run_attacks
from host import TestFailure, wait_for
from machine_link import Identity
from server import PORT, Levels, Server, percentile
import attacks  # noqa: F401 pylint: disable=unused-import,wrong-import-order

HERE = Path(__file__).resolve().parent
QUIET_S, TOGETHER_S = 4, 20
MEMORY_MAX = 1024     # MiB, at any time
MEMORY_BACK = 64      # MiB over what it was before, when all is over
CALM_S = 60           # until everything is at its level again


class Run:
    def __init__(self, directory, seconds, names):
        self.directory, self.seconds, self.names = Path(directory), seconds, names
        self.server = Server(directory).start()
        self.complaints, self.peaks = [], {}
        self.levels = Levels(self.server.process.pid)
        self.setting = self._furnish()
        self.honest = self._begin_honest()

    def _furnish(self):
        server = self.server
        tokens = {role: server.token(role, role) for role in ("editor", "viewer")}
        tokens |= {"editor2": server.token("editor2", "editor"), "honest": server.token("honest", "editor")}
        secret = server.join_token("hosts")
        server.api.must("POST", "/v1/projects/default/placementgroups", {"name": "shown", "spec": {}})
        server.api.must("POST", "/v1/projects/default/images", {"name": "trickle", "spec": {}})
        stranger = Identity(self.directory, "stranger").sign_itself()
        stolen = Identity(self.directory, "stolen").join(server, secret)
        return SimpleNamespace(port=PORT, authority=server.authority, tokens=tokens, secret=secret, stranger=stranger,
                               stolen=stolen, signing_request=(stolen.directory / "request.pem").read_text())

    def _begin_honest(self):
        told = {"authority": self.server.authority, "token": self.setting.tokens["honest"],
                "socket": self.server.socket, "directory": str(self.directory), "join_secret": self.setting.secret}
        program = subprocess.Popen([sys.executable, HERE / "honest.py", json.dumps(told)], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if program.stdout.readline() != "ready\n":
            raise TestFailure("the honest clients do not begin")
        return program

    def phase(self, name, seconds, attacked=()):
        """So long, with these attacks; what was seen meanwhile is kept under the phase's name."""
        self.honest.stdin.write(name + "\n")
        self.honest.stdin.flush()
        self.levels.take_peak()
        if attacked:
            answers, took = asyncio.run(run_attacks(self.setting, attacked, seconds))
            for each, seen in answers.items():
                self.complaints += complaints_about(each, seen, took, len(attacked) == 1)
                print(f"   {each}: {seen}", flush=True)
        else:
            time.sleep(seconds)
        self.peaks[name] = self.levels.take_peak()

    def run(self):
        self.phase("quiet", QUIET_S)
        before = self.levels.now()
        if self.seconds:
            for name in self.names:
                self.phase(name, self.seconds / len(self.names), [name])
        self.phase("all at once", max(TOGETHER_S, self.seconds / 4), self.names)
        self.phase("calm", 0)
        self._wait_for_calm(before)
        self._judge()

    def _wait_for_calm(self, before):
        def is_calm():
            now = self.levels.now()
            return now["files"] <= before["files"] + 2 and now["memory"] <= before["memory"] + MEMORY_BACK
        try:
            wait_for("memory and open files are what they were", CALM_S, is_calm)
        except TestFailure:
            self.complaints.append(f"{CALM_S} s after the attacks the server has {self.levels.now()}, before {before}")
        self.after = self.levels.now()
        self.before = before

    def _judge(self):
        said, _ = self.honest.communicate(timeout=60)
        told = json.loads(said)
        self.complaints += told["failures"]
        for phase, peak in self.peaks.items():
            if peak["memory"] > MEMORY_MAX:
                self.complaints.append(f"{phase}: {peak['memory']:.0f} MiB, at most {MEMORY_MAX} may be")
        if not self.server.is_alive():
            self.complaints.append(f"axle-orchestrator ended with {self.server.process.returncode}")
        self._tell(told["phases"])

    def _tell(self, phases):
        for phase in self.peaks:
            clients = phases.get(phase, {})
            peak = self.peaks[phase]
            print(f"{phase}: peak {peak['memory']:.0f} MiB, {peak['files']} files", flush=True)
            for client, times in sorted(clients.items()):
                print(f"   {client}: {len(times)}, p50 {percentile(times, 0.5):.1f} ms, "
                      f"p99 {percentile(times, 0.99):.1f} ms, longest {max(times):.0f} ms", flush=True)
        quiet, attacked = (sum(phases.get(name, {}).values(), []) for name in ("quiet", "all at once"))
        print(f"{len(attacked)} honest requests among {len(self.names)} attacks, {len(self.complaints)} violations; "
              f"p50/p99 {percentile(quiet, 0.5):.1f}/{percentile(quiet, 0.99):.1f} ms quiet, "
              f"{percentile(attacked, 0.5):.1f}/{percentile(attacked, 0.99):.1f} ms attacked; memory "
              f"{self.before['memory']:.0f} MiB before, {self.peaks['all at once']['memory']:.0f} at most, "
              f"{self.after['memory']:.0f} after; log {self.server.log.stat().st_size >> 10} KiB", flush=True)


def main():
    words = sys.argv[1:]
    seconds = float(words.pop(0)) if words and words[0].replace(".", "", 1).isdigit() else 0
    names = [name for name in ATTACKS if not words or any(word in name for word in words)]
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    with tempfile.TemporaryDirectory(prefix="axle-hostile-") as directory:
        run = Run(directory, seconds, names)
        try:
            run.run()
        finally:
            with contextlib.suppress(OSError):
                run.honest.kill()
                run.levels.stop()
                run.server.stop()
        for complaint in run.complaints[:40]:
            print(f"   {complaint}", flush=True)
        if run.complaints:
            print(run.server.log_tail())
            print(f"FAILED: honest clients are served among attackers: {len(run.complaints)} violations", flush=True)
        else:
            print("ok: honest clients are served among attackers", flush=True)
    sys.exit(1 if run.complaints else 0)


if __name__ == "__main__":
    main()
