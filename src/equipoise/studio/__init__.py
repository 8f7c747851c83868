"""The studio: a page on this machine for looking, steering, watching and comparing.

It is served by Python's own HTTP server on the loopback interface alone. The page is built thin on
what the library offers; everything slow is a task that shows its progress and can be cancelled.
"""

from equipoise.studio.server import build_server

__all__ = ["build_server"]
