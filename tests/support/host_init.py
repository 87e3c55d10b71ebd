"""Process 1 of a private host (see host.py): builds the host's world inside fresh namespaces, starts libvirt, reaps.

host_init.py DIRECTORY [--stay]: unshares, forks process 1, writes its pid (as seen from outside) to DIRECTORY/pid and
waits for it. Without --stay all of it dies with the program that started it.
"""
import ctypes
import grp
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
# Mount, cgroup, uts, ipc, pid, net.
NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
PR_SET_PDEATHSIG = 1
# What a host keeps on its own disk: directory of the host -> where its programs look for it.
PRIVATE = {
    "libvirt": "/var/lib/libvirt",
    "etc-libvirt": "/etc/libvirt",
    "log-libvirt": "/var/log/libvirt",
    "cache-libvirt": "/var/cache/libvirt",
    "axle": "/var/lib/axle",
    "etc-axle": "/etc/axle",
    "log-axle": "/var/log/axle",
}


def check(status, what):
    if status != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def enter_cgroup(name):
    """Moves this process to a group of its own below each controller: the root of the host's cgroup namespace."""
    parents = [p for p in Path("/sys/fs/cgroup").iterdir() if (p / "cgroup.procs").exists()]
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        parents = [Path("/sys/fs/cgroup")]
    for parent in parents:
        try:
            group = parent / name
            group.mkdir(exist_ok=True)
            for values in ("cpuset.cpus", "cpuset.mems"):
                if (parent / values).exists() and parent.name == "cpuset":
                    (group / values).write_text((parent / values).read_text())
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError as error:
            print(f"host: no own cgroup below {parent}: {error}", flush=True)


def make_root_private(directory, below, keep_visible):
    """The whole file system becomes an overlay: packages can be installed and removed, and nothing outside changes."""
    layers = directory / "layers"
    for name in ("upper", "work"):
        (layers / name).mkdir(parents=True, exist_ok=True)
    root = directory / "root"
    root.mkdir(exist_ok=True)
    options = f"lowerdir={below},upperdir={layers}/upper,workdir={layers}/work"
    if subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], stderr=subprocess.DEVNULL).returncode:
        mount("-t", "tmpfs", "tmpfs", layers)  # the directory lies on an overlay itself, which can't be an upper layer
        for name in ("upper", "work"):
            (layers / name).mkdir()
        mount("-t", "overlay", "overlay", "-o", options, root)
    for path in ["/proc", "/sys", "/dev", str(directory), *keep_visible]:
        inside = Path(f"{root}{path}")
        inside.mkdir(parents=True, exist_ok=True)
        mount("--rbind", path, inside)
    os.chdir(root)
    Path("old_root").mkdir(exist_ok=True)
    check(LIBC.syscall(155, b".", b"old_root"), "pivot_root")
    os.chroot(".")
    os.chdir("/")
    subprocess.run(["umount", "-l", "/old_root"], check=True)


