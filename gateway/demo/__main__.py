"""`python -m gateway.demo`: the exchange alone, as docker-compose starts it."""

import argparse

from aiohttp import web

from gateway.demo.app import make_app


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo", description="Northbank Exchange, to protect"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8001, help="port to listen on (default: %(default)s)")
    options = parser.parse_args()
    web.run_app(make_app(), host=options.host, port=options.port, access_log=None)


if __name__ == "__main__":
    main()
