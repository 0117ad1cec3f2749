"""Every attack runs under a limit of memory, so that a file that asks for gigabytes is found."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Address space beyond what the run holds at the start: threads and arenas take some hundreds of MB.
ROOM = 1_500_000_000


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = 1024 * int(status.split("VmSize:")[1].split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
