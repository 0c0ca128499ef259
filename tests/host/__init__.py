"""A Debian host for a test: an empty root, systemd as its first process, a network of its own, all in namespaces."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.conftest import program


def needs_a_host() -> None:
    """Skip where no host can be made: without root, in a container that allows no namespaces, without the peers."""
    for name in ("unshare", "nsenter", "systemd-analyze", "ip", "Orthanc", "echoscu", "storescu"):
        program(name)
    trial = [program("unshare"), "--mount", "--pid", "--net", "--cgroup", "--fork", "mount", "-t", "tmpfs", "t", "/mnt"]
    if os.geteuid() != 0 or subprocess.run(trial, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make namespaces, or not this account")
