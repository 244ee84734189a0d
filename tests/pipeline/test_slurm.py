"""The small study on a real Slurm: labels as an array of jobs, one of them cancelled, the node drained and back; a site's own options."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from runs import assert_same_tables

TOP = Path(__file__).resolve().parents[2]
# A machine without a cluster may have a script beside the project that starts one of one node.
ONE_NODE = TOP.parent / "shared" / "tools" / "one-node-slurm"


def slurm(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def node() -> str:
    """The one node of a partition that is up, or a skip that says why."""
    if shutil.which("sinfo") is None or subprocess.run(["sinfo", "-h"], capture_output=True).returncode:
        if not (ONE_NODE.exists() and os.geteuid() == 0):
            pytest.skip("no Slurm here: sinfo shows no partition")
        started = subprocess.run([ONE_NODE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if started.returncode:
            pytest.skip(f"Slurm did not start: {started.stdout[-300:]}")
    nodes = slurm("sinfo", "-h", "-N", "-o", "%N").split()
    if len(set(nodes)) != 1:
        pytest.skip(f"this test drains a node, which only a cluster of one is for: {' '.join(nodes)}")
    return nodes[0]


def wait_for(what, running: subprocess.Popen, seconds: float = 600) -> object:
    """Return the first true value of what(), while a run goes on."""
    deadline = time.monotonic() + seconds
    while running.poll() is None and time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.2)
    running.kill()
    pytest.fail(f"never came: {what.__name__}\n{running.communicate()[0][-3000:]}")


@pytest.mark.all
def test_an_array_a_cancelled_task_and_a_drained_node(pipeline, node: str, results: Path) -> None:
    (pipeline.folder / "site.config").write_text("process.clusterOptions = '--comment=of-the-site'\n")
    running = pipeline.start(
        "-profile", "slurm,test", "-c", "site.config", "--slurm_account", "chemistry", "--outdir", "slurm",
        "-work-dir", "work-slurm", "--label_store", "none",
    )  # fmt: skip

    def a_label_task_of_an_array() -> str:
        """Return JOB_INDEX of one that runs, of a job array."""
        jobs = slurm("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i %j").splitlines()
        return next((job.split()[0] for job in jobs if "LABEL_FRAMES" in job and re.match(r"\d+_\d+ ", job)), "")

    def the_node_takes_no_job() -> bool:
        return slurm("sinfo", "-h", "-n", node, "-o", "%T").startswith("drain")

    def a_job_waits() -> str:
        return slurm("squeue", "-h", "-t", "PENDING", "-o", "%i")

    victim = str(wait_for(a_label_task_of_an_array, running))
    time.sleep(3)  # its script has begun: of one that left no trace Nextflow waits five minutes for the exit code
    slurm("scancel", victim)
    slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=a test of Ionmelt")
    try:
        assert wait_for(the_node_takes_no_job, running)
        assert wait_for(a_job_waits, running)
        before = set(slurm("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split())
        time.sleep(5)
        assert set(slurm("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split()) <= before
    finally:
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
    screen, _ = running.communicate(timeout=1800)
    assert running.returncode == 0, screen[-3000:]

    rows = [row for row in pipeline.trace("slurm") if row["name"].startswith("LABEL_FRAMES")]
    again = [row for row in rows if row["status"] == "FAILED"]
    assert len(again) == 1, rows
    assert len([row for row in rows if row["name"] == again[0]["name"] and row["status"] == "COMPLETED"]) == 1
    assert again[0]["native_id"] == victim
    chunks = {row["name"] for row in rows}
    firsts = {row["native_id"] for row in rows if re.fullmatch(r"\d+_\d+", row["native_id"])}
    assert len(firsts) == len(chunks) > 1, "every chunk was in the array"
    assert len({job.split("_")[0] for job in firsts}) == 1, "one array"
    scripts = [path.read_text() for path in (pipeline.folder / "work-slurm").glob("*/*/.command.run")]
    asked = [set(re.findall(r"^#SBATCH (.*)", text, re.M)) for text in scripts]
    assert len(asked) > 10
    for words in asked:
        assert {"-A chemistry", "--comment=of-the-site"} <= {word.strip() for word in words}
    assert_same_tables(results, pipeline.folder / "slurm")
