"""boto3 sets the notifications of a bucket; a webhook of the test's own receives the events."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError
from support.clients import package_version
from support.server import DevServer
from support.wait import wait_until

ARN = "arn:aws:sqs:us-east-1:000000000000:"


def CLIENT():
    return "boto3: notifications", package_version("boto3")


class Webhook:
    """Receives events; refuses each of them the first time, so that delivery has to be repeated."""

    def __init__(self):
        self.events: list[dict] = []
        self.refused: set[str] = set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                event = json.loads(self.rfile.read(int(self.headers["content-length"])))
                first = event["id"] not in hook.refused
                hook.refused.add(event["id"])
                if not first:
                    hook.events.append(event)
                self.send_response(503 if first else 204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, key: str) -> list[dict]:
        """The events of a key in the order of their first arrival."""
        seen = {event["id"]: event for event in self.events if event["detail"]["object"]["key"] == key}
        return list(seen.values())

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def webhook():
    hook = Webhook()
    yield hook
    hook.close()


@pytest.fixture
def own(tmp_path):
    server = DevServer(tmp_path)
    yield server
    server.close()


def test_events_arrive_in_order(own, webhook):
    s3 = own.start("--event-target", f"hook={webhook.url}").endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    configuration = {
        "QueueConfigurations": [
            {
                "Id": "all",
                "QueueArn": ARN + "hook",
                "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}},
            }
        ]
    }
    s3.put_bucket_notification_configuration(Bucket="lake", NotificationConfiguration=configuration)
    told = s3.get_bucket_notification_configuration(Bucket="lake")["QueueConfigurations"][0]
    assert (told["Id"], told["QueueArn"]) == ("all", ARN + "hook")
    etags = [s3.put_object(Bucket="lake", Key="in/a", Body=bytes([n]) * 9000)["ETag"] for n in range(5)]
    s3.put_object_tagging(Bucket="lake", Key="in/a", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object(Bucket="lake", Key="in/a")
    s3.put_object(Bucket="lake", Key="out/a", Body=b"x")
    wait_until("the events", 60, lambda: len(webhook.of("in/a")) == 7)
    events = webhook.of("in/a")
    kinds = [event["detail-type"] for event in events]
    assert kinds == ["Object Created"] * 5 + ["Object Tags Added", "Object Deleted"]
    made = [event["detail"]["object"]["etag"] for event in events[:5]]
    assert made == [etag.strip('"') for etag in etags]
    sequence = [event["detail"]["object"]["sequencer"] for event in events]
    assert sequence == sorted(set(sequence)), "the sequencer tells the order"
    first = events[0]
    assert (first["source"], first["detail"]["bucket"]["name"]) == ("aws.s3", "lake")
    assert (first["detail"]["reason"], first["detail"]["object"]["size"]) == ("PutObject", 9000)
    assert first["detail"]["requester"] and first["detail"]["source-ip-address"] == "127.0.0.1"
    assert not webhook.of("out/a")
    own.assert_no_panic()
    assert own.stop() == 0


def test_events_survive_a_receiver_that_is_away_and_a_kill(own, webhook):
    address = webhook.url
    s3 = own.start("--event-target", f"hook={address}").endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    topic = {"TopicArn": "arn:aws:sns:us-east-1:000000000000:hook", "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="lake", NotificationConfiguration={"TopicConfigurations": [topic]}
    )
    for n in range(20):
        s3.put_object(Bucket="lake", Key=f"k{n:02}", Body=b"x")
    own.kill()
    own.start("--event-target", f"hook={address}")
    wait_until("the events", 60, lambda: all(webhook.of(f"k{n:02}") for n in range(20)))
    assert own.stop() == 0


def test_targets_must_be_configured(s3, bucket):
    queue = {"QueueArn": ARN + "nowhere", "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]}
        )
    assert caught.value.response["Error"]["Code"] == "InvalidArgument"
    told = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert not set(told) - {"ResponseMetadata"}
