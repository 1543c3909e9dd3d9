"""Requests written by hand: what no client would send, signed as botocore signs.

The head and the body go to the socket as they are: nothing normalises `..`, adds a header, corrects
a length or tries again.
"""

import datetime
import hashlib
import http.client
import re
import select
import socket
import struct
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .endpoint import REGION, Endpoint

UNSIGNED = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass
class Answer:
    """What came back; status 0 if the connection ended without an answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        """The AWS code of an XML error."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found[1].decode() if found else ""

    @property
    def error(self) -> tuple[str, int]:
        return self.code, self.status

    @property
    def is_ours(self) -> bool:
        """Whether the server answered, and not a proxy in front of it."""
        return "x-amz-request-id" in self.headers


class _Signer(S3SigV4Auth):
    """botocore's SigV4 with the payload hash and the time that a test wants."""

    def __init__(self, endpoint: Endpoint, payload: str, skew_s: float, region: str):
        super().__init__(Credentials(endpoint.access_key, endpoint.secret_key), "s3", region)
        self._payload = payload
        self._time = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=skew_s)

    def payload(self, request) -> str:
        return self._payload

    def add_auth(self, request) -> str:
        """Signs, and returns the signature."""
        request.context["timestamp"] = self._time.strftime(SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        signature = self.signature(text, request)
        self._inject_signature_to_request(request, signature)
        return signature


class Signed:
    """The signed head of a request, without its Content-Length."""

    def __init__(self, endpoint, method, target, headers, payload, skew_s, region):
        self.method = method
        self._signer = _Signer(endpoint, payload, skew_s, region)
        self._request = AWSRequest(method, endpoint.url + target, headers={"Host": endpoint.host, **headers})
        self._signature = self._signer.add_auth(self._request)
        self._target = target

    def head(self, length: int | None) -> bytes:
        """With the length that is declared, whatever follows."""
        lines = [f"{self.method} {self._target} HTTP/1.1", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self._request.headers.items()]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def chunk(self, data: bytes) -> bytes:
        """An aws-chunked piece, signed after the one before it."""
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256-PAYLOAD",
                self._request.context["timestamp"],
                self._signer.credential_scope(self._request),
                self._signature,
                EMPTY_SHA256,
                hashlib.sha256(data).hexdigest(),
            ]
        )
        self._signature = self._signer.signature(text, self._request)
        return f"{len(data):x};chunk-signature={self._signature}\r\n".encode() + data + b"\r\n"


class Raw:
    """An endpoint at the level of bytes."""

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint

    def sign(
        self, method: str, path: str, query: str = "", headers=None, payload=UNSIGNED, skew_s=0.0, region=REGION
    ) -> Signed:
        """`path` and `query` are encoded already. `payload` is a SHA-256 or one of AWS's words for none."""
        target = f"{path}?{query}" if query else path
        return Signed(self.endpoint, method, target, headers or {}, payload, skew_s, region)

    def call(self, method: str, path: str, query: str = "", body: bytes = b"", headers=None, **more) -> Answer:
        """One whole request; its payload is signed unless something else is said."""
        more.setdefault("payload", hashlib.sha256(body).hexdigest())
        request = self.sign(method, path, query, headers, **more)
        return self.send(request, request.head(len(body)) + body)

    def send(self, request: Signed, data: bytes, end: bool = False) -> Answer:
        """Sends the bytes and reads the answer; `end` says that no more will come."""
        with self._connect() as connection:
            try:
                self._send_until_answered(connection, data)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it may answer and hang up before it has read everything
            answer = http.client.HTTPResponse(connection, method=request.method)
            try:
                answer.begin()
                headers = {name.lower(): value for name, value in answer.getheaders()}
                return Answer(answer.status, headers, answer.read())
            except (OSError, http.client.HTTPException):
                return Answer()

    @staticmethod
    def _send_until_answered(connection: socket.socket, data: bytes) -> None:
        """As a good client: one that has its answer does not go on sending a body that nobody will read."""
        left = memoryview(data)
        while left:
            answered, _, _ = select.select([connection], [connection], [], 30)
            if answered:
                return
            left = left[connection.send(left[: 64 << 10]) :]

    def abandon(self, data: bytes) -> None:
        """Sends the bytes and is gone: a reset, as from a client that was killed."""
        with self._connect() as connection:
            connection.sendall(data)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _connect(self) -> socket.socket:
        url = urlsplit(self.endpoint.url)
        return socket.create_connection((url.hostname, url.port), timeout=30)
