"""The runner of test programs written in Python: named cases in the order of the file, counted for tests/run.

    @case("a stopped guest starts again")
    def start_again(lab): ...

    if __name__ == "__main__":
        run_cases(make_lab)

`make_lab` is a context manager: what all cases of the file share. A case fails by an exception; TestFailure is one with
a sentence. `skip(reason)` is for what can't run where it stands.
"""
import subprocess
import sys
import time
import traceback

from host import TestFailure


class Skipped(Exception):
    pass


CASES = []


def case(name):
    def register(function):
        CASES.append((name, function))
        return function

    return register


def skip(reason):
    raise Skipped(reason)


def check(condition, sentence):
    if not condition:
        raise TestFailure(sentence)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: {got!r}, wanted {wanted!r}")


def run_cases(make_lab):
    """Runs all cases, or those whose names contain a word of the command line; prints the tally; ends the program."""
    words = sys.argv[1:]
    wanted = [(name, function) for name, function in CASES if not words or any(word in name for word in words)]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        with make_lab() as lab:
            for name, function in wanted:
                counts[_run(name, function, lab)] += 1
    except Exception as error:  # pylint: disable=broad-except
        _tell("FAILED", "the lab", error)
        counts["failed"] += 1
    print(f"tally: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    sys.exit(1 if counts["failed"] else 0)


def _run(name, function, lab):
    started = time.monotonic()
    try:
        function(lab)
    except Skipped as reason:
        print(f"SKIPPED: {name}: {reason}", flush=True)
        return "skipped"
    except Exception as error:  # pylint: disable=broad-except
        _tell("FAILED", name, error)
        if hasattr(lab, "describe"):
            print(lab.describe(), flush=True)
        return "failed"
    print(f"   {time.monotonic() - started:.1f} s", flush=True)
    print(f"ok: {name}", flush=True)
    return "passed"


def _tell(word, name, error):
    if isinstance(error, (TestFailure, subprocess.TimeoutExpired)):
        print(f"{word}: {name}: {error}", flush=True)
    else:
        print(f"{word}: {name}: {type(error).__name__}: {error}\n{traceback.format_exc()}", flush=True)
