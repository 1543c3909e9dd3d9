"""boto3 and bare sockets: bad input gets the AWS error, and nothing half-written stays."""

import base64
import hashlib
import socket
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from support.clients import package_version
from support.endpoint import Endpoint


def CLIENT():
    return "boto3: bad input", package_version("boto3")


def refused(call, *arguments, **more) -> tuple[str, int]:
    """Error code and status of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **more)
    response = caught.value.response
    assert response["Error"]["Code"] == "404" or response["Error"]["Message"], "errors have a sentence"
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_wrong_credentials(endpoint, bucket):
    stranger = Endpoint(endpoint.url, "SLNOBODYKNOWSTHISKEY", "wrong").boto3()
    assert refused(stranger.list_objects_v2, Bucket=bucket) == ("InvalidAccessKeyId", 403)
    forger = Endpoint(endpoint.url, endpoint.access_key, "not the secret key").boto3()
    assert refused(forger.list_objects_v2, Bucket=bucket) == ("SignatureDoesNotMatch", 403)
    assert refused(forger.put_object, Bucket=bucket, Key="k", Body=b"x") == ("SignatureDoesNotMatch", 403)


def test_nobody_in_particular(endpoint, s3, bucket):
    """A request without a signature."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"private")
    assert b" 403 " in exchange(endpoint, f"GET /{bucket}/k HTTP/1.1\r\nHost: {endpoint.host}\r\n\r\n".encode())


def test_what_is_not_there(s3, bucket):
    assert refused(s3.get_object, Bucket=bucket, Key="none") == ("NoSuchKey", 404)
    assert refused(s3.head_object, Bucket=bucket, Key="none") == ("404", 404)
    assert refused(s3.get_object, Bucket=f"{bucket}-none", Key="k") == ("NoSuchBucket", 404)
    assert refused(s3.put_object, Bucket=f"{bucket}-none", Key="k", Body=b"x") == ("NoSuchBucket", 404)
    assert refused(s3.list_objects_v2, Bucket=f"{bucket}-none") == ("NoSuchBucket", 404)
    unknown = {"Bucket": bucket, "Key": "k", "UploadId": "none"}
    assert refused(s3.upload_part, **unknown, PartNumber=1, Body=b"x") == ("NoSuchUpload", 404)
    assert refused(s3.list_parts, **unknown) == ("NoSuchUpload", 404)
    assert refused(s3.abort_multipart_upload, **unknown) == ("NoSuchUpload", 404)
    s3.delete_object(Bucket=bucket, Key="none")  # as documented: no error


def test_names(s3, bucket):
    assert refused(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"x") == ("KeyTooLongError", 400)
    assert refused(s3.put_object, Bucket=bucket, Key="ä" * 513, Body=b"x") == ("KeyTooLongError", 400)
    s3.put_object(Bucket=bucket, Key="k" * 1024, Body=b"x")
    assert refused(s3.create_bucket, Bucket="Upper-Case") == ("InvalidBucketName", 400)
    assert refused(s3.create_bucket, Bucket="192.168.1.1") == ("InvalidBucketName", 400)


def test_wrong_content_md5(s3, bucket):
    def put(md5):
        return refused(s3.put_object, Bucket=bucket, Key="k", Body=b"right", ContentMD5=md5)

    other = base64.b64encode(hashlib.md5(b"wrong").digest()).decode()
    assert put(other) == ("BadDigest", 400)
    assert put("no base64, no MD5") == ("InvalidDigest", 400)
    assert refused(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)
    right = base64.b64encode(hashlib.md5(b"right").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"right", ContentMD5=right)


def test_too_much_metadata(s3, bucket):
    big = {"m": "x" * 2100}
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", Metadata=big) == ("MetadataTooLarge", 400)


def test_what_is_not_built_says_so(s3, bucket):
    """Refused, never accepted and ignored."""
    refusals = (
        refused(s3.get_bucket_accelerate_configuration, Bucket=bucket),
        refused(s3.put_bucket_accelerate_configuration, Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"}),
        refused(s3.get_bucket_request_payment, Bucket=bucket),
        refused(s3.put_bucket_request_payment, Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"}),
        refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms"),
    )
    assert set(refusals) == {("NotImplemented", 501)}
    assert refused(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)


def exchange(endpoint, *pieces: bytes, end: bool = False, wait: bool = True) -> bytes:
    """Sends bytes as they are and reads the head of the answer; `end` says that no more will come."""
    url = urlsplit(endpoint.url)
    with socket.create_connection((url.hostname, url.port), timeout=20) as connection:
        answer = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            if end:
                connection.shutdown(socket.SHUT_WR)
            while wait and b"\r\n\r\n" not in answer:
                received = connection.recv(65536)
                if not received:
                    break
                answer += received
        except OSError:  # the server may hang up whenever it likes
            pass
        return answer


def presigned_put(s3, endpoint, bucket: str, length: int) -> bytes:
    """The head of a PUT that declares `length` bytes."""
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}))
    return (
        f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {endpoint.host}\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("length", [10_000, 6_000_000])
def test_a_body_shorter_than_declared_leaves_nothing(s3, endpoint, bucket, length):
    head = presigned_put(s3, endpoint, bucket, length)
    answer = exchange(endpoint, head, b"x" * (length - 1), end=True)
    assert b" 200 " not in answer[:20]
    assert refused(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)
    exchange(endpoint, head, b"x" * (length // 2), wait=False)
    assert refused(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)
    s3.put_object(Bucket=bucket, Key="k", Body=b"whole")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"whole"


def test_a_body_longer_than_declared_is_cut_off(s3, endpoint, bucket):
    """HTTP ends the body at Content-Length; what follows must not get into the object."""
    answer = exchange(endpoint, presigned_put(s3, endpoint, bucket, 5), b"12345" + b"tail of something else")
    assert b" 200 " in answer.splitlines()[0]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"12345"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"\r\n" * 50,
    ],
    ids=["tls", "version", "uri", "empty"],
)
def test_garbage_does_not_hurt_the_server(s3, endpoint, bucket, garbage):
    answer = exchange(endpoint, garbage, end=True)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 505"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"still here")
