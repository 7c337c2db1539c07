#!/usr/bin/env python3
"""Stands in for kamal-proxy, whose image is in no registry that a test machine reaches.

It has kamal-proxy's command line as Kamal 2.11 uses it (``run``, ``deploy``, ``remove``, ``list``), and does what
it says: ask ``/up`` until it answers 200, send new requests to the new target, wait until the old one has answered
all of its own. The rest of the deploy is the real Kamal. It runs in a container; only Python's standard library.
"""

import json
import socket
import sys

ADDRESS = "\0kamal-proxy"  # of no file: the container's own network has it
PORT = 80


def main(arguments: list[str]) -> int:
    """The client, which says one line to the server; or the server."""
    if arguments[:1] == ["run"]:
        import asyncio

        asyncio.run(_server())
        return 0
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(ADDRESS)
        server.sendall(json.dumps(arguments).encode() + b"\n")
        said = server.makefile().read()
    status, _, text = said.partition(" ")
    print(text, end="")
    return int(status or 1)


def option(arguments: list[str], name: str, default: str) -> str:
    """``--name=value`` or ``--name value``."""
    for at, word in enumerate(arguments):
        if word.startswith(f"--{name}="):
            return word.partition("=")[2].strip('"')
        if word == f"--{name}":
            return arguments[at + 1].strip('"')
    return default


async def _server() -> None:
    import asyncio
    import time

    targets: dict[str, tuple[str, int]] = {}
    busy: dict[tuple[str, int], int] = {}

    async def head(reader: asyncio.StreamReader) -> bytes:
        return await reader.readuntil(b"\r\n\r\n")

    async def body(reader: asyncio.StreamReader, of: bytes) -> bytes:
        for line in of.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return await reader.readexactly(int(value))
        return b""

    async def healthy(target: tuple[str, int], limit: float) -> bool:
        give_up = time.monotonic() + limit
        while time.monotonic() < give_up:
            began = time.monotonic()
            try:
                reader, writer = await asyncio.open_connection(*target)
                writer.write(b"GET /up HTTP/1.1\r\nHost: up\r\nConnection: close\r\n\r\n")
                answer = await head(reader)
                writer.close()
                if b" 200 " in answer.split(b"\r\n")[0]:
                    return True
            except (OSError, asyncio.IncompleteReadError):
                pass
            # As kamal-proxy: one question a second.
            await asyncio.sleep(max(0.0, began + 1.0 - time.monotonic()))
        return False

    async def deploy(service: str, arguments: list[str]) -> tuple[int, str]:
        host, _, port = option(arguments, "target", "").partition(":")
        new = (socket.gethostbyname(host), int(port or 80))
        limit = float(option(arguments, "deploy-timeout", "30s").rstrip("s"))
        if not await healthy(new, limit):
            return (
                1,
                f"Error: target failed to become healthy within configured timeout ({limit:g}s)\n",
            )
        old = targets.get(service)
        targets[service] = new
        give_up = time.monotonic() + float(option(arguments, "drain-timeout", "30s").rstrip("s"))
        while old and busy.get(old) and time.monotonic() < give_up:
            await asyncio.sleep(0.01)
        return 0, ""

    async def command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        verb, *arguments = json.loads(await reader.readline())
        status, text = 0, ""
        if verb == "deploy":
            status, text = await deploy(arguments[0], arguments[1:])
        elif verb == "remove":
            targets.pop(arguments[0], None)
        elif verb == "list":
            text = "".join(f"{name} {host}:{port}\n" for name, (host, port) in targets.items())
        writer.write(f"{status} {text}".encode())
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        at: tuple[str, int] | None = None
        try:
            while True:
                request = await head(reader)
                request += await body(reader, request)
                target = next(iter(targets.values()), None)
                if target is None:
                    writer.write(b"HTTP/1.1 503 none\r\nContent-Length: 0\r\n\r\n")
                    continue
                if upstream is None or at != target:
                    if upstream:
                        upstream[1].close()
                    upstream, at = await asyncio.open_connection(*target), target
                busy[target] = busy.get(target, 0) + 1
                try:
                    upstream[1].write(request)
                    answer = await head(upstream[0])
                    writer.write(answer + await body(upstream[0], answer))
                finally:
                    busy[target] -= 1
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            if upstream:
                upstream[1].close()

    commands = await asyncio.start_unix_server(command, ADDRESS)
    requests = await asyncio.start_server(serve, "0.0.0.0", PORT, backlog=512)
    async with commands, requests:
        await asyncio.gather(commands.serve_forever(), requests.serve_forever())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
