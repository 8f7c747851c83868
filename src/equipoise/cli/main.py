"""The entry point: commands, exit codes, errors without a traceback.

Exit codes: 0 done; 2 wrong use or bad input, with one message; 3 a limit that was given is
exceeded; 1 our fault.
"""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from rich.console import Console

from equipoise.cli.audit import audit
from equipoise.cli.bench import bench
from equipoise.cli.calibrate import calibrate
from equipoise.cli.convert import convert
from equipoise.cli.demo import demo
from equipoise.cli.duplicates import duplicates
from equipoise.cli.inspect import inspect
from equipoise.cli.monitor import monitor
from equipoise.cli.runs import report, runs
from equipoise.cli.sites import sites
from equipoise.cli.steer import steer
from equipoise.cli.studio import studio
from equipoise.cli.sweep import sweep
from equipoise.cli.theory import theory
from equipoise.cli.verify import verify
from equipoise.cli.zoo import zoo
from equipoise.errors import EquipoiseError

HELP = """Tell memorized outputs of a diffusion model from new ones, by looking inside it."""

app = App(
    name="equipoise",
    help=HELP,
    error_console=Console(stderr=True),
    result_action="return_value",
)
for command in (
    demo, audit, bench, calibrate, convert, duplicates, inspect, sites, studio, sweep, verify,
    report,
):  # fmt: skip
    app.command(command)
app.command(monitor)
app.command(runs)
app.command(steer)
app.command(theory)
app.command(zoo)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        return app(tokens, exit_on_error=False, print_error=True) or 0
    except CycloptsError:
        return 2
    except EquipoiseError as error:
        sys.stderr.write(f"error: {_escape(str(error))}\n")
        return 2
    except OSError as error:
        name = "a file" if error.filename is None else _escape(str(error.filename))
        why = _escape(error.strerror or str(error))
        sys.stderr.write(f"error: cannot read or write {name}: {why}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(
            "stopped; an audit or a phase diagram goes on with the same command and --out\n"
        )
        return 130


def _escape(text: str) -> str:
    """Escape control characters, which a file's name may bring along, but for ends of lines."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
