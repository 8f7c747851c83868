"""`equipoise studio`: a page on this machine to look, steer, watch and compare."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from equipoise.cli.output import Device

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65535))]


def studio(
    *, runs: Path = Path("runs"), port: Port = 7717, device: Device = "cpu", show: bool = False
) -> None:
    """Serve the studio on 127.0.0.1 until it is stopped.

    Args:
        runs: Folder with the runs to browse; vectors made in the studio are kept below it.
        port: TCP port; 0 takes a free one.
        show: Open it in the browser.
    """
    from equipoise.studio import build_server

    with build_server(runs, port=port, device=device) as server:
        place = f"http://127.0.0.1:{server.server_port}/"
        sys.stdout.write(f"{place}   (stop with Ctrl-C)\n")
        sys.stdout.flush()
        if show:
            import webbrowser

            webbrowser.open(place)
        server.serve_forever()
