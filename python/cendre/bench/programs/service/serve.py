"""Serves the shop over HTTP on a free port of the loopback, and says which on stdout: `python serve.py aiohttp|starlette`.

A script, started by path, so that a plain process stays plain. It ends when its stdin does, so that no server outlives who started it, and
writes what cendre has done on stdout, as JSON.
"""

import asyncio
import json
import socket
import sys
import threading

import shop


def listen():
    """A socket on a free port."""
    # With the protocol named, as servers that bind by address have it: only then asyncio sets TCP_NODELAY, without which an answer in two parts waits
    # for the client's delayed acknowledgement, and the maximum says nothing of the server.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(512)
    sock.setblocking(False)
    print(sock.getsockname()[1], flush=True)
    return sock


async def until_stdin_ends():
    """Waits for the end of stdin without a pipe in the loop, which would be another thing to poll."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def read():
        sys.stdin.read()
        loop.call_soon_threadsafe(done.set)
    threading.Thread(target=read, daemon=True).start()
    await done.wait()


async def serve_aiohttp():
    from aiohttp import web

    service = shop.Shop()

    async def page(request):
        return web.Response(text=await service.page(int(request.match_info["number"])), content_type="application/json")
    app = web.Application()
    app.router.add_get("/page/{number}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listen()).start()
    await until_stdin_ends()
    await runner.cleanup()


async def serve_starlette():
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    service = shop.Shop()

    async def page(request):
        return Response(await service.page(int(request.path_params["number"])), media_type="application/json")
    app = Starlette(routes=[Route("/page/{number:int}", page)])
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listen()]))
    await until_stdin_ends()
    server.should_exit = True
    await serving


def stats():
    """What cendre has done in this process, or None."""
    native = sys.modules.get("cendre._cendre")
    if native is None or not sys.modules["cendre"].is_enabled():
        return None
    found = {"jit": native.stats()}
    if "cendre.aio" in sys.modules:
        found["tasks"] = native.tasks_stats()
    return found


if __name__ == "__main__":
    asyncio.run({"aiohttp": serve_aiohttp, "starlette": serve_starlette}[sys.argv[1]]())
    print(json.dumps(stats(), default=str), flush=True)
