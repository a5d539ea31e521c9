"""The HTTP API of a real server, route by route, with a node that is a script: answers, errors, streams, and what is left
after kill -9."""
import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from fakes import CANCEL, EXIT, SIGNAL, FakeNode, Server
from pool import MUSTER, Skipped, free_port, main, poll

METHODS = ("get", "put", "post", "delete")


def error_of(text):
    return json.loads(text)["error"]


def routes(server):
    """(method, path with values filled in, role) of every route."""
    paths = server.get("/openapi.json")["paths"]
    for path, verbs in paths.items():
        for method in METHODS:
            if method in verbs:
                filled = path.replace("{id}", "999").replace("{task}", "0").replace("{name}", "nobody")
                yield method.upper(), filled, verbs[method]["x-role"], path


# ---- who may ----

def test_every_route_wants_the_token():
    with Server() as s:
        found = list(routes(s))
        assert len(found) >= 30, len(found)
        for method, path, role, _ in found:
            for token in (False, "wrong-token-of-a-good-length", s.token + "x", s.token[:-1], "x" * 600):
                status, head, text = s.call(method, path, body=b"{}" if method in ("POST", "PUT") else None, token=token)
                if role == "none":
                    assert status in (200, 503), (method, path, status)
                else:
                    assert status == 401 and error_of(text)["code"] == "unauthorized", (method, path, token, status, text)
                    assert head["WWW-Authenticate"].startswith("Bearer"), head
            if not path.endswith(("/events", "/agent")):
                status, _, text = s.call(method, path, body=b"{}" if method in ("POST", "PUT") else None)
                assert status != 401, (method, path, text)
        for scheme in ("Basic " + base64.b64encode(b"a:b").decode(), "Bearer", s.token, "Bearer  " + s.token):
            status, _, _ = s.call("GET", "/v1/jobs", token=False, headers={"Authorization": scheme})
            assert status == 401, scheme
        assert s.call("GET", "/no/such/path", token=False)[0] == 401


def test_unknown_paths_and_methods():
    with Server() as s:
        for path in ("/", "/v2/jobs", "/v1/jobs/0", "/v1/jobs/x", "/v1/jobs/-1", "/v1/jobs/99999999999999999999", "/v1/jobs/1/tasks/x",
                     "/v1/jobs/1/nothing", "/v1", "/v1/nodes/%00", "/v1/jobs/1/tasks/0/stdin"):
            status, _, text = s.call("GET", path)
            assert status == 404 and error_of(text)["code"] == "not_found", (path, status, text)
        status, head, text = s.call("PATCH", "/v1/jobs")
        assert status == 405 and sorted(head["Allow"].split(", ")) == ["GET", "POST"], head
        assert s.call("DELETE", "/healthz")[0] == 405
        status, _, text = s.call("GET", "/v1/jobs?color=blue")
        assert status == 400 and error_of(text)["field"] == "color", text
        status, _, text = s.call("GET", "/v1/jobs?limit=1&limit=2")
        assert status == 400 and error_of(text)["field"] == "limit", text
        for query in ("limit=x", "limit=100000", "after=-1", "state=purple"):
            status, _, text = s.call("GET", f"/v1/jobs?{query}")
            assert status == 400 and error_of(text)["field"] == query.split("=")[0], (query, text)


def test_tokens_are_made_kept_and_shared():
    with Server() as s:
        made = s.token
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", made), made
        for path in (s.data / "token", s.dir / "config" / "muster" / "token"):
            assert path.stat().st_mode & 0o777 == 0o600 and path.read_text().strip() == made, path
        assert s.restart(signal.SIGTERM).token == made
        (s.dir / "config" / "muster" / "token").write_text("another-token-0123456789\n")
        assert s.call("GET", "/v1/jobs", token="another-token-0123456789")[0] == 200, "a changed file is noticed"
        assert s.call("GET", "/v1/jobs", token=made)[0] == 200, "the data folder's own still opens"
        (s.dir / "secret").write_text("shared-secret-0123456789\n")
    for args, env in ((["--token-file", "{dir}/secret"], {}), ([], {"MUSTER_TOKEN_FILE": "{dir}/secret"}),
                      ([], {"MUSTER_TOKEN": "shared-secret-0123456789"})):
        with Server() as s:
            s.stop()
            (s.dir / "secret").write_text("shared-secret-0123456789\n")
            own = s.token
            s.args = [a.format(dir=s.dir) for a in args]
            s.env.update({k: v.format(dir=s.dir) for k, v in env.items()})
            s.start()
            assert s.call("GET", "/v1/jobs", token="shared-secret-0123456789")[0] == 200
            assert s.call("GET", "/v1/jobs", token=own)[0] == 401, "a given secret is the only one"


# ---- starting ----

