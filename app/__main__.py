"""`python -m app`: serve until told to stop."""

if __name__ == "__main__":
    # Before any library is imported.
    from app import deferred

    deferred.install()

import gc
import logging
import signal
import sys
from collections.abc import Mapping

from app import config
from app.logs import JsonLog, LibraryHandler
from app.probes import Lifecycle
from app.service import make_service


def main(environ: Mapping[str, str] | None = None) -> int:
    """Run the service. Exit codes: 0 stopped as asked, 1 it cannot listen, 2 settings that cannot be used."""
    try:
        settings = config.load(environ)
    except config.ConfigError as error:
        print(f"app: {error}", file=sys.stderr)
        return 2
    lifecycle = Lifecycle()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Set by hand: as PID 1 a process has no default handlers.
        signal.signal(number, lambda *_: setattr(lifecycle, "stopping", True))
    log = JsonLog(settings.pod, secrets=(settings.database.password or "",))
    logging.basicConfig(handlers=[LibraryHandler(log)])
    # One line for each request that waits a moment for a thread would be all there is in the log under load.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        server, pool = make_service(settings, log, lifecycle)
    except OSError as error:
        print(f"app: cannot listen on {settings.host}:{settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    # What has been loaded stays for good; later collections need not look at it again.
    gc.collect()
    gc.freeze()
    log.event("info", "serving", port=str(server.effective_port), version=settings.version)
    server.run()
    pool.close()
    log.event("info", "stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
