"""A server on loopback whose answers a function makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

Wire = tuple[list[tuple[str, str]], bytes]
Respond = Callable[[str, list[tuple[str, str]], bytes], Wire | None]


@contextmanager
def served(respond: Respond, asked: list[str] | None = None) -> Iterator[str]:
    """The URL of a server that answers so, None with 404; `asked` gets the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            sent = self.rfile.read(length)
            if asked is not None:
                asked.append(self.path)
            found = respond(self.path, list(self.headers.items()), sent)
            headers, body = found or ([], b"not found")
            status = dict(headers).get("status", "200") if found else "404"
            self.send_response(int(status))
            for name, value in headers:
                self.send_header(name, value)
            if "status" not in dict(headers):
                self.send_header("status", status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
