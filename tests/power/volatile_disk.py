"""A disk with a volatile write cache: what was not flushed before the cut may be lost, torn, or written out of order.

Writes are kept in memory until a flush makes them durable; the file beneath is only read. Blocks of 4096 bytes (the
physical sector that the machine is told of) are written whole or not at all; a longer write may be torn between them.
What survives of a block is what it held after one of the writes since the last flush, or before all of them; which,
differs from block to block, so writes seem reordered.
"""
import os
import random

BLOCK = 4096
POLICIES = ("drop", "random", "torn", "newest", "keep")


class VolatileDisk:
    def __init__(self, path):
        self._file = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._file).st_size
        self._durable = {}  # block -> bytes, over the file
        self._volatile = {}  # what is read, over the durable
        self._pending = []  # (block, bytes after it) of each write since the last flush, in order; a write is a list
        self._honest_at = None  # the durable state since when the disk lies about flushes
        self.flushes = self.writes = 0

    def _block(self, number):
        for layer in (self._volatile, self._durable):
            if number in layer:
                return layer[number]
        return os.pread(self._file, BLOCK, number * BLOCK).ljust(BLOCK, b"\0")

    def read(self, offset, length):
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        if not any(number in self._volatile or number in self._durable for number in range(first, last + 1)):
            return os.pread(self._file, length, offset)
        start = offset - first * BLOCK
        return b"".join(self._block(number) for number in range(first, last + 1))[start:start + length]

    def write(self, offset, data):
        self.writes += 1
        after, at = [], 0
        while at < len(data):
            number, within = divmod(offset + at, BLOCK)
            count = min(BLOCK - within, len(data) - at)
            block = data[at:at + count]
            if count < BLOCK:
                old = self._block(number)
                block = old[:within] + block + old[within + count:]
            self._volatile[number] = block
            after.append((number, block))
            at += count
        self._pending.append(after)

    def flush(self):
        self.flushes += 1
        if self._honest_at is None:
            self._settle()

    def _settle(self):
        self._durable.update(self._volatile)
        self._volatile.clear()
        self._pending.clear()

    def lie(self):
        """From now on a flush is answered and does nothing."""
        self._settle()
        self._honest_at = True

    def cut(self, policy, seed):
        """The power is gone: what survives becomes the disk's state. Returns what happened to what was not flushed."""
        chance = random.Random(seed)
        counts = {"pending": len(self._pending), "kept": 0, "torn": 0}
        for after in self._pending:
            survived = [pair for pair in after if self._survives(policy, chance)] if policy == "torn" else (
                after if self._survives(policy, chance) else [])
            counts["kept"] += len(survived) == len(after)
            counts["torn"] += 0 < len(survived) < len(after)
            self._durable.update(survived)
        if policy == "newest" and self._pending:  # the other way round than it was written
            self._durable.update(self._pending[-1])
            counts["kept"] = 1
        self._volatile.clear()
        self._pending.clear()
        self._honest_at = None
        counts["lost"] = counts["pending"] - counts["kept"] - counts["torn"]
        return counts

    @staticmethod
    def _survives(policy, chance):
        if policy in ("drop", "newest"):
            return False
        return policy == "keep" or chance.random() < 0.5

    def copy(self):
        """The durable state, to come back to."""
        return dict(self._durable)

    def restore(self, state):
        self._durable = dict(state)
        self._volatile.clear()
        self._pending.clear()
        self._honest_at = None

    def export(self, path):
        """The durable state as a sparse file, for a look at it by hand."""
        with open(path, "wb") as file:
            file.truncate(self.size)
            for number in range(self.size // BLOCK):
                block = self._durable.get(number)
                if block is None:
                    block = os.pread(self._file, BLOCK, number * BLOCK)
                if block.strip(b"\0"):
                    os.pwrite(file.fileno(), block, number * BLOCK)
