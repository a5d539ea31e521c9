"""kill -9 of server, agent and spawner at random moments: every acknowledged task ends exactly once in the record, no two
live attempts of a task at once; the evidence is written by the payload itself."""
import json
import os
import random
import signal
import time

from pool import Pool, main, poll

SEED = int(os.environ.get("MUSTER_SEED", random.SystemRandom().randrange(1 << 32)))
SECONDS = float(os.environ.get("MUSTER_KILL_SECONDS", "20"))


def payload(evidence):
    """Appends "start/end index attempt pid time" in single writes; O_APPEND keeps lines whole."""
    return ("t() { printf '%s %s %s %s %s\\n' $1 $MUSTER_TASK_INDEX $MUSTER_ATTEMPT $$ $(date +%s%N) >>" + str(evidence) + "; }; "
            "t start; sleep 0.0$((MUSTER_TASK_INDEX % 9)); t end")


def check_evidence(path, acknowledged, retried_ok):
    """No two attempts of a task overlap; every task has a whole attempt."""
    spans, open_ = {}, {}
    for line in path.read_text().splitlines():
        what, index, attempt, pid, at = line.split()
        key = (index, attempt)
        if what == "start":
            assert key not in open_, f"attempt {key} started twice"
            open_[key] = int(at)
        else:
            spans.setdefault(int(index), []).append((open_.pop(key), int(at), int(attempt)))
    for index in range(acknowledged):
        assert spans.get(index), f"task {index} never ran to its end"
        done = sorted(spans[index])
        for (_, end, a), (start, _, b) in zip(done, done[1:]):
            assert start >= end, f"task {index}: attempts {a} and {b} overlap"
            assert retried_ok, f"task {index} ran to its end twice"
    return spans


def _job(pool, job):
    done = pool.cli("job", job, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {"ended": None}


def test_server_killed_again_and_again():
    rng = random.Random(SEED)
    with Pool(nodes=2, cpus=2) as pool:
        evidence = pool.dir / "evidence"
        evidence.touch()
        count = 400
        job = pool("submit", "--array", f"0-{count - 1}", "--cpus", "0.2", "--", "sh", "-c", payload(evidence)).strip()
        end, kills = time.monotonic() + SECONDS, 0
        while time.monotonic() < end and not _job(pool, job).get("ended"):
            time.sleep(rng.uniform(0.05, 0.8))
            for pid in pool.pids("server"):
                os.kill(pid, signal.SIGKILL)
                kills += 1
        state = poll(lambda: (lambda j: j if j.get("ended") else None)(_job(pool, job)), seconds=90, what="the job's end")
        assert kills >= 2, f"only {kills} kills: not a test"
        assert state["counts"]["succeeded"] == count, state["counts"]
        check_evidence(evidence, count, False)
        assert all(t["attempt"] == 1 for t in pool.lines("tasks", job)), "a killed server disturbs no task"


def test_agent_killed_again_and_again():
    rng = random.Random(SEED + 1)
    with Pool(nodes=2, cpus=2) as pool:
        evidence = pool.dir / "evidence"
        evidence.touch()
        count = 400
        job = pool("submit", "--array", f"0-{count - 1}", "--cpus", "0.2", "--", "sh", "-c", payload(evidence)).strip()
        end, kills = time.monotonic() + SECONDS, 0
        while time.monotonic() < end and not _job(pool, job).get("ended"):
            time.sleep(rng.uniform(0.05, 0.8))
            pids = pool.pids("agent")
            if pids:
                os.kill(rng.choice(pids), signal.SIGKILL)
                kills += 1
        state = poll(lambda: (lambda j: j if j.get("ended") else None)(_job(pool, job)), seconds=90, what="the job's end")
        assert kills >= 2, f"only {kills} kills: not a test"
        assert state["counts"]["succeeded"] == count, state["counts"]
        check_evidence(evidence, count, False)


def test_spawner_killed_loses_only_what_ran_there():
    rng = random.Random(SEED + 2)
    with Pool(nodes=2, cpus=2) as pool:
        evidence = pool.dir / "evidence"
        evidence.touch()
        count = 300
        job = pool("submit", "--array", f"0-{count - 1}", "--cpus", "0.2", "--", "sh", "-c", payload(evidence)).strip()
        for _ in range(2):
            time.sleep(rng.uniform(0.3, 1.5))
            pids = pool.pids("spawner")
            if pids:
                os.kill(rng.choice(pids), signal.SIGKILL)
        state = poll(lambda: (lambda j: j if j.get("ended") else None)(_job(pool, job)), seconds=90, what="the job's end")
        assert state["counts"]["succeeded"] + state["counts"]["lost"] == count, state["counts"]
        assert state["counts"]["succeeded"] > count * 0.9
        assert len(pool.lines("tasks", job)) == count


def test_acknowledged_submits_survive():
    rng = random.Random(SEED + 3)
    with Pool(nodes=1, cpus=2) as pool:
        acknowledged = {}
        end = time.monotonic() + SECONDS / 2
        n = 0
        while time.monotonic() < end:
            key = f"key-{n}"
            done = pool.cli("submit", "--key", key, "--", "true")
            if done.returncode == 0:
                acknowledged[key] = done.stdout.strip()
                n += 1
            if rng.random() < 0.05:
                for pid in pool.pids("server"):
                    os.kill(pid, signal.SIGKILL)
        assert len(acknowledged) > 20, "hardly any submit was accepted"
        poll(lambda: pool.cli("nodes").returncode == 0, what="the server back")
        for key, job in acknowledged.items():
            assert pool("submit", "--key", key, "--", "true").strip() == job, f"{key} was acknowledged as {job}"
        for job in acknowledged.values():
            assert pool.cli("wait", job, timeout=60).returncode == 0


def test_dev_goes_on_where_it_was():
    pool = Pool(nodes=1, cpus=1)
    try:
        pool.start()
        done = pool("submit", "--", "true").strip()
        pool("wait", done)
        waiting = pool("submit", "--hold", "--", "true").strip()
        long = pool("submit", "--", "sleep", "0.5").strip()
        assert pool.stop() == 0
        pool.start()
        assert pool.json("job", done)["state"] == "succeeded"
        assert pool.json("job", waiting)["state"] == "held"
        pool("release", waiting)
        assert pool.cli("wait", waiting).returncode == 0
        assert pool.cli("wait", long).returncode == 0
    finally:
        pool.close()


if __name__ == "__main__":
    print(f"seed {SEED} (MUSTER_SEED={SEED} repeats it)")
    main(globals())
