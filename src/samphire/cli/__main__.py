"""``samphire``: the commands, and what becomes of errors.

Results go to stdout, talk to stderr. Exit code 0: done; 1: some inputs failed, or something is not
here; 2: wrong usage; 130: interrupted. Commands import what they need when they run, so
``samphire --help`` loads neither NumPy nor PyTorch.
"""

import gc
import os
import sys
import warnings

import click

from samphire.cli.convert import convert
from samphire.cli.data import data
from samphire.cli.demo import demo
from samphire.cli.doctor import doctor
from samphire.cli.embed import embed
from samphire.cli.evaluate import evaluate
from samphire.cli.everything import everything
from samphire.cli.merge import merge
from samphire.cli.models import models
from samphire.cli.predict import predict
from samphire.cli.segment import segment
from samphire.cli.tune import tune
from samphire.cli.view import view
from samphire.errors import SamphireError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="samphire")
def cli() -> None:
    """Segment anything: click on an image and get the object's mask.

    \b
    Example:
      samphire segment photo.jpg --point 520,375
    """


_COMMANDS = (
    *(segment, everything, predict, convert, view, embed),
    *(tune, evaluate, merge, data),
    *(models, doctor, demo),
)
for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Run the command line; never shows a traceback for a user's mistake."""
    # what is wrong with a picture is said by images/read.py, once and by name
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # importing torch makes a million objects that stay: looking for garbage among them, while they
    # are made and again at exit, takes half a second
    gc.set_threshold(100_000)
    code = _run()
    gc.freeze()
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("samphire: interrupted; finished files stay, the same command goes on", err=True)
        return 130
    except BrokenPipeError:
        # whoever read our stdout has gone; Python would complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (SamphireError, OSError) as error:
        click.echo(f"samphire: {error}", err=True)
        return 1
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
