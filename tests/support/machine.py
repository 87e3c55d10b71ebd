"""What tests that boot a whole machine in QEMU share. The image is made by build-machine beside this."""
import subprocess
from pathlib import Path


def accelerator(emulated="max"):
    """KVM where it can be relied on, else emulation of a processor; a /dev/kvm alone says little."""
    if any(Path("/sys/module", module).exists() for module in ("kvm_intel", "kvm_amd")):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", emulated]


def make_disk(path, size, label, content=None):
    """A file system with what lies in the directory `content`; nothing is mounted for it."""
    with open(path, "wb") as file:
        file.truncate(size)
    fill = ["-d", str(content)] if content else []
    subprocess.run(["mkfs.ext4", "-q", "-L", label, *fill, str(path)], check=True)


def qemu(image, memory_mib, append, *words, cpus=2, emulated="max"):
    """The command that boots the machine of the directory `image`; its root is the first disk."""
    return ["qemu-system-x86_64", *accelerator(emulated), "-m", str(memory_mib), "-smp", str(cpus), "-display", "none",
            "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"),
            "-append", f"root=/dev/vda rw console=ttyS0 quiet systemd.show_status=no {append}", *words]