def mount_disk(directory, mebibytes):
    """A disk of its own for /var/lib/axle, which can run full."""
    image = directory / "disk.img"
    if not image.exists():
        with open(image, "wb") as file:
            file.truncate(mebibytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    mount("-o", "loop", image, "/var/lib/axle")


def hide_unusable_kvm(directory):
    """Where a KVM is there that libvirt's user may not open, libvirt never believes what it has cached of QEMU: it asks
    QEMU anew at each look-up, some twenty times for one definition. (With udev, the device belongs to group kvm.)"""
    device = Path("/dev/kvm")
    conf = Path("/etc/libvirt/qemu.conf")
    if not device.exists() or not conf.exists():
        return
    about = device.stat()
    of_group = any(group.gr_name == "kvm" and group.gr_gid == about.st_gid for group in grp.getgrall())
    if about.st_mode & 0o006 == 0o006 or (of_group and about.st_mode & 0o060 == 0o060):
        return
    cover = directory / "no-kvm"
    cover.touch(mode=0)
    mount("--bind", cover, device)
    # Guests' own /dev can't be made with a mount in it.
    rest = [line for line in conf.read_text().splitlines() if not line.startswith("namespaces")]
    conf.write_text("\n".join([*rest, "namespaces = []", ""]))


def mount_private(directory, disk):
    mount("-t", "proc", "proc", "/proc")
    for name, target in PRIVATE.items():
        source = directory / name
        if not source.exists():
            if name == "etc-libvirt" and Path(target).exists():
                shutil.copytree(target, source, symlinks=True)
                shutil.rmtree(source / "qemu/networks/autostart", ignore_errors=True)
            source.mkdir(exist_ok=True)
        os.makedirs(target, exist_ok=True)
        mount("--bind", source, target)
    if disk:
        mount_disk(directory, disk)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for name in ("lock", "netns"):
        os.makedirs(f"/run/{name}")
    os.chmod("/run/lock", 0o1777)
    hide_unusable_kvm(directory)


def mount_sys():
    """A fresh /sys shows the links of this network namespace, fresh cgroup mounts the groups of this host alone."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    mount("-t", "sysfs", "sysfs", "/sys")
    if unified:
        mount("-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
        return
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for name in ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"):
        group = Path("/sys/fs/cgroup", name)
        group.mkdir()
        if subprocess.run(["mount", "-t", "cgroup", "-o", name, "cgroup", group], stderr=subprocess.DEVNULL).returncode:
            group.rmdir()


def write_identity(directory, config):
    """Name, name resolution without DNS (each look-up would wait 10 s), and a boot id of its own."""
    name = config["name"]
    subprocess.run(["hostname", name], check=True)
    peers = "".join(f"{address} {peer}\n" for peer, address in config["peers"].items())
    files = {
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}\n" + peers,
        "resolv.conf": "",
        "boot_id": config["boot_id"] + "\n",
        "machine-id": config["uuid"].replace("-", "") + "\n",
    }
    for file, text in files.items():
        (directory / file).write_text(text)
    os.makedirs("/run/systemd", exist_ok=True)
    for target in ("/etc/hosts", "/etc/resolv.conf", "/etc/machine-id"):  # a plain root file system lacks some
        if config["own_root"] and not os.path.exists(target):
            Path(target).touch()
    for file, target in (("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf"),
                         ("machine-id", "/etc/machine-id"), ("boot_id", "/proc/sys/kernel/random/boot_id")):
        if os.path.exists(target):
            mount("--bind", directory / file, os.path.realpath(target))


def start_libvirt(config):
    conf = Path("/etc/libvirt/libvirtd.conf")
    conf.write_text(f'host_uuid = "{config["uuid"]}"\nlog_outputs = "2:file:/var/log/libvirt/libvirtd.log"\n')
    for name in ("images", "qemu", "boot", "dnsmasq"):
        os.makedirs(f"/var/lib/libvirt/{name}", exist_ok=True)
    os.makedirs("/var/log/libvirt/qemu", exist_ok=True)
    subprocess.run(["virtlogd", "-d"], check=True)
    subprocess.run(["libvirtd", "-d"], check=True)


def process_one(directory, config):
    mount("--make-rprivate", "/")
    if config["own_root"]:
        make_root_private(directory, config["own_root"], config["keep_visible"])
    mount_private(directory, config.get("disk_mib"))
    mount_sys()
    write_identity(directory, config)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for setting in ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables",
                    "net.bridge.bridge-nf-call-arptables"):
        path = Path("/proc/sys", setting.replace(".", "/"))
        if path.exists():
            path.write_text("0\n")  # the kernel's default differs by machine; this one is what Debian boots with
    if config["libvirt"]:
        start_libvirt(config)
    (directory / "ready").write_text("")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:  # whoever is orphaned becomes our child and has to be reaped, or libvirt waits for it in vain
        try:
            os.wait()
        except ChildProcessError:
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)


def main():
    directory = Path(sys.argv[1])
    config = json.loads((directory / "host.json").read_text())
    if "--stay" not in sys.argv:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    enter_cgroup(config["cgroup"])
    check(LIBC.unshare(NEW_NAMESPACES), "unshare")
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        try:
            process_one(directory, config)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"host: {error}", flush=True)
            os._exit(1)
    (directory / "pid.new").write_text(str(child))
    os.rename(directory / "pid.new", directory / "pid")
    os.waitpid(child, 0)


main()
