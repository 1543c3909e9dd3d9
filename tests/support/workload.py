"""A mixed workload that checks every answer: nothing acknowledged may be lost or come back wrong.

Each worker owns its keys and uses them one request at a time, so it knows what a read must show:
the last acknowledged write. A write without a clear answer (an error, a broken connection) may
have happened, and may even happen later: its key is retired, and at the end either of the two
contents is right. Everything else must match exactly.
"""

import hashlib
import itertools
import random
import threading
import time
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

MIB = 1 << 20
PART = 5 * MIB
# Inline in the metadata, one stripe, several stripes.
SIZES = [100, 3000, 20_000, 200_000, 1_000_000, 5_000_000]
WEIGHTS = [3, 3, 4, 4, 0.5, 0.2]
SAMPLES_MAX = 200_000
FAILURES = (ClientError, BotoCoreError, OSError)


@dataclass
class Gaps:
    """The longest time without any success, over all workers, since `restart`."""

    last: float = field(default_factory=time.monotonic)
    longest: float = 0.0
    count: int = 0
    samples: list[float] = field(default_factory=list)

    def success(self) -> None:
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        self.last = now
        self.count += 1

    def so_far(self) -> float:
        return max(self.longest, time.monotonic() - self.last)

    def took(self, seconds: float) -> None:
        """A success that took so long; the first SAMPLES_MAX of a window are kept."""
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append(seconds)
        self.success()

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.samples)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


@dataclass
class Key:
    """What is known of one key: the acknowledged SHA-256 (None: not there), and what may replace it."""

    acknowledged: str | None = None
    doubtful: list[str | None] = field(default_factory=list)

    def allows(self, found: str | None) -> bool:
        return found == self.acknowledged or found in self.doubtful


