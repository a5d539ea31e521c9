"""The command line against a real pool: exit codes, output, batch, job files, errors that name what is wrong."""
import json
import os
import pathlib
import signal
import subprocess
import time

from pool import MUSTER, Pool, Skipped, main, poll, processes_with

pool = None


def exit_of(*words, **kw):
    done = pool.cli(*words, **kw)
    return done.returncode, done.stdout, done.stderr


def test_run_ends_as_the_task_ended():
    cases = [
        (["--", "true"], 0), (["--", "false"], 1), (["--", "sh", "-c", "exit 7"], 7),
        (["--", "sh", "-c", "kill -TERM $$"], 128 + 15), (["--", "sh", "-c", "kill -9 $$"], 128 + 9),
        (["--timeout", "200ms", "--", "sleep", "20"], 124), (["--", "/no/such/program"], 127),
        (["--", "no-such-program-anywhere"], 127), (["--", "/etc/passwd"], 126), (["--", "/etc"], 126),
    ]
    for words, want in cases:
        code, out, err = exit_of("run", *words)
        assert code == want, f"{words}: want {want}, got {code}: {out}{err}"


def test_run_streams_both_outputs():
    code, out, err = exit_of("run", "--", "sh", "-c", "echo out; echo err >&2")
    assert (code, out, err) == (0, "out\n", "err\n")


def test_run_keeps_binary_output():
    done = subprocess.run([MUSTER, "run", "--", "sh", "-c", r"printf '\377\000x\n'"], env=pool.env, stdout=subprocess.PIPE, timeout=30)
    assert done.stdout == b"\377\000x\n", done.stdout


