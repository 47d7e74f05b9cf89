"""The same read as the service's, with FastAPI, uvicorn (uvloop, httptools) and asyncpg, as one would write it there.

It writes the same log line, counts the same metrics and stamps the same headers with the service's own modules, so that
the comparison is one of servers, frameworks and drivers. It has none of the service's other duties.
"""

import os
import time
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from app.logs import JsonLog
from app.metrics import Metrics

POD = "fastapi"
log = JsonLog(POD)
metrics = Metrics("bench", "bench")


@asynccontextmanager
async def lifespan(application):
    """Keep a pool as large as the service's."""
    application.state.pool = await asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=4, command_timeout=0.8
    )
    yield
    await application.state.pool.close()


class Observe:
    """Identity, log line, metrics: a plain ASGI middleware, the cheapest kind."""

    def __init__(self, application):
        self.application = application

    async def __call__(self, scope, receive, send):
        """Serve one request and record it."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        begin = time.perf_counter()
        identity = next((v.decode() for k, v in scope["headers"] if k == b"x-request-id"), None) or os.urandom(16).hex()
        status = 500

        async def stamped(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += [
                    (b"x-served-by", POD.encode()),
                    (b"x-request-id", identity.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self.application(scope, receive, stamped)
        route = getattr(scope.get("route"), "path", "none")
        seconds = time.perf_counter() - begin
        metrics.request(scope["method"], route, status, seconds)
        log.request(scope["method"], route, status, seconds, identity)


app = FastAPI(lifespan=lifespan)
app.add_middleware(Observe)


@app.get("/var/{name}", response_class=PlainTextResponse)
async def get_variable(name: str, request: Request):
    """Answer `name = value`."""
    value = await request.app.state.pool.fetchval("SELECT value FROM variables WHERE name = $1", name)
    if value is None:
        return PlainTextResponse("Variable name not found", 404)
    return PlainTextResponse(f"{name} = {value}", headers={"Vary": "Accept", "Cache-Control": "no-cache"})


@app.get("/healthz", response_class=PlainTextResponse)
async def health():
    """Answer ok."""
    return PlainTextResponse("ok", headers={"Cache-Control": "no-store"})


@app.get("/readyz", response_class=PlainTextResponse)
async def readiness(request: Request):
    """Answer ready once the database answers."""
    await request.app.state.pool.fetchval("SELECT 1")
    return PlainTextResponse("ready")


@app.get("/metrics")
async def scrape():
    """Answer the counters."""
    return Response(metrics.render(), media_type="text/plain; version=0.0.4")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
