"""An S3 endpoint and its keys, in the forms that the clients take."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

REGION = "us-east-1"


@dataclass(frozen=True)
class Endpoint:
    """Where S3 is served, and as whom."""

    url: str
    access_key: str
    secret_key: str
    admin: str = ""  # where /metrics is; empty if nobody said

    @property
    def host(self) -> str:
        """`host:port`."""
        return urlsplit(self.url).netloc

    @property
    def is_behind_proxy(self) -> bool:
        """Whether it may be a load balancer that answers: of a server that somebody else started, nobody knows."""
        return "SHARDLAKE_ENDPOINT" in os.environ

    def environment(self, home: os.PathLike | str) -> dict[str, str]:
        """A clean environment for command line clients: nothing of the user's own setup gets in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def boto3(self, **config):
        """A boto3 client; keyword arguments go to botocore's Config."""
        config.setdefault("retries", {"total_max_attempts": 2, "mode": "standard"})
        config.setdefault("s3", {"addressing_style": "path"})
        config.setdefault("signature_version", "s3v4")  # presigned links too
        config.setdefault("connect_timeout", 5)
        config.setdefault("read_timeout", 60)
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(**config),
        )

    @classmethod
    def from_environment(cls) -> "Endpoint | None":
        """A running server, named by SHARDLAKE_ENDPOINT, _ACCESS_KEY and _SECRET_KEY (and perhaps _ADMIN)."""
        url = os.environ.get("SHARDLAKE_ENDPOINT")
        if not url:
            return None
        keys = os.environ["SHARDLAKE_ACCESS_KEY"], os.environ["SHARDLAKE_SECRET_KEY"]
        return cls(url.rstrip("/"), *keys, os.environ.get("SHARDLAKE_ADMIN", "").rstrip("/"))
