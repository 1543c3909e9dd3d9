"""Talks with a helper process over its Unix socket: one JSON object a line, one line back."""

import json
import socket
from pathlib import Path


class CommandError(Exception):
    """The helper did not do what it was told; the reason."""


def command(path: Path, seconds: float = 30, **words: object) -> dict:
    """Sends one command and returns the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(json.dumps(words).encode() + b"\n")
        with connection.makefile("r") as answers:
            answer = json.loads(answers.readline())
    if "error" in answer:
        raise CommandError(f"{path.name} refused {words}: {answer['error']}")
    return answer

