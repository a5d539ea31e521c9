"""The commands of the README and of doc/policies.md, as they stand there, against a real pool."""
import os
import pathlib
import re
import subprocess

from pool import MUSTER, Pool, main

ROOT = pathlib.Path(__file__).resolve().parents[2]
pool = None


def blocks(path, kind=""):
    return re.findall(rf"^```{kind}\n(.*?)^```", (ROOT / path).read_text(), re.M | re.S)


def shell(script, cwd=None):
    """bash with `muster` on its path; every command must succeed."""
    tools = pool.dir / "bin"
    tools.mkdir(exist_ok=True)
    if not (tools / "muster").exists():
        (tools / "muster").symlink_to(MUSTER)
    env = dict(pool.env, PATH=f"{tools}:{os.environ['PATH']}")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=env, cwd=cwd or pool.dir, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=240)
    assert done.returncode == 0, f"exit {done.returncode}:\n{script}\n{done.stdout}"
    return done.stdout


def test_the_five_minutes_of_the_readme():
    (tour,) = [b for b in blocks("README.md") if "muster run -- uname" in b]
    out = shell(tour)
    assert "\n14\n" in out, out
    assert "\n20000\n" in out, out


def test_the_job_file_of_the_readme():
    (text,) = blocks("README.md", "yaml")
    folder = pool.dir / "nightly"
    folder.mkdir()
    (folder / "nightly.yaml").write_text(text)
    for name in ("extract", "merge"):
        (folder / name).write_text("#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)
    job = shell("muster submit --file nightly.yaml", cwd=folder).strip()
    assert pool.cli("wait", job).returncode == 0
    assert pool.json("job", job)["counts"]["succeeded"] == 101
    shell(f"muster explain {job}.0")


def test_the_commands_of_the_policies_page():
    (text,) = [b for b in blocks("doc/policies.md") if "muster policy" in b]
    shell(text.replace("./train", "/bin/true"))
    shell("muster policy set order fifo; muster policy set place pack")


def test_the_files_the_readme_points_to_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


if __name__ == "__main__":
    with Pool(nodes=2, cpus=2) as pool:
        main(globals())