def test_run_large_output_is_whole():
    done = subprocess.run([MUSTER, "run", "--", "sh", "-c", "seq 1 200000; exit 3"], env=pool.env, stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == 3
    assert done.stdout == b"".join(b"%d\n" % i for i in range(1, 200001))


def test_environment_and_folder_of_a_task():
    out = pool("run", "--env", "A=b c", "--cwd", "/usr", "--", "sh", "-c",
               "echo $MUSTER_JOB_ID $MUSTER_TASK_INDEX $MUSTER_ATTEMPT $MUSTER_NODE; echo $A; pwd")
    first, a, where = out.splitlines()
    job, index, attempt, node = first.split()
    assert int(job) > 0 and (index, attempt) == ("0", "1") and node.startswith("node"), first
    assert (a, where) == ("b c", "/usr")


def test_ctrl_c_cancels():
    marker = f"31{os.getpid()}"
    run = pool.popen("run", "--", "sleep", marker, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    poll(lambda: any("sleep" in pathlib.Path(f"/proc/{p}/comm").read_text() for p in processes_with(marker)), what="the task running")
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 128 + 15
    poll(lambda: not processes_with(marker), what="no process left")


def test_array_indices_and_logs():
    job = pool("submit", "--array", "5-25:10", "--", "sh", "-c", "echo $MUSTER_TASK_INDEX of $MUSTER_ARRAY_FIRST-$MUSTER_ARRAY_LAST").strip()
    assert pool.cli("wait", job).returncode == 0
    assert sorted(t["index"] for t in pool.lines("tasks", job)) == [5, 15, 25]
    assert pool("logs", f"{job}.15") == "15 of 5-25\n"
    assert exit_of("logs", f"{job}.16")[0] == 3


def test_retries_then_success():
    flag = pool.dir / "flag"
    job = pool("submit", "--retries", 2, "--backoff", "10ms", "--", "sh", "-c", f"test -e {flag} || {{ touch {flag}; exit 1; }}").strip()
    assert pool.cli("wait", job).returncode == 0
    (task,) = pool.lines("tasks", job)
    assert task["attempt"] == 2 and task["state"] == "succeeded", task


def test_retry_verb_runs_only_what_failed():
    ran = pool.dir / "ran"
    job = pool("submit", "--array", "0-3", "--", "sh", "-c", f"echo $MUSTER_TASK_INDEX >>{ran}; test $MUSTER_TASK_INDEX != 2 || test -e {ran}.ok").strip()
    assert pool.cli("wait", job).returncode == 1
    (ran.parent / "ran.ok").touch()
    pool("retry", job)
    assert pool.cli("wait", job).returncode == 0
    assert sorted(ran.read_text().split()) == ["0", "1", "2", "2", "3"]


def test_dag_in_a_file():
    trace = pool.dir / "trace"
    (pool.dir / "dag.yaml").write_text(f"""
name: dag
tasks:
  - name: total
    script: echo total >>{trace}
    after: [merge]
  - name: part
    command: [sh, -c, "echo part$MUSTER_TASK_INDEX >>{trace}"]
    array: 3-5
  - name: merge
    script: echo merge >>{trace}
    after: [part]
""")
    job = pool("submit", "-f", pool.dir / "dag.yaml").strip()
    assert pool.cli("wait", job).returncode == 0
    words = trace.read_text().split()
    assert sorted(words[:3]) == ["part3", "part4", "part5"] and words[3:] == ["merge", "total"], words
    assert pool.json("job", job)["counts"]["succeeded"] == 5


def test_file_errors_have_line_and_column():
    cases = [
        ("name: x\ntasks:\n  - name: a\n    comand: [true]\n", ":4:5:"),
        ("name: x\nname: y\n", ":2:1:"),
        ("tasks:\n  - name: a\n    command: [a]\n    after: [b]\n", ":4:"),
        ("tasks:\n  - name: a\n    command: [a]\n    resources: {cpus: many}\n", ":4:"),
        ("tasks: [\n", ":2:1:"),
        ("command: [a]\narray: 0-999999999999\n", ":2:1:"),
        ("tasks:\n  - {name: a, command: [a], after: [b]}\n  - {name: b, command: [a], after: [a]}\n", "cycle"),
    ]
    before = len(pool.lines("jobs", "--limit", 1000))
    for text, want in cases:
        path = pool.dir / "bad.yaml"
        path.write_text(text)
        code, out, err = exit_of("submit", "-f", path)
        assert code == 2 and want in err and out == "", f"{text!r}: exit {code}, {err!r} lacks {want!r}"
    assert len(pool.lines("jobs", "--limit", 1000)) == before, "something of a bad file was accepted"


def test_usage_errors_name_the_flag():
    cases = [
        (["run", "--cpu", "1", "--", "true"], "--cpus"), (["submit", "--arry", "0-1", "--", "true"], "--array"),
        (["run"], "usage"), (["frobnicate"], "frobnicate"), (["jobs", "--limit", "x"], "--limit"),
        (["job", "x"], "x"), (["submit", "--array", "0-1"], "what is to run"), (["runn", "--", "true"], '"run"'),
        (["submit", "--retries", "-1", "--", "true"], "retries"), (["submit", "--mem", "lots", "--", "true"], "mem"),
        (["run", "--cpus", "1", "--cpus", "2", "--", "true"], "--cpus"), (["nodes", "extra"], "extra"),
    ]
    for words, want in cases:
        code, out, err = exit_of(*words)
        assert code == 2 and want in err, f"{words}: exit {code}: {err!r} lacks {want!r}"


def test_exit_codes_of_verbs():
    assert exit_of("job", 999999)[0] == 3
    assert exit_of("cancel", 999999)[0] == 3
    assert exit_of("node", "nowhere")[0] == 3
    assert exit_of("jobs", "--token", "wrong")[0] == 4
    assert exit_of("jobs", "--server", "http://127.0.0.1:1")[0] == 5
    code, _, err = exit_of("submit", "--cpus", "1000", "--", "true")
    assert code == 4 and "cpus" in err, (code, err)
    assert exit_of("policy", "set", "order", "nonsense")[0] == 2


def test_same_key_same_job():
    a = pool("submit", "--key", "k1", "--", "true").strip()
    b = pool("submit", "--key", "k1", "--", "true").strip()
    assert a == b
    code, _, err = exit_of("submit", "--key", "k1", "--", "false")
    assert code == 4 and "k1" in err, err


def test_hold_release_cancel():
    job = pool("submit", "--hold", "--", "true").strip()
    assert pool.json("job", job)["state"] == "held"
    assert "held" in pool("explain", job)
    pool("release", job)
    assert pool.cli("wait", job).returncode == 0
    job = pool("submit", "--hold", "--array", "0-9", "--", "true").strip()
    pool("cancel", f"{job}.3")
    assert pool.json("job", job)["counts"]["cancelled"] == 1
    pool("cancel", job)
    assert pool.cli("wait", job).returncode == 1
    assert pool.json("job", job)["counts"]["cancelled"] == 10


def test_after_any_and_never():
    bad = pool("submit", "--", "false").strip()
    ok = pool("submit", "--after-any", bad, "--", "true").strip()
    never = pool("submit", "--after", bad, "--", "true").strip()
    assert pool.cli("wait", ok).returncode == 0
    assert pool.cli("wait", never).returncode == 1
    assert pool.json("job", never)["counts"]["cancelled"] == 1


def test_explain_names_the_shortage():
    blockers = pool("submit", "--array", "0-3", "--cpus", 2, "--", "sleep", 30).strip()
    poll(lambda: pool.json("job", blockers)["counts"]["running"] >= 2)
    job = pool("submit", "--cpus", 2, "--", "true").strip()
    why = pool.json("explain", job)
    assert why["state"] == "waiting" and why["text"], why
    pool("cancel", blockers)
    assert pool.cli("wait", job).returncode == 0
    assert "node" in pool("explain", job)


def test_drain_and_resume():
    pool("node", "drain", "node1")
    pool("node", "drain", "node2")
    job = pool("submit", "--", "true").strip()
    assert pool.json("node", "node1")["state"] == "draining"
    assert pool.json("job", job)["state"] == "waiting"
    pool("node", "resume", "node1")
    assert pool.cli("wait", job).returncode == 0
    pool("node", "resume", "node2")


def test_labels_and_node():
    pool("node", "label", "node2", "disk=ssd")
    assert pool("run", "--label", "disk=ssd", "--", "sh", "-c", "echo $MUSTER_NODE") == "node2\n"
    assert pool("run", "--node", "node1", "--", "sh", "-c", "echo $MUSTER_NODE") == "node1\n"
    out = pool("run", "--each-node", "--", "sh", "-c", "echo $MUSTER_NODE")
    assert sorted(out.split()) == ["node1", "node2"]


def test_policies_change_while_running():
    for name in ["random", "round-robin", "least-load", "least-response-time", "spread", "pack"]:
        pool("policy", "set", "place", name)
        assert pool.json("policy")["place"]["name"] == name
        assert pool.cli("run", "--array", "0-4", "--", "true").returncode == 0
    pool("policy", "set", "order", "fair")
    assert pool.cli("run", "--", "true").returncode == 0
    pool("policy", "set", "order", "fifo")


def test_batch_orders_and_lists_failures():
    lines = "".join(f"echo {i}; test {i} != 13\n" for i in range(100))
    code, out, err = exit_of("batch", "--keep-order", "-", input=lines)
    assert code == 1 and out.split() == [str(i) for i in range(100)], out
    assert "test 13 != 13" in err and "exit 1" in err, err
    code, out, err = exit_of("batch", input="# comment\n\nexpr 1 + 1\n")
    assert (code, out) == (0, "2\n")
    assert exit_of("batch", input="\n\n")[0] == 2


def test_batch_larger_than_one_part():
    lines = "".join(f"/bin/echo {i} {'x' * 300}\n" for i in range(2000))
    code, out, err = exit_of("batch", "--keep-order", "-", input=lines, timeout=120)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == [str(i) for i in range(2000)]


def test_batch_resumes():
    ran, ok = pool.dir / "batch-ran", pool.dir / "batch-ok"
    path = pool.dir / "lines"
    path.write_text("".join(f"echo {i} >>{ran}; test {i} != 7 || test -e {ok}; echo out{i}\n" if i != 7 else
                            f"echo {i} >>{ran}; test -e {ok}\n" for i in range(20)))
    assert exit_of("batch", path)[0] == 1
    ok.touch()
    code, out, err = exit_of("batch", "--resume", path)
    assert code == 0, err
    assert sorted(map(int, ran.read_text().split())) == sorted([*range(20), 7])
    assert out == "", out


def test_batch_streams_from_a_slow_pipe():
    batch = pool.popen("batch", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    batch.stdin.write(b"echo first\n")
    batch.stdin.flush()
    assert batch.stdout.readline() == b"first\n"
    batch.stdin.write(b"echo second\n")
    batch.stdin.close()
    assert batch.stdout.readline() == b"second\n"
    assert batch.wait(30) == 0


def test_follow_a_running_task():
    job = pool("submit", "--", "sh", "-c", f"echo one; while ! test -e {pool.dir}/go; do sleep 0.02; done; echo two").strip()
    logs = pool.popen("logs", job, "--follow", stdout=subprocess.PIPE)
    assert logs.stdout.readline() == b"one\n"
    (pool.dir / "go").touch()
    assert logs.stdout.readline() == b"two\n"
    assert logs.wait(30) == 0


def test_nothing_is_left_behind():
    marker = f"47{os.getpid()}"
    pool("run", "--", "sh", "-c", f"sleep {marker} & setsid sleep {marker} & (setsid sh -c 'sleep {marker}' &) ; true")
    poll(lambda: not processes_with(marker), seconds=10, what="no stray process")


def test_stdin_stdout_files():
    source, target = pool.dir / "in", pool.dir / "out"
    source.write_text("hello\n")
    pool("run", "--stdin", source, "--stdout", target, "--", "tr", "a-z", "A-Z")
    assert target.read_text() == "HELLO\n"


def test_memory_limit_kills_only_the_greedy():
    node = pool.json("node", "node1")
    if "mem" not in node["limits"] or "not enforced" in node["limits"]:
        raise Skipped(f"no memory limits here ({node['limits']})")
    done = pool.cli("run", "--mem", "20MiB", "--", "python3", "-c", "x = bytearray(200 * 1024 * 1024)")
    assert done.returncode != 0
    assert pool.cli("run", "--mem", "20MiB", "--", "true").returncode == 0


def test_help_version_completion_manual():
    assert "usage: muster run" in pool("help", "run")
    assert pool("--version").startswith("muster ")
    assert "complete" in pool("completion")
    assert ".SH NAME" in pool("manual", "batch")
    assert exit_of("help", "nonsense")[0] == 2
    done = subprocess.run(["bash", "-n"], input=pool("completion"), text=True)
    assert done.returncode == 0


def test_stats_and_json():
    stats = pool.json("stats")
    assert stats["stages"]["response"]["count"] > 0
    assert all(isinstance(n["cpus"], (int, float)) for n in pool.lines("nodes"))
    assert pool.json("server", "status")["leader"]


if __name__ == "__main__":
    with Pool(nodes=2, cpus=2) as pool:
        main(globals())
