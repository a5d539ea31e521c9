#!/usr/bin/env python3
"""The end-to-end figures as one table: muster beside bare limits and the peers that are installed, in the same run.
usage: table.py BUILD [--quick] [--write FILE]"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "test" / "e2e"))
import pool as e2e  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("build", type=pathlib.Path)
parser.add_argument("--quick", action="store_true")
parser.add_argument("--write")
options = parser.parse_args()
build = options.build.resolve()
e2e.MUSTER = str(build / "muster")
rows = []


def row(what, ours, beside, ratio, target):
    rows.append((what, ours, beside, ratio, target))
    print(f"{what:58} {ours:>22}  {beside:>34}  {ratio:>7}  target {target}", flush=True)


def rss(pid, field="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def mb(n):
    return f"{n / 1e6:.1f} MB"


def bare(tasks):
    return float(subprocess.run([build / "bench/bench-bare", str(tasks), "2", "/bin/true"], stdout=subprocess.PIPE, check=True).stdout)


def xargs(tasks):
    began = time.monotonic()
    subprocess.run(["xargs", "-P2", "-n1", "/bin/true"], input="x\n" * tasks, text=True, check=True)
    return tasks / (time.monotonic() - began)


def parallel(tasks):
    began = time.monotonic()
    subprocess.run(["parallel", "-j2", "/bin/true"], input="".join(f"{i}\n" for i in range(tasks)), text=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return tasks / (time.monotonic() - began)


def batch(tasks, rounds):
    """Alternating rounds, so that both see the same machine; the median of the ratios."""
    ours, limits, ratios = [], [], []
    with e2e.Pool(nodes=1, cpus=2) as pool:
        lines = pool.dir / "lines"
        lines.write_text("/bin/true\n" * tasks)
        pool("batch", lines)
        for _ in range(rounds):
            limit = bare(tasks)
            began = time.monotonic()
            pool("batch", lines, timeout=300)
            ours.append(tasks / (time.monotonic() - began))
            limits.append(limit)
            ratios.append(ours[-1] / limit)
    beside = f"bare {statistics.median(limits):,.0f}/s, xargs {xargs(tasks):,.0f}/s"
    if shutil.which("parallel"):
        beside += f", parallel {parallel(tasks // 10):,.0f}/s"
    row(f"batch of {tasks:,} /bin/true, durable, output kept", f"{statistics.median(ours):,.0f}/s", beside,
        f"{statistics.median(ratios):.2f}", "0.80")


class Server:
    """A server with agents that end tasks at once (or none)."""

    def __init__(self, agents=4, cpus=2000):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="muster-bench-"))
        self.env = dict(os.environ, XDG_CONFIG_HOME=str(self.dir / "config"))
        self.port = e2e.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.agents = None
        self.start()
        if agents:
            self.agents = subprocess.Popen([build / "bench/bench-agents", self.url, self.token, str(agents), str(cpus)], stdout=subprocess.PIPE)
            assert self.agents.stdout.readline().startswith(b"joined")

    def start(self):
        began = time.monotonic()
        self.process = subprocess.Popen([e2e.MUSTER, "server", "--data", self.dir / "data", "--listen", f"127.0.0.1:{self.port}"],
                                        stdout=subprocess.PIPE, env=self.env, stderr=open(self.dir / "log", "ab"))
        assert self.process.stdout.readline().startswith(b"ready"), (self.dir / "log").read_text()
        self.token = (self.dir / "data" / "token").read_text().strip()
        return time.monotonic() - began

    def call(self, method, path, body=None, kind="application/json"):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        c.request(method, path, body, {"Authorization": f"Bearer {self.token}", **({"Content-Type": kind} if body else {})})
        answer = c.getresponse()
        data = answer.read()
        assert answer.status < 300, (answer.status, data[:300])
        return json.loads(data)

    def close(self):
        for p in (self.agents, self.process):
            if p:
                p.kill()
                p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def lines_of(first, count, size):
    return "".join(f"/bin/echo {i:09d} ".ljust(size - 1, "x") + "\n" for i in range(first, first + count))


def submit_lines(server, total, size, hold=False):
    """One open job, its lines in parts of about 1 MB, as muster batch does it."""
    part = max(1, 1_000_000 // size)
    job = server.call("POST", "/v1/jobs", json.dumps({"lines": lines_of(0, 100, size), "open": "stream", "hold": hold}))["id"]
    for first in range(100, total, part):
        count = min(part, total - first)
        last = "&last=1" if first + count == total else ""
        server.call("POST", f"/v1/jobs/{job}/tasks?from={first}{last}", lines_of(first, count, size), "text/plain")
    return job


def throughput(total):
    server = Server()
    try:
        began = time.monotonic()
        job = server.call("POST", "/v1/jobs", json.dumps({"command": ["/bin/true"], "array": f"0-{total - 1}"}))["id"]
        state = server.call("GET", f"/v1/jobs/{job}/wait?timeout=600s")
        rate = total / (time.monotonic() - began)
        assert state["counts"]["succeeded"] == total
        row(f"array of {total:,}: accepted, placed, ended, durable", f"{rate:,.0f}/s", "", f"{rate / 100000:.2f}", "100,000/s")
        began = time.monotonic()
        job = submit_lines(server, total, 100)
        server.call("GET", f"/v1/jobs/{job}/wait?timeout=600s")
        rate = total / (time.monotonic() - began)
        row(f"{total:,} distinct 100-byte commands, the same", f"{rate:,.0f}/s", "", f"{rate / 100000:.2f}", "100,000/s")
    finally:
        server.close()


def waiting(total):
    server = Server(agents=0)
    try:
        before = rss(server.process.pid)
        submit_lines(server, total, 100, hold=True)
        each = (rss(server.process.pid) - before) / total
        row(f"memory per waiting task, {total:,} distinct 100-byte commands", f"{each:.0f} B", "Redis list 108 B (known)", f"{each / 250:.2f}", "250 B")
        held = rss(server.process.pid)
        server.call("POST", "/v1/jobs", json.dumps({"command": ["/bin/true"], "array": f"0-{total - 1}", "hold": True}))
        row(f"memory of an array of {total:,}", mb(rss(server.process.pid) - held), "", "", "1 MB")
        times = []
        for _ in range(3):
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            times.append(server.start())
        row(f"kill -9 to ready with those {2 * total:,} waiting", f"{statistics.median(times):.2f} s", "Redis 0.35 s (known)",
            f"{statistics.median(times):.2f}", "1.0 s")
    finally:
        server.close()


def latency(rounds):
    with e2e.Pool(nodes=1, cpus=2) as pool:
        time.sleep(1)
        idle = {role: rss(pool.pids(role)[0]) for role in ("server", "agent", "spawner")}
        out = subprocess.run([build / "bench/bench-latency", pool.url, pool.token, str(rounds), "/bin/true"], stdout=subprocess.PIPE, check=True).stdout
        p50, p99 = map(float, out.split())
        one = 1000 / float(subprocess.run([build / "bench/bench-bare", "300", "1", "/bin/true"], stdout=subprocess.PIPE, check=True).stdout)
        row("submit to ended of one /bin/true, idle", f"p50 {p50:.2f}, p99 {p99:.2f} ms", f"spawn+wait alone {one:.2f} ms", f"{p50 / 3:.2f}", "p50 3 ms")
        row("idle memory: server, agent, spawner", ", ".join(mb(idle[r]) for r in idle), "", "", "16, 6, 0.5 MB")


def main():
    total = 100_000 if options.quick else 1_000_000
    batch(2000 if options.quick else 10_000, 1 if options.quick else 3)
    latency(100 if options.quick else 500)
    throughput(total)
    waiting(total)
    if options.write:
        with open(options.write, "w") as f:
            f.write("| what | measured | beside | ratio to target | at least |\n| --- | --- | --- | --- | --- |\n")
            for r in rows:
                f.write("| " + " | ".join(r) + " |\n")


main()
