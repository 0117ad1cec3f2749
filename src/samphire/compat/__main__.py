"""``python -m samphire.compat script.py``: run a script written for segment_anything unchanged.

The script has what plain Python would give it: ``__main__``, ``sys.argv`` and ``sys.path[0]`` of
its own, its exit code, and a traceback that begins with its own line. ``runpy.run_path`` gives
less: its ``__main__`` ends before the script's threads do, and ``__file__`` is not absolute.
"""

import argparse
import sys
from pathlib import Path
from types import ModuleType, TracebackType

from samphire.compat.aliases import install


def main() -> None:
    """Install the names, then run the script as Python itself would, as ``__main__``."""
    parser = argparse.ArgumentParser(
        prog="python -m samphire.compat",
        usage="%(prog)s script.py [argument ...]",
        description="Run a script written for segment_anything or mobile_sam on Samphire.",
        epilog="example: python -m samphire.compat script.py --input photo.jpg",
    )
    parser.add_argument("script", help="a Python file; what follows it are its own arguments")
    given = parser.parse_args(sys.argv[1:2]).script
    script = Path(given).absolute()
    if not script.is_file():
        parser.error(f"{given} is not a file: expected the path of a script")
    install()
    sys.argv = sys.argv[1:]
    if not sys.flags.safe_path:
        sys.path[0] = str(script.resolve().parent)  # where Python finds the script's neighbours
    sys.excepthook = _without_our_frames
    _run(script)


def _run(script: Path) -> None:
    """Execute a file as the module ``__main__``, which it stays."""
    module = ModuleType("__main__")
    module.__file__ = str(script)
    sys.modules["__main__"] = module
    code = compile(script.read_bytes(), str(script), "exec", dont_inherit=True)
    exec(code, vars(module))  # noqa: S102


def _without_our_frames(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Show an error of the script from its own first line; a syntax error has none."""
    ours = True
    while trace is not None and ours:
        ours = trace.tb_frame.f_code is not _run.__code__
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


if __name__ == "__main__":
    main()