def refused(*args, env=None, want=1):
    done = subprocess.run([MUSTER, "server", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20, env=env)
    assert done.returncode == want and done.stdout == "", (args, done.returncode, done.stdout, done.stderr)
    return done.stderr


def test_bad_starts_say_what_is_wrong():
    with Server() as s:
        other = s.dir / "other"
        assert "in use" in refused("--data", s.data, "--listen", "127.0.0.1:0", env=s.env)
        text = refused("--data", other, "--listen", f"127.0.0.1:{s.port}", env=s.env)
        assert "in use" in text and s.port in text, text
        assert "loopback" in refused("--data", other, "--listen", "0.0.0.0:0", env=s.env)
        assert "--data" in refused(want=2)
        assert "--lease" in refused("--data", other, "--lease", "soon", want=2)
        assert "--nonsense" in refused("--data", other, "--nonsense", want=2)
        (s.dir / "short").write_text("short\n")
        assert "short" in refused("--data", other, "--listen", "127.0.0.1:0", "--token-file", s.dir / "short", env=s.env)
        refused("--data", other, "--listen", "127.0.0.1:0", "--token-file", s.dir / "missing", env=s.env)
        refused("--data", other, "--listen", "127.0.0.1:0", "--journal", "paper:", env=s.env)
        s.stop(signal.SIGTERM)
        (s.data / "format").write_text("99\n")
        assert "newer version" in refused("--data", s.data, "--listen", "127.0.0.1:0", env=s.env)
        (s.dir / "file").write_text("")
        refused("--data", s.dir / "file", "--listen", "127.0.0.1:0", env=s.env)


def test_signals_stop_in_order():
    for signo in (signal.SIGTERM, signal.SIGINT):
        with Server() as s:
            job = s.submit(array="0-4")
            with contextlib.closing(s.stream("/v1/events")):
                assert s.stop(signo) == 0
            s.start()
            assert s.get(f"/v1/jobs/{job}")["tasks"] == 5


# ---- submitting ----

def test_bad_specs_name_the_field():
    cases = [
        (b'{"command":["true"]', 400, None), (b'[]', 400, None), (b'{"command":["true"]} x', 400, None), (b'', 400, None),
        (b'{"command":["true"],"colour":1}', 400, "colour"), (b'{"command":["true"],"command":["false"]}', 400, None),
        (b'{"command":"true"}', 400, "command"), (b'{"command":["true"],"retries":-1}', 400, "retries"),
        (b'{"command":["true"],"retries":"many"}', 400, "retries"), (b'{"command":["true"],"array":"5-1"}', 400, "array"),
        (b'{"command":["true"],"array":"0-999999999999"}', (400, 413), "array"), (b'{"command":["true"],"name":"a\\u0007b"}', 400, "name"),
        (b'{"tasks":[{"name":"a","command":["true"],"after":["b"]}]}', 400, "tasks[0].after[0]"),
        (b'{"tasks":[{"name":"a","command":["true"],"after":["b"]},{"name":"b","command":["true"],"after":["a"]}]}', 400, None),
        (b'{"command":["true"],"resources":{"cpus":"lots"}}', 400, "resources.cpus"), (b'{"command":["true"],"after":[4711]}', (400, 404), None),
        (b'{"name":"x"}', 400, None), (b'\xff\xfe', 400, None), (b'{"command":["tr\xffue"]}', 400, None),
        (b'{"command":["true"],"deadline":"tomorrow"}', 400, "deadline"), (b'{"command":["true"],"place":"nowhere"}', 400, None),
    ]
    with Server() as s:
        for body, want, field in cases:
            status, _, text = s.call("POST", "/v1/jobs", body)
            assert status in (want if isinstance(want, tuple) else (want,)), (body, status, text)
            error = error_of(text)
            assert error["message"], text
            if field:
                assert error.get("field") == field, (body, text)
        assert s.get("/v1/jobs")["jobs"] == [], "nothing of them was accepted"


def test_bodies_of_the_wrong_kind():
    with Server() as s:
        assert s.call("POST", "/v1/jobs", "a=b", type="application/x-www-form-urlencoded")[0] == 415
        assert s.call("PUT", "/v1/policies", "a: b", type="application/yaml")[0] == 415
        c = s.connect()
        c.putrequest("POST", "/v1/jobs")
        c.putheader("Authorization", f"Bearer {s.token}")
        c.endheaders()
        assert c.getresponse().status == 411
        c.close()
        for declared in (True, False):  # said beforehand, and found out while reading
            c = s.connect()
            c.putrequest("POST", "/v1/jobs")
            c.putheader("Authorization", f"Bearer {s.token}")
            c.putheader("Content-Type", "application/json")
            c.putheader(*(("Content-Length", str(100 << 20)) if declared else ("Transfer-Encoding", "chunked")))
            c.endheaders()
            with contextlib.suppress(OSError):
                piece = b"x" * 65536
                for _ in range(100 << 4 if not declared else 1):
                    c.send(b"10000\r\n" + piece + b"\r\n" if not declared else piece)
            assert c.getresponse().status == 413
            c.close()


def test_impossible_demands_are_refused_at_once():
    with Server() as s, FakeNode(s, cpus=2):
        status, _, text = s.call("POST", "/v1/jobs", {"command": ["true"], "resources": {"cpus": 64}})
        assert status == 422 and error_of(text)["code"] == "impossible" and "64" in error_of(text)["message"], text
        status, _, text = s.call("POST", "/v1/jobs", {"command": ["true"], "resources": {"unicorns": 1}})
        assert status == 422, text


def test_keys_make_submitting_repeatable():
    with Server() as s:
        spec = {"name": "k", "command": ["true"], "key": "night-1"}
        first = s.json("POST", "/v1/jobs", spec, want=201)
        again = s.json("POST", "/v1/jobs", spec)
        assert again == {"id": first["id"], "existing": True}
        plain = {"name": "k", "command": ["true"]}
        assert s.json("POST", "/v1/jobs", plain, headers={"Idempotency-Key": "night-1"})["id"] == first["id"]
        status, _, text = s.call("POST", "/v1/jobs", dict(spec, command=["false"]))
        assert status == 409 and error_of(text)["code"] == "conflict" and error_of(text)["field"] == "key", text
        status, _, text = s.call("POST", "/v1/jobs", spec, headers={"Idempotency-Key": "night-2"})
        assert status == 400 and error_of(text)["field"] == "Idempotency-Key"
        s.restart()
        assert s.json("POST", "/v1/jobs", spec) == {"id": first["id"], "existing": True}
        assert s.json("POST", "/v1/jobs", dict(spec, key="night-2"), want=201)["id"] != first["id"]


def test_a_full_queue_says_when_to_come_back():
    with Server() as s:
        quota = s.json("PUT", "/v1/quotas/ann", {"waiting_max": 10, "weight": 3, "cpus_max": 1.5})
        assert (quota["waiting_max"], quota["weight"], quota["cpus_max"]) == (10, 3, 1.5)
        ann = {"Muster-User": "ann"}
        s.json("POST", "/v1/jobs", {"command": ["true"], "array": "0-9"}, want=201, headers=ann)
        status, head, text = s.call("POST", "/v1/jobs", {"command": ["true"]}, headers=ann)
        assert status == 429 and error_of(text)["code"] == "busy" and int(head["Retry-After"]) >= 1, (status, text)
        s.submit()
        (mine,) = [q for q in s.get("/v1/quotas")["quotas"] if q["user"] == "ann"]
        assert mine["waiting"] == 10, mine
        assert s.json("PUT", "/v1/quotas/ann", {"waiting_max": 0})["waiting_max"] is None
        s.json("POST", "/v1/jobs", {"command": ["true"]}, want=201, headers=ann)
        for bad in ({"weight": 0}, {"cpus_max": -1}, {"waiting_max": "x"}, {"colour": 1}):
            status, _, text = s.call("PUT", "/v1/quotas/ann", bad)
            assert status == 400 and error_of(text)["field"] == next(iter(bad)), text
        assert s.call("POST", "/v1/jobs", {"command": ["true"]}, headers={"Muster-User": "a b"})[0] == 400


def test_yaml_is_taken_too():
    with Server() as s:
        status, _, text = s.call("POST", "/v1/jobs", "name: y\ntasks:\n  - name: a\n    command: [echo, hi]\n    array: 0-9\n"
                                 "  - name: b\n    script: |\n      true\n    after: [a]\n", type="application/yaml; charset=utf-8")
        assert status == 201, text
        job = s.get(f"/v1/jobs/{json.loads(text)['id']}")
        assert [g["name"] for g in job["groups"]] == ["a", "b"] and job["tasks"] == 11
        status, _, text = s.call("POST", "/v1/jobs", "name: y\n  bad: [", type="application/yaml")
        assert status == 400 and "line" in error_of(text)["message"], text


def ndjson(s, lines, timeout=120):
    body = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    status, _, text = s.call("POST", "/v1/jobs", body, type="application/x-ndjson", timeout=timeout)
    assert status == 200, text
    return [json.loads(line) for line in text.splitlines()]


def test_many_specs_are_answered_line_by_line():
    with Server() as s:
        specs = [{"name": f"n{i}", "command": ["true"]} for i in range(20000)]
        specs[700] = {"name": "n700"}
        specs[701] = b'{"command":["true"]\n'
        specs[702] = b"\n"  # an empty line is no spec
        answers = ndjson(s, specs)
        assert len(answers) == 19999
        assert [i for i, a in enumerate(answers) if "error" in a] == [700, 701]
        ids = [a["id"] for a in answers if "id" in a]
        assert ids == sorted(ids) and len(set(ids)) == len(ids), "in the order of the lines"
        assert s.get(f"/v1/jobs/{ids[-1]}")["name"] == "n19999"
        assert ndjson(s, [b'{"command":["true"],"key":"a"}\n', b'{"command":["true"],"key":"a"}']) == \
            [{"id": ids[-1] + 1}, {"id": ids[-1] + 1, "existing": True}], "the last line needs no end"
        stats = s.get("/v1/stats")
        assert stats["journal"]["seq"] < 5000, "many submits share an entry"


def test_many_specs_from_a_client_that_does_not_read():
    with Server() as s:
        c = s.connect(60)
        c.putrequest("POST", "/v1/jobs")
        c.putheader("Authorization", f"Bearer {s.token}")
        c.putheader("Content-Type", "application/x-ndjson")
        c.putheader("Transfer-Encoding", "chunked")
        c.endheaders()
        line = b'{"command":["true"]}\n'
        piece = line * 2000
        for _ in range(30):
            c.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        c.send(b"0\r\n\r\n")
        answer = c.getresponse()
        assert sum(1 for _ in answer) == 60000
        c.close()
        assert s.get("/v1/stats")["tasks"]["waiting"] == 60000


def test_open_jobs_grow_by_lines():
    with Server() as s:
        job = s.json("POST", "/v1/jobs", {"name": "o", "lines": ["echo 0", "echo 1"], "open": "stream"}, want=201)["id"]
        part = f"/v1/jobs/{job}/tasks"
        assert s.json("POST", f"{part}?from=2", "echo 2\necho 3", type="text/plain") == {"tasks": 4}
        assert s.json("POST", f"{part}?from=2", "echo 2\necho 3\n", type="text/plain") == {"tasks": 4}, "twice is once"
        assert s.call("POST", part, "x\n", type="text/plain")[0] == 400
        with FakeNode(s) as node:
            poll(lambda: s.get(f"/v1/jobs/{job}")["counts"]["succeeded"] == 4)
            assert s.get(f"/v1/jobs/{job}")["open"] and s.get(f"/v1/jobs/{job}")["ended"] is None
            assert node.find(job, 3).line == b"echo 3"
            assert s.json("POST", f"{part}?from=4&last=1", "echo 4\n", type="text/plain") == {"tasks": 5}
            assert s.wait(job)["state"] == "succeeded"
        status, _, text = s.call("POST", f"{part}?from=5", "echo 5\n", type="text/plain")
        assert status == 409, text
        assert s.call("POST", "/v1/jobs/999/tasks?from=0", "x\n", type="text/plain")[0] == 404


# ---- jobs and tasks ----

def test_a_job_from_submit_to_end():
    def run(t):
        t.code = 3 if t.index == 12 else 0

    with Server() as s, FakeNode(s, run=run, cpus=4) as node:
        job = s.submit(name="life", array="10-18:2", key="abc", priority=5)
        end = s.wait(job)
        assert end["state"] == "failed" and end["counts"]["succeeded"] == 4 and end["counts"]["failed"] == 1, end
        assert end["groups"] == [{"name": None, "first": 0, "tasks": 5, "array": "10-18:2"}] and end["key"] == "abc"
        assert end["submitted"] <= end["started"] <= end["ended"] and re.fullmatch(r".*T.*\.\d{3}Z", end["ended"]), end
        tasks = s.get(f"/v1/jobs/{job}/tasks")
        assert [t["index"] for t in tasks["tasks"]] == [10, 12, 14, 16, 18] and tasks["next"] is None
        bad = s.get(f"/v1/jobs/{job}/tasks/12")
        assert (bad["state"], bad["exit_code"], bad["reason"], bad["node"], bad["attempt"]) == ("failed", 3, "exit", "n1", 1), bad
        assert bad["run_s"] == 0.0015 and bad["max_rss"] == 1 << 20 and len(bad["attempts"]) == 1
        (only,) = s.get(f"/v1/jobs/{job}/tasks?state=failed")["tasks"]
        assert only["index"] == 12 and only["exit_code"] == 3
        assert s.get(f"/v1/jobs/{job}/tasks?state=purple", want=400)["error"]["field"] == "state"
        for path in (f"/v1/jobs/{job}/tasks/11", f"/v1/jobs/{job}/tasks/99", "/v1/jobs/4711", "/v1/jobs/4711/tasks", "/v1/jobs/4711/wait",
                     "/v1/jobs/4711/explain", "/v1/jobs/4711/tasks/0", "/v1/jobs/4711/output", f"/v1/jobs/{job}/tasks/11/stdout"):
            assert s.get(path, want=404)["error"]["code"] == "not_found", path
        node.run = None
        assert s.json("POST", f"/v1/jobs/{job}/retry")["state"] in ("waiting", "running", "succeeded")
        assert s.wait(job)["counts"]["succeeded"] == 5
        again = s.get(f"/v1/jobs/{job}/tasks/12")
        assert again["attempt"] == 2 and [a["exit_code"] for a in again["attempts"]] == [3, 0], again


def test_shapes_match_the_document():
    def check(value, schema, shapes, where):
        if "anyOf" in schema:
            if value is None:
                return
            schema = schema["anyOf"][0]
        if "$ref" in schema:
            schema = shapes[schema["$ref"].rsplit("/", 1)[1]]
        kind = {"integer": int, "number": (int, float), "string": str, "boolean": bool, "object": dict, "array": list}[schema["type"]]
        assert isinstance(value, kind) and not (isinstance(value, bool) and schema["type"] != "boolean"), (where, value, schema)
        if schema["type"] == "array":
            for i, v in enumerate(value):
                check(v, schema["items"], shapes, f"{where}[{i}]")
        for key, v in value.items() if schema.get("properties") else ():
            assert key in schema["properties"], f"{where}.{key} is not in the document"
            check(v, schema["properties"][key], shapes, f"{where}.{key}")

    with Server() as s, FakeNode(s, labels=["zone=a"]):
        job = s.submit(array="0-2")
        s.wait(job)
        held = s.submit(hold=True)
        document = s.get("/openapi.json")
        shapes = document["components"]["schemas"]
        seen = 0
        for path, verbs in document["paths"].items():
            content = verbs.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
            if "$ref" not in content.get("application/json", {}).get("schema", {}):
                continue
            for id in (job, held) if not path.endswith("/wait") else (job,):
                value = s.get(path.replace("{id}", str(id)).replace("{task}", "0").replace("{name}", "n1"))
                check(value, content["application/json"]["schema"], shapes, path)
            seen += 1
        assert seen >= 11, seen


def test_verbs_of_jobs():
    with Server() as s, FakeNode(s, hold=True, cpus=2) as node:
        job = s.submit(array="0-9")
        first = node.find(job, 0)
        node.find(job, 1)
        assert s.json("POST", f"/v1/jobs/{job}/hold")["held"] is True
        node.end(first)
        poll(lambda: s.get(f"/v1/jobs/{job}")["counts"]["succeeded"] == 1)
        assert s.get(f"/v1/jobs/{job}")["counts"]["running"] == 1, "held: no new one"
        assert s.get(f"/v1/jobs/{job}/tasks/5")["reason"] == "held"
        assert s.get(f"/v1/jobs/{job}/explain")["reason"] == "held"
        assert s.json("POST", f"/v1/jobs/{job}/release")["held"] is False
        node.find(job, 2)
        s.json("POST", f"/v1/jobs/{job}/cancel?task=9")
        assert s.get(f"/v1/jobs/{job}/tasks/9")["state"] == "cancelled"
        assert s.get(f"/v1/jobs/{job}/cancel?task=77", want=405)
        assert s.json("POST", f"/v1/jobs/{job}/cancel?task=77", want=404)["error"]["field"] == "task"
        s.json("DELETE", f"/v1/jobs/{job}")
        end = s.wait(job)
        assert end["state"] == "cancelled" and end["counts"]["cancelled"] == 9 and end["counts"]["succeeded"] == 1, end
        poll(lambda: len(node.stopped) == 2)
        task = s.get(f"/v1/jobs/{job}/tasks/1")
        assert (task["state"], task["reason"]) == ("cancelled", "cancel"), task
        waiting = s.get(f"/v1/jobs/{job}/tasks/8")
        assert (waiting["state"], waiting["reason"], waiting["attempt"], waiting["node"]) == ("cancelled", "cancel", 0, None), waiting
        for verb in ("hold", "release", "retry", "cancel"):
            assert s.json("POST", f"/v1/jobs/4711/{verb}", want=404)["error"]["code"] == "not_found"


def test_wait_is_answered_at_the_end_or_in_time():
    with Server() as s, FakeNode(s, hold=True) as node:
        job = s.submit()
        task = node.find(job)
        began = time.monotonic()
        status, _, text = s.call("GET", f"/v1/jobs/{job}/wait?timeout=200ms")
        assert status == 202 and json.loads(text)["state"] == "running" and time.monotonic() - began >= 0.19
        answers = []
        waiting = [threading.Thread(target=lambda: answers.append(s.wait(job))) for _ in range(20)]
        for t in waiting:
            t.start()
        poll(lambda: int(re.search(rb"^muster_http_connections (\d+)", s.call("GET", "/metrics")[2], re.M)[1]) >= 20)
        node.end(task)
        for t in waiting:
            t.join(10)
        assert [a["state"] for a in answers] == ["succeeded"] * 20
        assert s.get(f"/v1/jobs/{job}/wait?timeout=soon", want=400)["error"]["field"] == "timeout"


def test_pages_neither_overlap_nor_skip():
    with Server() as s:
        ids = [s.submit(name=f"p{i % 3}") for i in range(25)]
        seen, after = [], ""
        while True:
            page = s.get(f"/v1/jobs?limit=7{after}")
            seen += [j["id"] for j in page["jobs"]]
            s.submit(name="new")  # comes while we read
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == ids[::-1], seen
        assert [j["name"] for j in s.get("/v1/jobs?name=p1&limit=3")["jobs"]] == ["p1"] * 3
        assert len(s.get("/v1/jobs?name=p*&limit=1000")["jobs"]) == 25
        assert s.get("/v1/jobs?user=nobody")["jobs"] == []
        big = s.submit(array="0-2499")
        with FakeNode(s, cpus=64):
            s.wait(big)
            seen, after = [], ""
            while True:
                page = s.get(f"/v1/jobs/{big}/tasks?limit=999{after}")
                assert all(t["exit_code"] == 0 and t["node"] == "n1" for t in page["tasks"])
                seen += [t["index"] for t in page["tasks"]]
                if page["next"] is None:
                    break
                after = f"&after={page['next']}"
            assert seen == list(range(2500))


def test_explain_says_why():
    with Server() as s, FakeNode(s, hold=True, cpus=1) as node:
        job = s.submit(array="0-3")
        node.find(job)
        why = s.get(f"/v1/jobs/{job}/explain")
        assert why["state"] == "waiting" and why["reason"] == "resources" and why["task"] == f"{job}.1" and why["text"], why
        assert why["nodes"] == {"total": 1, "allowed": 1, "could": 1}
        placed = s.get(f"/v1/jobs/{job}/explain?task=0")
        assert placed["state"] == "running" and "n1" in placed["text"], placed
        lonely = s.submit(node="n9")
        assert "n9" in s.get(f"/v1/jobs/{lonely}/explain")["text"]


# ---- output ----

def test_logs_of_a_task_that_has_not_begun():
    with Server() as s:
        job = s.submit()
        assert s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout")[2] == b""
        got = {}

        def read(stream):
            with contextlib.closing(s.stream(f"/v1/jobs/{job}/tasks/0/{stream}?follow=1")) as answer:
                got[stream] = answer.read()

        readers = [threading.Thread(target=read, args=(x,)) for x in ("stdout", "stderr")]
        for r in readers:
            r.start()
        with FakeNode(s, hold=True) as node:
            task = node.find(job)
            node.write(task, stdout=b"one\n", stderr=b"oops\xff\x00")
            node.write(task, stdout=b"two\n")
            node.end(task)
            for r in readers:
                r.join(10)
            assert got == {"stdout": b"one\ntwo\n", "stderr": b"oops\xff\x00"}, got
            assert s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout?offset=4")[2] == b"two\n"
            assert s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout?offset=400")[2] == b""
            head = s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout")[1]
            assert head["Content-Type"].startswith("text/plain") and head["X-Content-Type-Options"] == "nosniff"


def test_logs_follow_across_attempts():
    def run(t):
        t.stdout, t.code = b"attempt %d\n" % t.attempt, 1 if t.attempt < 3 else 0

    with Server() as s, FakeNode(s, run=run) as node:
        job = s.submit(retries=2, backoff="50ms", hold=True)
        with contextlib.closing(s.stream(f"/v1/jobs/{job}/tasks/0/stdout?follow=1")) as answer:
            s.json("POST", f"/v1/jobs/{job}/release")
            text = answer.read()
        assert text == b"attempt 1\nattempt 2\nattempt 3\n", text
        assert s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout")[2] == b"attempt 3\n"
        assert s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout?attempt=1&follow=1")[2] == b"attempt 1\n"
        status, _, text = s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout?attempt=9")
        assert status == 404, (status, text)


def test_large_output_at_the_readers_pace():
    whole = bytes(range(256)) * 40000  # 10 MB

    def run(t):
        t.stdout = whole

    with Server() as s, FakeNode(s, run=run) as node:
        job = s.submit()
        s.wait(job)
        with contextlib.closing(s.stream(f"/v1/jobs/{job}/tasks/0/stdout")) as answer:
            time.sleep(0.5)  # nobody reads: the server must not fetch it all
            rss = int(re.search(rb"^process_resident_memory_bytes (\d+)", s.call("GET", "/metrics")[2], re.M)[1])
            got = answer.read()
        assert got == whole
        assert rss < 60 << 20, rss


def test_logs_of_a_node_that_is_gone():
    def run(t):
        t.stdout = b"here\n"

    with Server(["--lease", "500ms"]) as s:
        with FakeNode(s, run=run) as node:
            job = s.submit()
            s.wait(job)
        poll(lambda: s.get("/v1/nodes/n1")["state"] == "down")
        status, _, text = s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout")
        assert status == 503 and "n1" in error_of(text)["message"], (status, text)
        out = [json.loads(x) for x in s.call("GET", f"/v1/jobs/{job}/output")[2].splitlines()]
        assert "n1" in out[0]["error"] and out[1]["state"] == "succeeded" and out[2]["job"] == job, out
        with FakeNode(s, run=run):  # back, and it does not know the attempt any more
            status, _, text = s.call("GET", f"/v1/jobs/{job}/tasks/0/stdout")
            assert status == 404, (status, text)


def output_lines(s, job, query="follow=1", timeout=30):
    with contextlib.closing(s.stream(f"/v1/jobs/{job}/output?{query}", timeout=timeout)) as answer:
        return [json.loads(line) for line in answer]


def texts(lines, index):
    return b"".join(x["data"].encode() if "data" in x else base64.b64decode(x["data_base64"])
                    for x in lines if x.get("index") == index and x.get("stream") == "stdout")


def test_output_of_a_job_as_tasks_end():
    def run(t):
        if t.index % 7 == 0:
            t.stdout = "größe €\n".encode() * (t.index + 1)
        if t.index % 11 == 0:
            t.stderr = b"\xff\xfe" * t.index
        t.how, t.code = (SIGNAL, 9) if t.index == 13 else (EXIT, int(t.index == 5))

    with Server() as s:
        job = s.submit(array="0-499")
        got = []
        reader = threading.Thread(target=lambda: got.extend(output_lines(s, job)))
        reader.start()
        with FakeNode(s, run=run, cpus=8):
            reader.join(30)
            assert not reader.is_alive()
            ends = [x for x in got if "state" in x and "index" in x]
            assert sorted(x["index"] for x in ends) == list(range(500)), "every task ends once"
            assert got[-1]["job"] == job and got[-1]["state"] == "failed" and got[-1]["counts"]["succeeded"] == 498
            for i in (0, 7, 490):
                assert texts(got, i) == "größe €\n".encode() * (i + 1)
            done = set()
            for x in got[:-1]:
                assert x["index"] not in done, "nothing comes behind a task's end"
                if "state" in x:
                    done.add(x["index"])
            assert next(x for x in ends if x["index"] == 13) == {"index": 13, "state": "failed", "reason": "signal", "signal": 9, "run_s": 0.0015}
            assert next(x for x in ends if x["index"] == 5)["exit_code"] == 1
            assert [x for x in output_lines(s, job, "") if "stream" not in x] == [x for x in got if "stream" not in x], "read later: the same"
            assert output_lines(s, job, "after=498&output=0") == [x for x in got if "stream" not in x][498:]
            s.restart()
        s.stop()
        s.start()
        assert output_lines(s, job, "follow=1&output=0") == [x for x in got if "stream" not in x]


def test_output_of_running_tasks():
    with Server() as s, FakeNode(s, hold=True, cpus=4) as node:
        job = s.submit(array="0-1")
        task = node.find(job, 0)
        with contextlib.closing(s.stream(f"/v1/jobs/{job}/output?follow=1&live=1")) as answer:
            node.write(task, stdout=b"half a euro: \xe2\x82")
            assert json.loads(answer.readline()) == {"index": 0, "stream": "stdout", "data": "half a euro: "}
            node.write(task, stdout=b"\xac\n")
            assert json.loads(answer.readline()) == {"index": 0, "stream": "stdout", "data": "€\n"}
            node.write(task, stderr=b"cut \xe2\x82")
            assert json.loads(answer.readline()) == {"index": 0, "stream": "stderr", "data": "cut "}
            node.end(task)
            assert base64.b64decode(json.loads(answer.readline())["data_base64"]) == b"\xe2\x82"
            assert json.loads(answer.readline())["state"] == "succeeded"
            node.end(node.find(job, 1))
            assert [json.loads(x).get("state") for x in answer] == ["succeeded", "succeeded"]


def test_output_overtaken_by_events():
    """A reader that sleeps while the tape goes round misses nothing: the history helps."""
    def run(t):
        if t.index < 100:
            t.stdout = b"x" * 100000  # more than the connection holds: the server has to stop sending

    with Server() as s:
        job = s.submit(array="0-29999")
        c = s.connect(60)
        c.request("GET", f"/v1/jobs/{job}/output?follow=1", headers={"Authorization": f"Bearer {s.token}"})
        with FakeNode(s, run=run, cpus=200, mem=1 << 40):
            assert s.wait(job, 60)["counts"]["succeeded"] == 30000
            lines = [json.loads(x) for x in lines_of(c.getresponse())]
        ends = [x["index"] for x in lines[:-1] if "state" in x]
        assert sorted(ends) == list(range(30000)), len(ends)
        assert all(texts(lines, i) == b"x" * 100000 for i in (0, 50, 99)) and lines[-1]["job"] == job
        c.close()


# ---- events ----

def lines_of(answer):
    """Line by line as they come; http.client's own is slow for many and waits for full buffers."""
    rest = b""
    while piece := answer.read1(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def read_events(lines, count):
    """(id, type, data) of so many events."""
    got, event = [], {}
    lines = lines_of(lines) if hasattr(lines, "read1") else lines
    while len(got) < count:
        line = next(lines).decode()
        if line == "" and event.get("data"):
            got.append((int(event["id"]) if "id" in event else None, event.get("event", "message"), json.loads(event["data"])))
            event = {}
        elif ": " in line:
            key, value = line.split(": ", 1)
            event[key] = value
    return got


def test_events_in_order_and_again_from_where_one_was():
    with Server() as s:
        with contextlib.closing(s.stream("/v1/events")) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            with FakeNode(s):
                job = s.submit(array="0-2")
                s.wait(job)
                got = read_events(answer, 12)
        ids = [id for id, _, _ in got]
        assert ids == sorted(set(ids)), ids
        kinds = [(e["type"], e.get("state"), e.get("index")) for _, _, e in got]
        assert kinds[0][0] == "node" and kinds[1][:2] in (("job", "waiting"), ("job", "running")), kinds
        for i in range(3):
            states = [k[1] for k in kinds if k[0] == "task" and k[2] == i]
            assert states in (["starting", "running", "succeeded"], ["starting", "succeeded"]), kinds
        for cut in (0, 5, 10):
            with contextlib.closing(s.stream("/v1/events", headers={"Last-Event-ID": str(ids[cut])})) as answer:
                assert read_events(answer, len(got) - cut - 1) == got[cut + 1:]
        s.restart()
        with contextlib.closing(s.stream("/v1/events", headers={"Last-Event-ID": str(ids[3])})) as answer:
            assert [x[0] for x in read_events(answer, len(got) - 4)] == ids[4:], "the same ids after a crash"
        assert s.call("GET", "/v1/events", headers={"Last-Event-ID": "x"})[0] == 400


def test_events_of_one_job():
    with Server() as s:
        mine, other = s.submit(hold=True), s.submit(hold=True)
        with contextlib.closing(s.stream(f"/v1/events?job={mine}")) as answer, FakeNode(s):
            s.json("POST", f"/v1/jobs/{other}/release")
            s.json("POST", f"/v1/jobs/{mine}/release")
            s.wait(mine)
            assert all(e["job"] == mine for _, _, e in read_events(answer, 3))


def test_a_slow_reader_of_events_gets_a_gap():
    with Server() as s:
        with contextlib.closing(s.connect(60)) as c:
            c.request("GET", "/v1/events", headers={"Authorization": f"Bearer {s.token}"})
            lines = lines_of(c.getresponse())
            with FakeNode(s, cpus=1000, mem=1 << 40):
                job = s.submit(array="0-29999")
                s.wait(job, 60)
                last, missed, seen = -1, 0, 0
                while True:
                    ((id, kind, data),) = read_events(lines, 1)
                    if kind == "gap":
                        missed += data["missed"]
                        continue
                    assert id > last
                    last, seen = id, seen + 1
                    if data["type"] == "job" and data["state"] == "succeeded":
                        break
            assert missed > 0 and missed + seen >= 60000, (missed, seen)
        with contextlib.closing(s.stream("/v1/events", headers={"Last-Event-ID": "1"})) as answer:
            assert read_events(answer, 1)[0][1] == "gap", "too old to go on from"


# ---- nodes, policies, the server itself ----

def test_nodes_are_drained_and_labelled():
    with Server() as s, FakeNode(s, "n1", cpus=3, labels=["zone=a"]), FakeNode(s, "n2"):
        nodes = s.get("/v1/nodes")["nodes"]
        assert [(n["name"], n["state"], n["cpus"]) for n in nodes] == [("n1", "up", 3), ("n2", "up", 2)], nodes
        node = s.json("POST", "/v1/nodes/n1/drain")
        assert node["state"] == "draining" and node["labels"] == {"zone": "a"}
        job = s.submit(array="0-3")
        assert s.wait(job)["state"] == "succeeded"
        assert {t["node"] for t in s.get(f"/v1/jobs/{job}/tasks")["tasks"]} == {"n2"}
        assert s.json("POST", "/v1/nodes/n1/resume")["state"] == "up"
        assert s.json("POST", "/v1/nodes/n1/label", {"disk": "ssd", "zone": ""})["labels"] == {"disk": "ssd"}
        job = s.submit(labels={"disk": "ssd"})
        s.wait(job)
        assert s.get(f"/v1/jobs/{job}/tasks/0")["node"] == "n1"
        for bad in ({}, {"a b": "c"}, {"a": 1}, {"": "x"}, []):
            assert s.call("POST", "/v1/nodes/n1/label", bad)[0] == 400, bad
        for path in ("/v1/nodes/n7", ):
            assert s.get(path, want=404)
        for verb in ("drain", "resume"):
            assert s.json("POST", f"/v1/nodes/n7/{verb}", want=404)
        poll(lambda: s.get("/v1/nodes/n1")["load"])
        s.restart()
        assert s.get("/v1/nodes/n1")["labels"] == {"disk": "ssd"}


def test_policies_change_while_running():
    with Server() as s:
        before = s.get("/v1/policies")
        assert before["order"]["name"] == "fifo" and before["place"]["name"] == "pack"
        assert {"fifo", "fair"} <= {p["name"] for p in before["available"]["order"]}
        after = s.json("PUT", "/v1/policies", {"order": {"name": "fair", "params": {"halflife": "1h"}}, "place": {"name": "spread"}})
        assert after["order"] == {"name": "fair", "params": {"halflife": "1h"}} and after["place"]["name"] == "spread"
        for bad in ({"order": {"name": "nonsense"}}, {"order": {"name": "fair", "params": {"colour": "1"}}}, {"size": {"name": "x"}},
                    {}, {"order": "fair"}, {"order": {"name": "fifo"}, "place": {"name": "nonsense"}}):
            status, _, text = s.call("PUT", "/v1/policies", bad)
            assert status == 400, (bad, text)
        s.restart()
        assert s.get("/v1/policies")["order"] == after["order"], "kept, and nothing half set"


METRICS = ["muster_tasks_total{state=\"succeeded\"}", "muster_tasks{state=\"waiting\"}", "muster_nodes{state=\"up\"}",
           "muster_node_allocated{node=\"n1\",resource=", "muster_journal_append_seconds_count", "muster_journal_batch_events_sum",
           "muster_leader 1", "muster_epoch", "muster_sched_decisions_total{policy=\"pack\"}", "muster_sched_decision_seconds_sum",
           "muster_build_info{version="] + \
          [f"muster_task_stage_seconds_bucket{{stage=\"{x}\",le=\"+Inf\"}}" for x in ("accept", "queue", "start", "run", "response")]


def test_statistics_and_metrics():
    with Server() as s, FakeNode(s, "n1"):
        s.wait(s.submit(array="0-99"))
        stats = s.get("/v1/stats?window=5m")
        assert set(stats["stages"]) == {"accept", "queue", "start", "run", "response"}
        assert stats["stages"]["run"]["count"] == 100 and stats["stages"]["response"]["p99_s"] > 0
        assert stats["throughput"]["tasks_per_s"] > 0 and stats["tasks"]["succeeded"] == 100 and stats["nodes"]["up"] == 1
        assert s.get("/v1/stats?window=x", want=400)["error"]["field"] == "window"
        text = s.call("GET", "/metrics")[2].decode()
        for name in METRICS:
            assert f"\n{name}" in text, name
        names = set()
        for line in text.splitlines():
            assert re.fullmatch(r"# (HELP|TYPE) \S+ .*|[a-z_]+(\{([a-z_]+=\"[^\"]*\",?)*\})? [-+0-9.e]+", line), line
            if line.startswith("# TYPE"):
                assert line.split()[2] not in names, "a name once"
                names.add(line.split()[2])
        for stage in ("run", "response"):
            counts = [int(m) for m in re.findall(rf'stage_seconds_bucket{{stage="{stage}",le="[^"]*"}} (\d+)', text)]
            assert counts == sorted(counts) and counts[-1] == 100


def test_health_and_cluster():
    with Server(["--name", "alpha"]) as s:
        assert s.call("GET", "/healthz", token=False)[::2] == (200, b"ok\n")
        assert s.call("GET", "/readyz", token=False)[0] == 200
        assert s.call("HEAD", "/healthz", token=False)[::2] == (200, b"")
        one = s.get("/v1/cluster")
        assert one["leader"] == {"name": "alpha", "url": s.url} and re.fullmatch(r"[0-9a-f]{32}", one["cluster"])
        s.restart()
        two = s.get("/v1/cluster")
        assert two["cluster"] == one["cluster"] and two["epoch"] > one["epoch"]


# ---- nothing acknowledged is lost ----

def test_kill_9_keeps_what_was_acknowledged():
    with Server() as s:
        for round in range(4):
            acked, stop = [], threading.Event()

            def submit_all(worker):
                n = 0
                while not stop.is_set():
                    n += 1
                    with contextlib.suppress(OSError, AssertionError, json.JSONDecodeError, Exception):
                        status, _, text = s.call("POST", "/v1/jobs", {"name": f"r{round}w{worker}n{n}", "command": ["true"]}, timeout=5)
                        if status == 201:
                            acked.append((json.loads(text)["id"], f"r{round}w{worker}n{n}"))

            workers = [threading.Thread(target=submit_all, args=(i,)) for i in range(4)]
            for w in workers:
                w.start()
            poll(lambda: len(acked) > 40)
            s.process.kill()
            s.process.wait()
            stop.set()
            for w in workers:
                w.join()
            s.start()
            for id, name in acked:
                assert s.get(f"/v1/jobs/{id}")["name"] == name, (id, name)
            assert len({id for id, _ in acked}) == len(acked)


def test_kill_9_keeps_results():
    """Every result that was said is there afterwards, with its details, once; tasks of an unknown outcome run again or are
    reported again by the node, which keeps what was not acknowledged."""
    with Server() as s:
        job = s.submit(array="0-1999")
        for round in range(3):
            with FakeNode(s, cpus=8):
                ended = (round + 1) * 300
                poll(lambda: s.get(f"/v1/jobs/{job}")["counts"]["succeeded"] >= ended)
                said = [t["index"] for t in s.get(f"/v1/jobs/{job}/tasks?state=succeeded&limit=200")["tasks"]]
                s.process.kill()
                s.process.wait()
            s.start()
            now = {t["index"]: t for t in s.get(f"/v1/jobs/{job}/tasks?state=succeeded&limit=1000")["tasks"]}
            assert all(i in now and now[i]["exit_code"] == 0 and now[i]["ended"] for i in said)
        with FakeNode(s, cpus=8):
            assert s.wait(job, 60)["counts"]["succeeded"] == 2000
        lines = output_lines(s, job, "output=0")
        assert sorted(x["index"] for x in lines[:-1]) == list(range(2000)), "each once in the history"


def test_a_failing_disk_stops_the_server_and_loses_nothing():
    if subprocess.run(["strace", "-e", "trace=none", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise Skipped("strace is not installed or not allowed")
    with Server() as s:
        acked = [s.submit(name=f"n{i}") for i in range(5)]
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
                                   "-e", "inject=fdatasync,fsync:error=EIO:when=4+", "-p", str(s.process.pid)],
                                  stderr=subprocess.DEVNULL)
        try:
            for i in range(2000):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, _, text = s.call("POST", "/v1/jobs", {"name": f"m{i}", "command": ["true"]}, timeout=5)
                    assert status == 201, (status, text)
                    acked.append(json.loads(text)["id"])
                if s.process.poll() is not None:
                    break
            assert s.process.wait(20) == 1, s.process.returncode
        finally:
            tracer.kill()
            tracer.wait()
        assert "the journal cannot go on" in s.tail(), s.tail()
        s.start()
        for id in acked:
            assert s.get(f"/v1/jobs/{id}")["id"] == id


def test_a_full_disk_takes_no_new_work_and_recovers():
    if os.geteuid() != 0:
        raise Skipped("mounting a small disk needs root")
    with Server() as s:
        s.stop()
        disk = s.dir / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "muster-test", disk], stderr=subprocess.DEVNULL).returncode != 0:
            raise Skipped("tmpfs cannot be mounted")
        try:
            s.data = disk / "data"
            s.start()
            with FakeNode(s, hold=True) as node:
                before = s.submit(array="0-9")
                task = node.find(before)
                with contextlib.suppress(OSError), open(disk / "ballast", "wb", buffering=0) as f:
                    while True:
                        f.write(b"x" * 4096)
                status, head, text = poll(lambda: (lambda a: a if a[0] == 507 else None)(s.call("POST", "/v1/jobs", {"command": ["true"]})))
                assert error_of(text)["code"] == "full" and head["Retry-After"], text
                assert ndjson(s, [{"command": ["true"]}])[0]["error"]["code"] == "full"
                assert s.get(f"/v1/jobs/{before}")["tasks"] == 10, "reading goes on"
                node.end(task)
                (disk / "ballast").unlink()
                node.reconnect()
                after = poll(lambda: (lambda a: json.loads(a[2])["id"] if a[0] == 201 else None)(s.call("POST", "/v1/jobs", {"command": ["true"]})), 30)
                assert after > before
                poll(lambda: s.get(f"/v1/jobs/{before}")["counts"]["succeeded"] == 1, 30)
            s.restart()
            assert s.get(f"/v1/jobs/{after}")["id"] == after and s.get(f"/v1/jobs/{before}")["counts"]["succeeded"] == 1
        finally:
            if s.process.poll() is None:
                s.process.kill()
                s.process.wait()
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    main(globals())
