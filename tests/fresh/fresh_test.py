"""The two commands of the README on a plain Debian without systemd as process 1: see README.md beside this.

fresh_test.py ROOT-TAR: the root file system to begin with.
"""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
# pylint: disable=wrong-import-position
from cases import case, check, check_equal, run_cases
from host import ROOT, Host, run, wait_for
from surroundings import check_same, surroundings

TAR = sys.argv.pop(1)  # what is left are words that choose cases
CACHE = Path(os.environ.get("CCACHE_DIR", "/nonexistent"))
READY = os.environ.get("AXLE_READY_PACKAGES")  # a directory: these instead of the build
COMMANDS = ("packaging/quickstart", "packaging/quickstart --remove")


class Fresh:
    def __init__(self, host, checkout):
        self.host = host
        self.checkout = checkout
        self.before = None

    def shell(self, command, **options):
        """As typed at a terminal in the checkout."""
        words = ["env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                 f"CCACHE_DIR={CACHE}" if CACHE.exists() else "A=b", f"CCACHE_BASEDIR={self.checkout}",
                 "CCACHE_NOHASHDIR=1", "sh", "-c", f"cd {self.checkout} && script -qec '{command}' /dev/null"]
        return self.host.run(*words, **options).stdout.replace("\r", "")

    def quickstart(self, **options):
        return self.shell(COMMANDS[0] + (f" --packages {READY}" if READY else ""), **options)


@case("the README names the two commands")
def named(_):
    readme = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        check(f"\n{command} " in readme, f"the README does not have a line {command}")


@case("packaging/quickstart, as the README has it, ends with a guest that answers")
def quickstart(fresh):
    fresh.before = surroundings(fresh.host)
    began = time.monotonic()
    said = fresh.quickstart(timeout=5400)
    print(said, flush=True)
    print(f"   {time.monotonic() - began:.0f} s from a plain Debian to a guest that answers", flush=True)
    check("the guest answers at" in said and "Axle is up" in said, "it did not say that the guest answers")
    check_equal(fresh.shell("axle ssh first -- hostname", timeout=60).split()[-1], "first", "host name by axle ssh")


@case("run again, it builds nothing anew and is harmless")
def again(fresh):
    said = fresh.quickstart(timeout=900)
    check("everything is there" in said and "Axle is up" in said, f"it said:\n{said}")


@case("packaging/quickstart --remove, with the machine's name typed, leaves the machine as it was")
def remove(fresh):
    said = fresh.shell(COMMANDS[1] + " --purge-data", input=f"{fresh.host.name}\n", timeout=900)
    check("Axle is gone" in said, f"it said:\n{said}")
    check_same(fresh.host, fresh.before, but=["configuration", "packages"])
    left = set(surroundings(fresh.host)["packages"]) - set(fresh.before["packages"])
    # Its log directory is a mount point in a private host, so dpkg can't purge it.
    left = sorted(line for line in left if not line.startswith("config-files libvirt-daemon-system "))
    check_equal(left, [], "packages left")


@contextlib.contextmanager
def make_lab():
    directory = Path(tempfile.mkdtemp(prefix="axle-fresh-"))
    directory.chmod(0o755)
    root, checkout = directory / "root", directory / "axle"
    root.mkdir()
    run(["tar", "-C", root, "--exclude=./dev/*", "-xf", TAR], timeout=300)
    run(["git", "clone", "-q", ROOT, checkout])
    host = Host(directory / "h1", 1, None, libvirt=False, own_root=str(root),
                keep_visible=[checkout, *(path for path in (CACHE, Path(READY or "/nonexistent")) if path.exists())])
    way_out = None
    try:
        host.start()
        way_out = subprocess.Popen(["slirp4netns", "--configure", "--mtu=1500", str(host.pid), "tap0"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        host.path("/etc/resolv.conf").write_text("nameserver 10.0.2.3\n")
        wait_for("a way out", 20, lambda: "10.0.2." in host.run("ip", "addr").stdout)
        yield Fresh(host, checkout)
    finally:
        if way_out:
            way_out.kill()
            way_out.wait()
        host.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    run_cases(make_lab)
