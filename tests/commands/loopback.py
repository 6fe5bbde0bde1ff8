# SPDX-License-Identifier: Apache-2.0
"""Hosts of one run as processes that meet on this machine."""

import socket
import subprocess
from collections.abc import Callable, Sequence

from tests.commands.tiny_task import flags, start_command

Hosts = list["subprocess.Popen[str]"]
SECONDS = 400  # a run that takes longer hangs; they take ten
NO_MEETING = "cannot meet the other hosts"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def watch_hosts(
    command: str, arguments: Sequence[str], during: Callable[[Hosts], None], count: int = 2
) -> list[tuple[int, str]]:
    """Exit code and standard error of hosts with one device each; `during` is called while they run.

    Where another program took the port in the meantime they are started again. Whatever happens, no process stays.
    """
    for _ in range(3):
        names = ",".join([f"localhost:{free_port()}", *["localhost:1"] * (count - 1)])
        common = flags(distribution_strategy="multi_worker_mirrored", worker_hosts=names)
        hosts = [start_command(command, *arguments, *common, f"--task_index={index}") for index in range(count)]
        try:
            during(hosts)
            results = [(host.communicate(timeout=SECONDS)[1], host.returncode) for host in hosts]
        finally:
            for host in hosts:
                host.kill()
                host.communicate()
        if NO_MEETING not in results[0][0]:
            break
    return [(code, err) for err, code in results]


def run_hosts(command: str, arguments: Sequence[str], count: int = 2) -> None:
    """All hosts to a good end; only the first one speaks."""
    results = watch_hosts(command, arguments, lambda hosts: None, count)
    assert [code for code, _ in results] == [0] * count, results
    for _, err in results[1:]:
        assert not [line for line in err.splitlines() if line.startswith(("step", "note", "loaded"))]
