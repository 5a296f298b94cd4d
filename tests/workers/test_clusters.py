"""The files of clusters: Ray takes them, they let nobody in, and every command and option in them
is there.
"""

from __future__ import annotations

import itertools
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from evolve.commands import main as cli
from evolve.config.presets import load_config, preset_names

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "configs" / "clusters"
PAGE = (ROOT / "evolve" / "CLUSTER.md").read_text()
SLURM = (CLUSTERS / "slurm.sh").read_text()
FILES = sorted(CLUSTERS.glob("*.yaml"))


@pytest.fixture(scope="module")
def ray():
    """Its command line, as click knows it."""
    from ray.scripts import scripts

    return scripts.cli


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def given(request) -> dict:
    return yaml.safe_load(request.param.read_text())


@pytest.fixture
def cluster(given) -> dict:
    """What Ray makes of a file, with its own defaults and checks; nothing of it asks the cloud."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(given)
    validate_config(prepared)
    return prepared


def starts(cluster: dict) -> list[list[str]]:
    """The words of each command that starts Ray on a node."""
    commands = [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]
    return [
        shlex.split(command.rpartition(";")[2]) for command in commands if "ray start" in command
    ]


def assert_takes(group, words: list[str]) -> None:
    """That a command of a click group is there and takes these words."""
    command = group.commands[words[0]]
    with command.make_context(words[0], words[1:]):
        pass


def test_there_is_one_for_cpus_and_one_for_gpus():
    assert [path.stem for path in FILES] == ["cpu", "gpu"]


def test_they_are_no_presets_of_runs():
    assert not {path.stem for path in FILES} & set(preset_names())


def test_every_key_is_one_of_ours(given, cluster):
    """Ray fills what a file leaves out with defaults of its own, which open the dashboard to
    everybody.
    """
    assert set(cluster) - set(given) <= {
        "docker",
        "cluster_synced_files",
        "file_mounts_sync_continuously",
        "rsync_filter",
    }


def test_a_cluster_grows_and_shrinks_within_limits(cluster):
    types = cluster["available_node_types"]
    head, worker = types[cluster["head_node_type"]], types["worker"]
    assert head["resources"]["CPU"] == 0, "the driver has the head for itself"
    assert head["max_workers"] == 0
    assert 1 <= worker["min_workers"] <= worker["max_workers"] <= cluster["max_workers"]
    assert cluster["idle_timeout_minutes"] > 0


def test_gpu_nodes_get_the_extra_that_computes_there(cluster):
    wants = "GPU" in cluster["available_node_types"]["worker"]["resources"]
    assert wants == any("[cuda]" in command for command in cluster["worker_setup_commands"])
    installs = [command for command in cluster["worker_setup_commands"] if ".whl" in command]
    assert all("-c ~/pride/constraints.txt" in command for command in installs), (
        "equal versions on all nodes"
    )
    for local in ("dist", "constraints.txt"):
        assert cluster["file_mounts"][f"/home/ubuntu/pride/{local}"] == local


def test_every_node_asks_for_the_token_and_gets_it_unreadable_for_others(cluster):
    assert len(starts(cluster)) == 2
    for words in starts(cluster):
        assert words[0] == "RAY_AUTH_MODE=token"
    assert cluster["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in cluster["worker_setup_commands"][0]
    assert "chmod 600 ~/.ray/auth_token" in cluster["head_setup_commands"][0]


def test_no_port_is_open_to_others(cluster):
    assert "security_group" not in cluster["provider"], (
        "Ray's own lets in the nodes and SSH, and nothing else"
    )
    for words in starts(cluster):
        assert not [
            word
            for word in words
            if word.startswith(("--dashboard-host", "--ray-debugger-external"))
        ]
        assert ("--head" in words) == ("--include-dashboard=false" in words)


def test_ray_start_takes_the_options(cluster, ray):
    for words in starts(cluster):
        assert_takes(
            ray,
            [word.replace("$RAY_HEAD_IP", "10.0.0.1") for word in words[words.index("start") :]],
        )


# --- the page -------------------------------------------------------------------------------------


def said(page: str) -> list[list[str]]:
    """The words of each command in the blocks and between backticks of a page."""
    blocks = [
        line
        for block in re.findall(r"^```\n(.*?)^```", page, re.S | re.M)
        for line in block.splitlines()
    ]
    inline = re.findall(r"(?<!`)`([^`]+)`(?!`)", page)
    commands = [line.partition("   #")[0] for line in blocks + inline]
    commands = [
        re.sub(r"^\(umask 077; (.*) > /dev/null\)$", r"\1", command.strip()) for command in commands
    ]
    return [
        shlex.split(c)
        for c in commands
        if c.startswith(("evolve ", "ray ", "sbatch ")) and len(c.split()) > 2
    ]


def test_the_commands_of_the_page_are_there(ray):
    commands = said(PAGE)
    assert {(words[0], words[1]) for words in commands} >= {
        ("evolve", "run"), ("evolve", "resume"), ("ray", "up"), ("ray", "attach"),
        ("ray", "rsync-down"), ("ray", "get-auth-token"), ("sbatch", "configs/clusters/slurm.sh"),
    }  # fmt: skip
    for words in commands:
        if words[0] == "sbatch":
            words = ["evolve", "run", *words[2:]]
        assert_takes({"evolve": cli.main, "ray": ray}[words[0]], words[1:])
    for path in {word for words in commands for word in words if word.startswith("configs/")}:
        assert (ROOT / path).is_file(), path


def test_the_settings_of_the_page_are_settings():
    """In `a: b` as in a config, and in `--set`."""
    for block in re.findall(r"`(workers: \{.*?\})`", PAGE):
        given = yaml.safe_load(block)["workers"]
        settings = [f"workers.{key}={value}" for key, value in given.items()]
        workers = load_config("overnight", tuple(settings)).workers
        assert workers.model_dump(include=set(given)) == given
    for words in said(PAGE):
        settings = [value for option, value in itertools.pairwise(words) if option == "--set"]
        if settings:
            load_config("overnight", ("workers.kind=ray", *settings))
    assert load_config("overnight", ("search.order=arrival",)).search.order == "arrival"


def test_the_page_is_short():
    assert len(PAGE.splitlines()) < 130
    assert max(map(len, PAGE.splitlines())) <= 130


# --- Slurm ----------------------------------------------------------------------------------------

# Commands that say what they were called with, and how Ray was to know whom to trust.
FAKE = """#!/bin/bash
called=$(printf '%q ' "${0##*/}" "$@")
echo "$called| $RAY_AUTH_MODE $(stat -c %a "$RAY_AUTH_TOKEN_PATH") $(wc -c <"$RAY_AUTH_TOKEN_PATH")" >>"$CALLS"
"""
FAKE_SRUN = """
until [ "$1" = bash ]; do shift; done
exec "$@"
"""
FAKE_EVOLVE = """
trap 'echo saved >>"$CALLS"; exit 138' USR1
trap 'echo saved >>"$CALLS"; exit 143' TERM
folder="$PWD/runs/slurm-7/overnight-1"
mkdir -p "$folder" && touch "$folder/config.resolved.yaml"
echo "waits" >>"$CALLS"
[ "$1" = resume ] || for _ in {1..600}; do sleep 0.05; done
"""


@pytest.fixture
def slurm(tmp_path):
    """Start the script as Slurm would, on the first of three nodes; and what it calls."""
    tools = tmp_path / "env" / "bin"
    tools.mkdir(parents=True)
    (tools / "activate").write_text(f"PATH={shlex.quote(str(tools))}:$PATH")
    for name in ("ray", "scontrol", "srun", "evolve"):
        (tools / name).write_text(FAKE + {"evolve": FAKE_EVOLVE, "srun": FAKE_SRUN}.get(name, ""))
        (tools / name).chmod(0o755)
    calls = tmp_path / "calls"
    environment = {
        "PATH": "/usr/bin:/bin:" + str(Path(sys.executable).parent), "HOME": str(tmp_path),
        "CALLS": str(calls), "PRIDE_ENV": str(tmp_path / "env"), "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "3", "SLURM_CPUS_PER_TASK": "8", "SLURMD_NODENAME": "first",
    }  # fmt: skip

    def start() -> subprocess.Popen:
        calls.write_text("")
        script = ["bash", str(CLUSTERS / "slurm.sh"), "overnight", "--set", "search.lag=64"]
        return subprocess.Popen(
            script, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )

    return start, calls


def until(calls: Path, word: str) -> None:
    deadline = time.monotonic() + 30
    while word not in calls.read_text():
        assert time.monotonic() < deadline, f"no {word!r} in: {calls.read_text()}"
        time.sleep(0.01)


def test_a_job_whose_time_is_over_stops_its_run_and_is_queued_again_to_go_on(slurm, ray):
    start, calls = slurm
    job = start()
    until(calls, "waits")
    job.send_signal(signal.SIGUSR1)
    _, err = job.communicate(timeout=30)
    assert (job.returncode, err) == (138, "")
    words = [shlex.split(line.partition("| ")[0]) for line in calls.read_text().splitlines()]
    (run,) = [line[1:] for line in words if line[0] == "evolve"]
    (srun,) = [line[1:] for line in words if line[0] == "srun"]
    head, other = sorted(
        (line[1:] for line in words if line[0] == "ray"), key=lambda line: "--head" not in line
    )
    address = run[-1]
    assert run[:4] == ["run", "overnight", "--set", "search.lag=64"]
    for group, line in ((cli.main, run), (ray, head), (ray, other)):
        assert_takes(group, line)
    ip, port = address.split(":")
    assert {
        "--head",
        f"--node-ip-address={ip}",
        f"--port={port}",
        "--num-cpus=7",
        "--include-dashboard=false",
    } <= set(head)
    assert {"--nodes=2", "--ntasks=2", "--exclude=first"} <= set(srun)
    assert {f"--address={address}", "--num-cpus=8", "--block"} <= set(other)
    for line in (head, other):
        (folder,) = [
            Path(word.partition("=")[2]) for word in line if word.startswith("--temp-dir=")
        ]
        assert folder.stat().st_mode & 0o777 == 0o700, (
            "Ray's own is open to everybody on the machine"
        )
        folder.rmdir()
    assert words[-2:] == [["saved"], ["scontrol", "requeue", "7"]]
    assert {line.partition("| ")[2] for line in calls.read_text().splitlines()} == {
        "token 600 64",
        "",
    }
    token = (calls.parent / "runs" / "slurm-7" / "auth_token").read_text()

    job = start()  # again, as Slurm does
    _, err = job.communicate(timeout=30)
    assert (job.returncode, err) == (0, "")
    assert "evolve resume " in calls.read_text()
    assert "/slurm-7/overnight-1 --workers ray --address" in calls.read_text()
    assert "scontrol" not in calls.read_text()
    assert (calls.parent / "runs" / "slurm-7" / "auth_token").read_text() == token


def test_a_job_that_is_ended_by_its_user_stops_its_run_and_is_not_queued_again(slurm):
    start, calls = slurm
    job = start()
    until(calls, "waits")
    job.terminate()
    job.communicate(timeout=30)
    assert job.returncode == 143
    assert "saved" in calls.read_text()
    assert "scontrol" not in calls.read_text()


def test_slurm_is_asked_for_the_signal_that_the_script_waits_for():
    (sent,) = re.findall(r"^#SBATCH --signal=B:(\w+)@\d+$", SLURM, re.M)
    assert re.search(rf"^trap .* {sent}$", SLURM, re.M)
    assert "#SBATCH --requeue\n" in SLURM
