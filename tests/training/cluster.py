"""Programs that tests of several devices run in processes of their own: devices are set up once."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

MICRO_TRAINING = """
import sys
from atmodist.pretext.architectures import resnet_tiny
from tests.pretext.sources import MICRO
resnet_tiny.ARCHITECTURE = MICRO
from atmodist.cli.rplearn_train import main
raise SystemExit(main(sys.argv[1:]))
"""


def free_ports(count):
    """Ports that nobody listens to now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(program, *arguments, **environment):
    """Starts a program in a process of its own."""
    settings = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **settings},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_workers(program, arguments_of_worker):
    """Starts one worker of a cluster for each list of arguments."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(len(arguments_of_worker))]
    return [
        start(
            program,
            *arguments,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index, arguments in enumerate(arguments_of_worker)
    ]


def finish(processes, timeout=300):
    """Waits for processes; returns (exit status, stdout, stderr) of each."""
    results = []
    try:
        for process in processes:
            stdout, stderr = process.communicate(timeout=timeout)
            results.append((process.returncode, stdout, stderr))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return results
