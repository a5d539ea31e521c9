"""A real pool of real processes for tests: starts `muster dev` (or single roles) in a temporary folder on free
loopback ports, runs the command line, kills by pid, and cleans up whatever happens."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

MUSTER = os.environ.get("MUSTER", str(pathlib.Path(__file__).resolve().parents[2] / "build" / "muster"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def poll(condition, seconds=20, what="the condition"):
    """The first true value of condition(); no sleeping for a fixed time in any test."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.01)


def children(pid):
    """Live processes below pid, by parent."""
    tree = {}
    for p in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = p.read_text()
            fields = text[text.rindex(")") + 2:].split()
            if fields[0] != "Z":
                tree.setdefault(int(fields[1]), []).append(int(p.parent.name))
    found, todo = [], [pid]
    while todo:
        below = tree.get(todo.pop(), [])
        found += below
        todo += below
    return found


def processes_with(marker):
    """Pids of live processes whose command line holds marker."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in p.read_bytes() and int(p.parent.name) != os.getpid():
                found.append(int(p.parent.name))
    return found


class Skipped(Exception):
    """Raised by a test that this machine cannot run: says what is missing."""


class Pool:
    """with Pool(nodes=2, cpus=2) as pool: pool("run", "--", "true")"""

    def __init__(self, nodes=1, cpus=2, keep=False, args=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="muster-e2e-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.args = ["dev", "--data", str(self.dir / "data"), "--listen", f"127.0.0.1:{self.port}",
                     "--nodes", str(nodes), "--cpus", str(cpus), *args]
        self.env = dict(os.environ, MUSTER_SERVER=self.url, XDG_CONFIG_HOME=str(self.dir / "config"),
                        XDG_STATE_HOME=str(self.dir / "state"))
        self.env.pop("MUSTER_TOKEN", None)
        self.env.pop("MUSTER_TOKEN_FILE", None)
        self.process = None
        self.log = open(self.dir / "log", "ab")

    def start(self):
        self.process = subprocess.Popen([MUSTER, *self.args], stdout=subprocess.PIPE, stderr=self.log, env=self.env,
                                        start_new_session=True)
        line = self.process.stdout.readline().decode()
        if not line.startswith("ready "):
            raise AssertionError(f"dev did not get ready: {line!r}\n{self.tail()}")
        return self

    def stop(self, signo=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signo)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("dev did not stop within 30 s\n" + self.tail())
        return self.process.returncode if self.process else None

    def tail(self, lines=40):
        self.log.flush()
        return "\n".join((self.dir / "log").read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, value, trace):
        if kind is not None:
            sys.stderr.write(f"--- log of the pool ---\n{self.tail()}\n---\n")
        self.close()

    def close(self):
        try:
            if self.process is not None and self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    self.process.kill()
        finally:
            for pid in processes_with(str(self.dir)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.log.close()
            shutil.rmtree(self.dir, ignore_errors=True)

    # -- the command line --
    def popen(self, *words, **kw):
        return subprocess.Popen([MUSTER, *map(str, words)], env=self.env, **kw)

    def cli(self, *words, input=None, timeout=60, cwd=None, env=None):
        """The finished process, whatever its exit code."""
        return subprocess.run([MUSTER, *map(str, words)], env=dict(self.env, **(env or {})), input=input, cwd=cwd,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True)

    def __call__(self, *words, **kw):
        """stdout of a call that must succeed."""
        done = self.cli(*words, **kw)
        if done.returncode != 0:
            raise AssertionError(f"muster {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *words, **kw):
        return json.loads(self(*words, "--json", **kw))

    def lines(self, *words, **kw):
        return [json.loads(line) for line in self(*words, "--json", **kw).splitlines()]

    # -- HTTP --
    @property
    def token(self):
        return (self.dir / "data" / "server" / "token").read_text().strip()

    def http(self, method, path, body=None, headers=None, token=True, timeout=30):
        """(status, headers, bytes)"""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=dict(headers or {}))
        if token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if data is not None and "Content-type" not in request.headers:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    # -- processes --
    def pids(self, role):
        """Pids of "server", "agent" or "spawner" of this pool."""
        word = {"server": "server", "agent": "agent", "spawner": "muster-spawner"}[role]
        found = []
        for pid in processes_with(str(self.dir)):
            with contextlib.suppress(OSError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if role == "spawner" and words[0].endswith(b"muster-spawner"):
                    found.append(pid)
                elif len(words) > 1 and words[1].decode() == word and words[0] == b"muster":
                    found.append(pid)
        return found

    def kill(self, role, which=0, signo=signal.SIGKILL):
        pid = self.pids(role)[which]
        os.kill(pid, signo)
        return pid


def main(tests):
    """Run functions named test_*; prints one line each and a closing count; exit status for meson."""
    only = sys.argv[1:]
    passed = failed = 0
    for name, test in list(tests.items()):
        if not name.startswith("test_") or (only and name not in only):
            continue
        try:
            test()
            passed += 1
            print(f"ok {name}", flush=True)
        except Skipped as e:
            print(f"ok {name} # skip {e}", flush=True)
        except Exception as e:  # noqa: BLE001 -- every failure is reported, then the next test runs
            import traceback
            failed += 1
            traceback.print_exc()
            print(f"not ok {name}: {e}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
