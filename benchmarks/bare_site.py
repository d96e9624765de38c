"""One page on bare aiohttp, which the realm's sites are compared with: `python -m benchmarks.bare_site PORT`."""

from __future__ import annotations

import sys

from aiohttp import web

PAGE = "hello\n"


async def show_page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE)


def main(port: int) -> None:
    """Serve it on loopback until a signal comes."""
    app = web.Application()
    app.add_routes([web.get("/", show_page)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
