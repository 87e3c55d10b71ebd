"""How much of a machine a process takes."""
import os
import re
from pathlib import Path


def process_levels(process):
    """Of a folder in /proc: memory (MiB that are its own, not mapped from files), open files, threads."""
    status = (Path(process) / "status").read_text()
    return {"memory": int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) / 1024,
            "files": len(os.listdir(Path(process) / "fd")),
            "threads": int(re.search(r"Threads:\s+(\d+)", status).group(1))}
