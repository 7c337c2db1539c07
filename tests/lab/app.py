"""The application that test images run: `app.py [web|worker|release]`. Only Python's standard library.

The environment steers it:

VERSION     what /version answers
PORT        where it listens; 80
FAIL        ``crash``: it ends at once, with status 1; ``unhealthy``: /up answers 503
STARTUP     seconds before it listens
"""

import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("VERSION", "0")
UNHEALTHY = pathlib.Path("/tmp/unhealthy")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/up":
            bad = os.environ.get("FAIL") == "unhealthy" or UNHEALTHY.exists()
            self.answer(503 if bad else 200, "unhealthy\n" if bad else "up\n")
        elif url.path == "/version":
            self.answer(200, VERSION)
        elif url.path == "/env":
            self.answer(200, json.dumps(dict(os.environ)))
        elif url.path == "/headers":
            self.answer(200, json.dumps(dict(self.headers)))
        elif url.path == "/slow":
            time.sleep(float(query.get("seconds", 1)))
            self.answer(200, VERSION)
        elif url.path == "/status":
            self.answer(int(query.get("code", 200)), VERSION)
        elif url.path.startswith("/assets/"):
            self.file("/app/public" + url.path)
        else:
            self.answer(
                200,
                json.dumps({"version": VERSION, "host": socket.gethostname(), "path": self.path}),
            )

    def do_POST(self):
        self.answer(200, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def file(self, path):
        try:
            self.answer(200, pathlib.Path(path).read_bytes())
        except OSError:
            self.answer(404, "no such asset\n")

    def answer(self, status, body):
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Version", VERSION)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        say(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}")


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what is being answered is answered before we end
    request_queue_size = 128


def say(text):
    print(text, flush=True)


def web():
    server = Server(("0.0.0.0", int(os.environ.get("PORT", "80"))), Handler)
    # Kept-alive connections would keep their threads: those have nothing to answer.
    server.block_on_close = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    say(f"web {VERSION} listens")
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    say(f"web {VERSION} ends")
    time.sleep(0.2)
    os._exit(0)


def worker():
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    say(f"worker {VERSION} works")
    while not ending.wait(0.5):
        pass
    say(f"worker {VERSION} ends")


if __name__ == "__main__":
    if os.environ.get("FAIL") == "crash":
        print(f"release {VERSION} cannot start: this is its last line", file=sys.stderr, flush=True)
        sys.exit(1)
    time.sleep(float(os.environ.get("STARTUP", "0")))
    {"web": web, "worker": worker}[sys.argv[1] if len(sys.argv) > 1 else "web"]()
