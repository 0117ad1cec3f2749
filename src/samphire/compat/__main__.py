"""``python -m samphire.compat script.py``: run a script written for segment_anything unchanged."""

import argparse
import runpy
import sys
from pathlib import Path

from samphire.compat.aliases import install


def main() -> None:
    """Install the names, then run the script as Python itself would, as ``__main__``."""
    parser = argparse.ArgumentParser(
        prog="python -m samphire.compat",
        description="Run a script written for segment_anything or mobile_sam on Samphire.",
        epilog="example: python -m samphire.compat script.py --input photo.jpg",
    )
    parser.add_argument("script", help="a Python file, or a folder or zip file with a __main__.py")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the script's own arguments")
    given = parser.parse_args()
    script = Path(given.script)
    if not script.exists():
        parser.error(f"{script} does not exist: expected the path of a script")
    install()
    sys.argv = [given.script, *given.arguments]
    if script.is_file() and not sys.flags.safe_path:
        sys.path[0] = str(script.resolve().parent)  # where Python finds the script's neighbours
    runpy.run_path(given.script, run_name="__main__")


if __name__ == "__main__":
    main()
