"""The states of SLURM's jobs by ``squeue``, for clusters that keep no record of jobs; needs submitit."""

from __future__ import annotations

from submitit.slurm.slurm import SlurmInfoWatcher

ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT",
)  # fmt: skip


class QueueWatcher(SlurmInfoWatcher):
    """What submitit asks for the states of jobs. A job that was in the queue and is there no more has ended."""

    def _make_command(self) -> list[str] | None:
        waiting = self._registered - self._finished
        return ["squeue", "--me", "--states=all", "--format=%i|%T|%N"] if waiting else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        text = string if isinstance(string, str) else string.decode()
        known = super().read_info("\n".join(["JobID|State|NodeList", *text.splitlines()[1:]]))
        gone = {job: {"State": "COMPLETED"} for job in self._info_dict if job not in known}
        return gone | {job: told | {"State": state(told["State"])} for job, told in known.items()}


def state(told: str) -> str:
    """What submitit takes for a job that has ended, or for one that goes on."""
    return told if told in ENDED else "RUNNING"