class Workload:
    """Threads that PUT, GET, LIST, DELETE and upload by parts, until `stop`."""

    def __init__(self, client_of, bucket: str, workers: int = 8, seed: int = 1):
        self.bucket = bucket
        self.keys: dict[str, Key] = {}
        self.wrong: list[str] = []
        self.errors: dict[str, int] = {}
        self.reads = Gaps()
        self.writes = Gaps()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(client_of(), number, random.Random(seed * 1000 + number)))
            for number in range(workers)
        ]

    def start(self) -> "Workload":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def new_window(self) -> None:
        """Starts counting pauses, successes and errors afresh."""
        with self._lock:
            self.reads, self.writes, self.errors = Gaps(), Gaps(), {}

    def window(self) -> str:
        """What happened since `new_window`."""
        with self._lock:
            errors = ", ".join(f"{count} {name}" for name, count in sorted(self.errors.items())) or "no errors"
            return (
                f"{self.reads.count} reads, longest pause {self.reads.so_far():.1f} s; "
                f"{self.writes.count} writes, longest pause {self.writes.so_far():.1f} s; {errors}"
            )

    # ---- one worker

    def _work(self, s3, number: int, rng: random.Random) -> None:
        mine: list[str] = []  # keys that are there and not in doubt
        names = (f"{number}/{made:06}" for made in itertools.count())
        while not self._stop.is_set():
            action = rng.choices(["put", "get", "list", "delete", "multipart"], [30, 50, 5, 6, 1])[0]
            if action == "put" or not mine:
                # Half of the writes go to new keys, the others to keys that are there.
                key = rng.choice(mine) if mine and rng.random() < 0.5 else next(names)
                self._put(s3, mine, key, rng.randbytes(rng.choices(SIZES, WEIGHTS)[0]))
            elif action == "multipart":
                self._upload(s3, mine, next(names), rng.randbytes(PART + rng.randrange(MIB)))
            elif action == "delete":
                self._delete(s3, mine, rng.choice(mine))
            elif action == "get":
                self._get(s3, rng.choice(mine))
            else:
                self._list(s3, number, mine)

    def _put(self, s3, mine: list[str], key: str, body: bytes) -> None:
        self._write(mine, key, body, lambda: s3.put_object(Bucket=self.bucket, Key=key, Body=body))

    def _delete(self, s3, mine: list[str], key: str) -> None:
        self._write(mine, key, None, lambda: s3.delete_object(Bucket=self.bucket, Key=key))

    def _upload(self, s3, mine: list[str], key: str, body: bytes) -> None:
        self._write(mine, key, body, lambda: self._multipart(s3, key, body))

    def _write(self, mine: list[str], key: str, body: bytes | None, call) -> None:
        digest = None if body is None else hashlib.sha256(body).hexdigest()
        state = self.keys.setdefault(key, Key())
        began = time.monotonic()
        try:
            call()
        except FAILURES as error:
            state.doubtful.append(digest)
            self._count(error)
            if key in mine:
                mine.remove(key)
            # A stopped system would otherwise be asked thousands of times a second.
            self._stop.wait(0.1)
            return
        state.acknowledged = digest
        if body is None:
            mine.remove(key)
        elif key not in mine:
            mine.append(key)
        with self._lock:
            self.writes.took(time.monotonic() - began)

    def _multipart(self, s3, key: str, body: bytes) -> None:
        upload = s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        parts = []
        for number, start in enumerate(range(0, len(body), PART), 1):
            part = s3.upload_part(
                Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body[start : start + PART]
            )
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        s3.complete_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})

    def _get(self, s3, key: str) -> None:
        began = time.monotonic()
        try:
            body = s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except FAILURES as error:
            if is_missing(error):
                self.wrong.append(f"{key}: acknowledged, and not found")
            self._count(error)
            self._stop.wait(0.1)
            return
        found = hashlib.sha256(body).hexdigest()
        if found != self.keys[key].acknowledged:
            self.wrong.append(f"{key}: {len(body)} bytes that were not written last")
        with self._lock:
            self.reads.took(time.monotonic() - began)

    def _list(self, s3, number: int, mine: list[str]) -> None:
        try:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{number}/", PaginationConfig={"PageSize": 100}
            )
            listed = {item["Key"] for page in pages for item in page.get("Contents", [])}
        except FAILURES as error:
            self._count(error)
            self._stop.wait(0.1)
            return
        for key in set(mine) - listed:
            self.wrong.append(f"{key}: acknowledged, and not listed")
        for key in listed:
            if self.keys[key].acknowledged is None and not self.keys[key].doubtful:
                self.wrong.append(f"{key}: deleted, and listed")
        with self._lock:
            self.reads.success()

    def _count(self, error: Exception) -> None:
        if isinstance(error, ClientError):
            response = error.response
            name = f"{response['ResponseMetadata'].get('HTTPStatusCode')} {response['Error'].get('Code')}"
        else:
            name = type(error).__name__
        with self._lock:
            self.errors[name] = self.errors.get(name, 0) + 1

    # ---- afterwards

    def check_everything(self, s3) -> tuple[int, list[str]]:
        """Reads every key that was ever written; returns how many were checked and what was wrong."""
        wrong = []
        for key, state in sorted(self.keys.items()):
            found = content(s3, self.bucket, key)
            if not state.allows(found):
                wrong.append(f"{key}: expected {state.acknowledged} or one of {state.doubtful}, found {found}")
        listed = {
            item["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
            for item in page.get("Contents", [])
        }
        for key, state in self.keys.items():
            if key in listed and not any(
                state.allows(there) for there in {state.acknowledged, *state.doubtful} - {None}
            ):
                wrong.append(f"{key}: listed, though it was deleted")
            if key not in listed and not state.allows(None):
                wrong.append(f"{key}: not listed, though it was acknowledged")
        return len(self.keys), wrong


def is_missing(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in ("NoSuchKey", "404")


def content(s3, bucket: str, key: str) -> str | None:
    """SHA-256 of an object, None if it is not there."""
    try:
        return hashlib.sha256(s3.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()
    except ClientError as error:
        if is_missing(error):
            return None
        raise
