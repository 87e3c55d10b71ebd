"""Gives a VolatileDisk to QEMU over NBD, in a process of its own, and pulls its plug when told to.

One thread, one client: requests are carried out in the order in which they come, each whole. After the cut nothing is
answered any more, and the connection is closed.
"""
import multiprocessing
import select
import socket
import struct
import time

from volatile_disk import VolatileDisk

OPTION_MAGIC, REPLY_MAGIC, REQUEST_MAGIC, SIMPLE_MAGIC = b"IHAVEOPT", 0x3E889045565A9, 0x25609513, 0x67446698
GO, ABORT = 7, 2
READ, WRITE, DISCONNECT, FLUSH = range(4)
HAS_FLAGS_AND_FLUSH = 1 | 4
UNSUPPORTED, INVALID = 0x80000001, 22


class DiskServer:
    """The end of it that a test holds."""

    def __init__(self, image, path):
        self.path = path
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(image, path, theirs, self._pipe), daemon=True)
        self._process.start()
        theirs.close()
        self._ask("stats")

    def _ask(self, *words, seconds=60):
        self._pipe.send(words)
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"the disk did not {words[0]} within {seconds} s")
        return self._pipe.recv()

    def stats(self):
        return self._ask("stats")

    def lie(self):
        return self._ask("lie")

    def cut(self, policy, seed, at_flush=False):
        """With at_flush: at the next flush, which is not carried out (or 2 s later, if none comes)."""
        return self._ask("cut-at-flush" if at_flush else "cut", policy, seed)

    def copy(self, name):
        return self._ask("copy", name)

    def restore(self, name):
        return self._ask("restore", name)

    def export(self, path):
        return self._ask("export", path, seconds=300)

    def stop(self):
        self._process.kill()
        self._process.join()


class _Gone(Exception):
    pass


def _serve(image, path, pipe, other_end):
    other_end.close()
    _Server(image, path, pipe).run()


class _Server:
    def __init__(self, image, path, pipe):
        self.disk = VolatileDisk(image)
        self.pipe = pipe
        self.states = {}
        self.client = None
        self.input = bytearray()
        self.cut_at = None  # (deadline, policy, seed): the next flush is the end
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()

    def run(self):
        while True:
            timeout = max(0, self.cut_at[0] - time.monotonic()) if self.cut_at else None
            watched = [self.pipe, self.listener, *([self.client] if self.client else [])]
            ready = select.select(watched, [], [], timeout)[0]
            if self.cut_at and time.monotonic() >= self.cut_at[0]:
                self._cut(*self.cut_at[1:])
            if self.pipe in ready:
                try:
                    self._command(*self.pipe.recv())
                except EOFError:
                    return
            if self.listener in ready:
                self._accept()
            if self.client in ready:
                try:
                    self._take()
                except (_Gone, OSError):
                    self._hang_up()

    def _command(self, word, *arguments):
        disk = self.disk
        if word == "cut":
            return self._cut(*arguments)
        if word == "cut-at-flush":
            self.cut_at = (time.monotonic() + 2, *arguments)
            return None
        if word == "copy":
            self.states[arguments[0]] = disk.copy()
        elif word == "restore":
            disk.restore(self.states[arguments[0]])
        elif word == "export":
            disk.export(*arguments)
        elif word == "lie":
            disk.lie()
        return self.pipe.send({"flushes": disk.flushes, "writes": disk.writes})

    def _cut(self, policy, seed):
        self.cut_at = None
        self._hang_up()
        self.pipe.send(self.disk.cut(policy, seed))

    def _hang_up(self):
        if self.client:
            self.client.close()
        self.client = None
        self.input.clear()

    # The connection: a short negotiation, then requests.
    def _accept(self):
        self._hang_up()
        self.client = self.listener.accept()[0]
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        try:
            self._negotiate()
        except (_Gone, OSError):
            self._hang_up()

    def _exactly(self, count):
        data = self.client.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise _Gone
        return data

    def _negotiate(self):
        self.client.sendall(b"NBDMAGIC" + OPTION_MAGIC + struct.pack(">H", 3))
        self._exactly(4)
        while True:
            _, option, length = struct.unpack(">8sII", self._exactly(16))
            if length:
                self._exactly(length)
            if option == GO:
                self._reply_option(option, 3, struct.pack(">HQH", 0, self.disk.size, HAS_FLAGS_AND_FLUSH))
                self._reply_option(option, 3, struct.pack(">HIII", 3, 512, 4096, 32 << 20))
                return self._reply_option(option, 1, b"")
            self._reply_option(option, 1 if option == ABORT else UNSUPPORTED, b"")
            if option == ABORT:
                raise _Gone

    def _reply_option(self, option, kind, data):
        self.client.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)

    def _take(self):
        data = self.client.recv(1 << 20)
        if not data:
            raise _Gone
        self.input += data
        answers = []
        while self.client and len(self.input) >= 28:
            magic, _, kind, handle, offset, length = struct.unpack_from(">IHHQQI", self.input)
            if magic != REQUEST_MAGIC:
                raise _Gone
            whole = 28 + (length if kind == WRITE else 0)
            if len(self.input) < whole:
                break
            payload = bytes(self.input[28:whole])
            del self.input[:whole]
            if kind == FLUSH and self.cut_at:
                return self._cut(*self.cut_at[1:])
            answers.append(self._request(kind, handle, offset, length, payload))
        self.client.sendall(b"".join(answers))
        return None

    def _request(self, kind, handle, offset, length, payload):
        error, data = 0, b""
        if kind == READ:
            data = self.disk.read(offset, length)
        elif kind == WRITE:
            self.disk.write(offset, payload)
        elif kind == FLUSH:
            self.disk.flush()
        elif kind == DISCONNECT:
            raise _Gone
        else:
            error = INVALID
        return struct.pack(">IIQ", SIMPLE_MAGIC, error, handle) + data

