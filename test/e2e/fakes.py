"""A real `muster server` and a node that is only a script, for tests of the API: what the node does is decided here."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from pool import MUSTER, poll


class Server:
    """with Server() as s: s.get("/v1/jobs")"""

    def __init__(self, args=(), dir=None, env=None):
        self.own = dir is None
        self.dir = pathlib.Path(dir or tempfile.mkdtemp(prefix="muster-api-"))
        self.data = self.dir / "data"
        self.args = list(args)
        self.env = dict(os.environ, XDG_CONFIG_HOME=str(self.dir / "config"), **(env or {}))
        for name in ("MUSTER_TOKEN", "MUSTER_TOKEN_FILE"):
            if name not in (env or {}):
                self.env.pop(name, None)
        self.process = None
        self.log = open(self.dir / "server.log", "ab")
        self.listen = "127.0.0.1:0"

    def start(self):
        self.process = subprocess.Popen([MUSTER, "server", "--data", str(self.data), "--listen", self.listen, *self.args],
                                        stdout=subprocess.PIPE, stderr=self.log, env=self.env)
        line = self.process.stdout.readline().decode()
        if not line.startswith("ready "):
            self.process.wait(10)
            raise AssertionError(f"not ready: {line!r}, exit {self.process.returncode}\n{self.tail()}")
        self.url = line.split()[1]
        self.host, self.port = self.url.removeprefix("http://").rsplit(":", 1)
        self.listen = f"{self.host}:{self.port}"
        return self

    def stop(self, signo=signal.SIGTERM):
        self.process.send_signal(signo)
        return self.process.wait(20)

    def restart(self, signo=signal.SIGKILL):
        self.stop(signo)
        return self.start()

    def tail(self):
        self.log.flush()
        return (self.dir / "server.log").read_text(errors="replace")[-4000:]

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and self.process.poll() is None:
                code = self.stop()
                assert code == 0 and "runtime error" not in self.tail(), f"stopped with {code}\n{self.tail()}"
        finally:
            if kind is not None:
                print(f"--- server's log ---\n{self.tail()}---")
            self.close()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        if self.own:
            shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def token(self):
        return (self.data / "token").read_text().strip()

    def connect(self, timeout=30):
        return http.client.HTTPConnection(self.host, int(self.port), timeout=timeout)

    def call(self, method, path, body=None, type="application/json", token=None, headers=None, timeout=30):
        """(status, headers, bytes)"""
        c = self.connect(timeout)
        head = dict(headers or {})
        if token is not False:
            head["Authorization"] = f"Bearer {token or self.token}"
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None and type:
            head["Content-Type"] = type
        with contextlib.closing(c):
            c.request(method, path, body=body, headers=head)
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read()

    def json(self, method, path, body=None, want=200, **kw):
        status, _, text = self.call(method, path, body, **kw)
        assert status == want, f"{method} {path}: want {want}, got {status}: {text[:500]!r}"
        return json.loads(text)

    def get(self, path, want=200, **kw):
        return self.json("GET", path, want=want, **kw)

    def submit(self, **spec):
        spec.setdefault("command", ["true"])
        return self.json("POST", "/v1/jobs", spec, want=201)["id"]

    def wait(self, job, seconds=30):
        return self.get(f"/v1/jobs/{job}/wait?timeout={seconds}s", timeout=seconds + 10)

    def stream(self, path, headers=None, timeout=30):
        """The open answer, for reading line by line; close it by `with`."""
        c = self.connect(timeout)
        c.request("GET", path, headers={"Authorization": f"Bearer {self.token}", **(headers or {})})
        answer = c.getresponse()
        assert answer.status == 200, (answer.status, answer.read())
        answer.connection = c
        return answer


# -- protobuf and frames, as far as a node needs them --
def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(tag, value):
    if isinstance(value, (bytes, str)):
        value = value.encode() if isinstance(value, str) else value
        return varint(tag << 3 | 2) + varint(len(value)) + value
    return varint(tag << 3) + varint(value) if value else b""


def message(**fields):
    """message(f1=..., f2=[...]): tags are in the names."""
    out = b""
    for name, value in fields.items():
        for v in value if isinstance(value, list) else [value]:
            out += field(int(name[1:]), v)
    return out


def read_varint(b, at):
    n = shift = 0
    while True:
        n |= (b[at] & 127) << shift
        shift += 7
        at += 1
        if b[at - 1] < 128:
            return n, at


def fields(b):
    """{tag: [values]}"""
    out, at = {}, 0
    while at < len(b):
        key, at = read_varint(b, at)
        if key & 7 == 0:
            value, at = read_varint(b, at)
        else:
            n, at = read_varint(b, at)
            value, at = b[at:at + n], at + n
        out.setdefault(key >> 3, []).append(value)
    return out


def one(f, tag, default=0):
    return f.get(tag, [default])[-1]


HELLO, WELCOME, REFUSE, SPEC, START, STOP, REPORT, ACK, PING, PONG, OUTPUT_GET, OUTPUT_DATA, OUTPUT_STOP, FORGET = range(1, 15)
EXIT, SIGNAL, TIMEOUT, CANCEL = range(4)


class Task:
    def __init__(self, job, ordinal, attempt, index, line):
        self.job, self.ordinal, self.attempt, self.index, self.line = job, ordinal, attempt, index, line
        self.how, self.code, self.stdout, self.stderr, self.over = EXIT, 0, b"", b"", False


class FakeNode:
    """with FakeNode(server, "n1", cpus=4) as node: ends every task at once as run(task) leaves it; with hold=True tasks run
    until node.end(task)."""

    def __init__(self, server, name="n1", cpus=2, mem=1 << 30, run=None, hold=False, labels=(), token=None, ping=True):
        self.server, self.name, self.cpus, self.mem, self.run, self.hold = server, name, cpus, mem, run, hold
        self.labels, self.token, self.ping = labels, token, ping
        self.tasks, self.running, self.unacked, self.gets, self.stopped = {}, [], [], [], []
        self.lock = threading.RLock()
        self.reports = self.sent_pings = self.acked = 0
        self.cluster, self.boot, self.silent, self.closed = b"", f"boot-{time.time_ns()}", False, False
        self.welcomed = threading.Event()

    def __enter__(self):
        self.connect()
        return self

    def connect(self, seconds=10):
        self.closed = False
        self.welcomed.clear()
        self.sock = socket.create_connection((self.server.host, int(self.server.port)))
        token = self.token or self.server.token
        self.sock.sendall(f"GET /v1/agent HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n"
                          f"Upgrade: muster-agent\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.sock.recv(1)
            assert piece, head
            head += piece
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.reports = 0
        hello = message(f1=self.cluster, f2=self.name, f3=self.boot, f4="test", f6=self.cpus * 1000, f7=self.mem,
                        f10=list(self.labels), f12="none",
                        f13=[message(f1=t.job, f2=t.ordinal, f3=t.attempt, f4=4) for t in self.running + [t for _, t in self.unacked]])
        self.send(HELLO, hello)
        threading.Thread(target=self.read_all, args=(self.sock,), daemon=True).start()
        assert self.welcomed.wait(seconds), "no WELCOME"
        if self.ping:
            threading.Thread(target=self.ping_all, args=(self.sock,), daemon=True).start()

    def reconnect(self, seconds=20):
        """As an agent does after a broken or refused connection, until it is welcome; then it reports again."""
        def attempt():
            with contextlib.suppress(OSError, AssertionError):
                self.close()
                self.connect(1)
                return True
        poll(attempt, seconds, "a welcome")
        again, self.unacked = [t for _, t in self.unacked], []
        if again:
            self.report([], again)

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closed = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def send(self, type, payload):
        with self.lock, contextlib.suppress(OSError):
            self.sock.sendall(struct.pack("<IHHQ", len(payload), type, 1, 0) + payload)

    def ping_all(self, sock):
        while not self.closed and sock is self.sock:
            if not self.silent:
                self.send(PING, message(f1=time.monotonic_ns() // 1000, f2=100, f3=1 << 20, f4=1 << 30, f5=len(self.running)))
            time.sleep(0.2)

    def read_exactly(self, sock, n):
        out = bytearray()
        while len(out) < n:
            piece = sock.recv(n - len(out))
            if not piece:
                raise ConnectionError
            out += piece
        return bytes(out)

    def read_all(self, sock):
        with contextlib.suppress(OSError, ConnectionError):
            while True:
                size, type, _, epoch = struct.unpack("<IHHQ", self.read_exactly(sock, 16))
                self.on_frame(type, fields(self.read_exactly(sock, size)))

    def on_frame(self, type, f):
        if type == WELCOME:
            self.cluster, self.lease_ms = one(f, 1), one(f, 3)
            self.welcomed.set()
        elif type == ACK:
            self.unacked = [(n, t) for n, t in self.unacked if n > one(f, 1)]
        elif type == START:
            self.on_start([fields(t) for t in f.get(1, [])])
        elif type == STOP:
            for t in map(fields, f.get(1, [])):
                self.stopped.append((one(t, 1), one(t, 2), one(t, 3)))
                task = self.tasks.get(self.stopped[-1])
                if task in self.running:
                    self.end(task, how=one(t, 4), code=15)
        elif type == OUTPUT_GET and not self.silent:
            self.on_get(f)

    def on_start(self, starts):
        started, ended = [], []
        with self.lock:
            for f in starts:
                t = Task(one(f, 1), one(f, 2), one(f, 3), one(f, 5), one(f, 6, b""))
                self.tasks[t.job, t.ordinal, t.attempt] = t
                if self.run:
                    self.run(t)
                started.append(t)
                if self.hold:
                    self.running.append(t)
                else:
                    t.over = True
                    ended.append(t)
            self.report(started, ended)

    def report(self, started, ended):
        with self.lock:
            self.reports += 1
            self.unacked += [(self.reports, t) for t in ended]
            self.send(REPORT, message(
                f1=self.reports, f2=[message(f1=t.job, f2=t.ordinal, f3=t.attempt) for t in started],
                f3=[message(f1=t.job, f2=t.ordinal, f3=t.attempt, f4=t.how, f5=t.code, f7=1500, f8=700, f9=300, f10=1 << 20,
                            f11=len(t.stdout), f12=len(t.stderr)) for t in ended]))

    def end(self, task, how=EXIT, code=0):
        with self.lock:
            task.how, task.code, task.over = how, code, True
            self.running.remove(task)
            self.report([], [task])
            self.pump()

    def find(self, job, ordinal=0, attempt=1, seconds=10):
        return poll(lambda: self.tasks.get((job, ordinal, attempt)), seconds, f"the start of {job}.{ordinal}")

    def write(self, task, stdout=b"", stderr=b""):
        with self.lock:
            task.stdout += stdout
            task.stderr += stderr
            self.pump()

    def on_get(self, f):
        with self.lock:
            get = {"req": one(f, 1), "key": (one(f, 2), one(f, 3), one(f, 4)), "stream": one(f, 5), "offset": one(f, 6),
                   "follow": bool(one(f, 7)), "limit": one(f, 8)}
            if get["key"] not in self.tasks:
                self.send(OUTPUT_DATA, message(f1=get["req"], f6="unknown attempt"))
                return
            self.gets.append(get)
            self.pump()

    def pump(self):
        """Answer the open requests as far as there is something to say."""
        for get in list(self.gets):
            t = self.tasks[get["key"]]
            have = t.stdout if get["stream"] == 1 else t.stderr
            piece = have[get["offset"]:get["offset"] + min(get["limit"] or 1 << 16, 1 << 16)]
            rest = len(have) - get["offset"] - len(piece)
            end = rest == 0 and (t.over or not get["follow"])
            if piece or end:
                self.send(OUTPUT_DATA, message(f1=get["req"], f2=get["offset"], f3=piece, f4=int(end)))
                get["offset"] += len(piece)
                get["limit"] -= len(piece)
            if end or get["limit"] <= 0:
                self.gets.remove(get)
            elif rest > 0:
                self.pump()
