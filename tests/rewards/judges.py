"""Judges behind HTTP for tests: servers in a thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from torch import Tensor

from fmtt.flow import noise
from fmtt.rewards.wire import Question, unpacked

CPU = torch.device("cpu")
PICTURES = noise.normal((11, 3, 4, 5), 0, "pictures")
TEXTS = ["a cat", "zwölf Äpfel, 十二个苹果", ""]
QUICK = {"retries": 1, "backoff": 0.01}


def slope(x: Tensor) -> Tensor:
    """A reward that tells all pictures and all their pixels apart, and whose rounding does not depend on the batch."""
    return (x.flatten(1) * torch.linspace(1, 2, x[0].numel()).sin()).sum(1)


def told(x: Tensor, condition: list[str]) -> Tensor:
    """A reward that depends on the text, too."""
    return slope(x) * torch.tensor([float(sum(text.encode())) for text in condition])


@contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stop(server)
        thread.join()


def stop(server: ThreadingHTTPServer) -> None:
    """No connection is taken any more; also for a server that has stopped."""
    server.shutdown()
    server.server_close()


@contextmanager
def scripted(respond: Callable[[int, Question], tuple[int, bytes]]) -> Iterator[str]:
    """A server that answers request 0, 1, ... as ``respond`` says."""
    numbers = iter(range(1000))

    class Scripted(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = unpacked(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = respond(next(numbers), question)
            self.send_response(status)
            self.end_headers()
            with suppress(BrokenPipeError):  # a client that waits no longer
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Scripted)) as address:
        yield address
