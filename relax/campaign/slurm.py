"""Job scripts for SLURM, which a user edits and submits."""

from __future__ import annotations

import shlex
import sys

from relax.campaign.store.folder import Folder
from relax.core.errors import UsageError

__all__ = ["job_script"]

EARLIER = 5
"""How much earlier than its job the command ends, min: a job takes time to begin and to end."""

SHORTEST = 15
"""Shortest job, min."""

HEAD = """\
#!/usr/bin/env bash
# Relaxes the structures of a campaign that wait: {what}.
#
# Edit the lines marked with (*) for your machine; submit it with sbatch, and look at the campaign with
#     {relax} status {folder}
# What is done is kept, whatever ends a job.  Submit the script again until nothing waits; or several times at
# once with sbatch --dependency=singleton: each then waits for the one before.

#SBATCH --job-name={name}
#SBATCH --output={output}
# A job that is run again goes on in the file of its messages.
#SBATCH --open-mode=append
"""

TAIL = """\
# (*) Time of each job.  The command must end earlier: keep --time-limit below in step.
#SBATCH --time={time}
# A job that makes room for another one, or whose node fails, is put back into the queue by SLURM.
#SBATCH --requeue
# The command is told two minutes before the time is up: it hands back what is under way, and ends.  At a
# preemption it does the same, for which clusters leave 30 seconds or more.
#SBATCH --signal=B:TERM@120

# exec: the signals of SLURM go to the command itself, which stands in the place of this script.
exec {relax} run {folder} \\
    {engine} \\
    --time-limit {limit} --grace 20s
"""

ARRAY = """\
# (*) Number of jobs: each does one part of the campaign.  It must begin at 0.
#SBATCH --array=0-{last}
"""

CORES = """\
# (*) Cores of each job, on one node, and the memory of each of its processes; --partition and --account.
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cores}
#SBATCH --mem-per-cpu=2G
"""

GPU = """\
# (*) Each job has one GPU, and one process that uses it; --partition and --account.
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gpus=1
#SBATCH --mem=16G
"""

TASKS = """\
# (*) Number of processes, on as many nodes as they take, and the memory of each; --partition and --account.
#SBATCH --ntasks={cores}
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=2G
"""

SHARD = '--shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"'
PER_TASK = '"$SLURM_CPUS_PER_TASK"'


def job_script(
    folder: Folder, *, jobs: int = 4, cores: int = 8, minutes: int = 240, allocation: bool = False
) -> str:
    """Return a job script for a campaign.

    Parameters
    ----------
    folder
        The folder of the campaign.
    jobs
        Number of jobs of an array, each of which does one part of the campaign on one node.
    cores
        Cores of each job; a process that relaxes uses one.  On GPUs each job has one GPU and one process.
    minutes
        Time of each job, min.
    allocation
        Whether it is one job instead of an array, in which executorlib starts a process for each core of
        all its nodes.

    Raises
    ------
    UsageError
        A number is too small, or it is one job for GPUs.
    """
    on_gpu = folder.settings.device.startswith("cuda")
    if jobs < 1 or cores < 1:
        raise UsageError(f"a job script needs 1 job and 1 core or more (got {jobs} and {cores})")
    if minutes < SHORTEST:
        raise UsageError(f"a job needs {SHORTEST} minutes or more (got {minutes})")
    if allocation and on_gpu:
        raise UsageError("a campaign on GPUs needs a job array, in which each job has one GPU")
    if allocation:
        what, shape, engine = "one job with executorlib", TASKS, "--engine executorlib:slurm"
    else:
        what = "a job array, each job one part of it"
        shape = ARRAY + (GPU if on_gpu else CORES)
        engine = f"{SHARD} --workers {'1' if on_gpu else PER_TASK}"
    output = folder.logs / ("slurm-%j.out" if allocation else "slurm-%A_%a.out")
    words = {
        "what": what, "engine": engine, "cores": cores, "last": jobs - 1,
        "relax": f"{shlex.quote(sys.executable)} -m relax campaign",
        "folder": shlex.quote(str(folder.path)), "output": shlex.quote(str(output)),
        "name": shlex.quote(f"relax-{folder.path.name}"),
        "time": _clock(minutes), "limit": _clock(minutes - EARLIER),
    }  # fmt: skip
    return (HEAD + shape + TAIL).format(**words)


def _clock(minutes: int) -> str:
    """Return a time as SLURM writes it."""
    days, rest = divmod(minutes, 24 * 60)
    return (f"{days}-" if days else "") + f"{rest // 60:02}:{rest % 60:02}:00"
