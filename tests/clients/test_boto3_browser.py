"""boto3 and a browser: forms, cross-origin rules and links that boto3 makes, used as a browser would."""

import json

import pytest
import urllib3
from botocore.exceptions import ClientError
from support.clients import package_version

web = urllib3.PoolManager(retries=False, timeout=20)


def CLIENT():
    return "boto3: browser forms, CORS, links", package_version("boto3")


def submit(form, body, name="a photo.jpg", **more):
    fields = {**form["fields"], **more, "file": (name, body, "image/jpeg")}
    return web.request("POST", form["url"], fields=fields)


def test_a_form_uploads_what_its_policy_allows(s3, bucket, corpus):
    body = corpus["csv/flights.csv"].read_bytes()
    form = s3.generate_presigned_post(
        bucket,
        "up/${filename}",
        Fields={"Content-Type": "text/csv", "x-amz-meta-by": "browser", "success_action_status": "201"},
        Conditions=[
            {"Content-Type": "text/csv"},
            {"x-amz-meta-by": "browser"},
            {"success_action_status": "201"},
            ["content-length-range", 1, len(body)],
        ],
        ExpiresIn=60,
    )
    answer = submit(form, body)
    assert answer.status == 201, answer.data
    assert b"<Key>up/a photo.jpg</Key>" in answer.data
    got = s3.get_object(Bucket=bucket, Key="up/a photo.jpg")
    assert got["Body"].read() == body
    assert (got["ContentType"], got["Metadata"]) == ("text/csv", {"by": "browser"})

    for spoiled, code in [
        (dict(body=body + b"x"), b"EntityTooLarge"),
        (dict(body=b""), b"EntityTooSmall"),
        (dict(body=body, extra="not in the policy"), b"Extra input fields: extra"),
    ]:
        more = {key: value for key, value in spoiled.items() if key != "body"}
        answer = submit(form, spoiled["body"], name="spoiled", **more)
        assert answer.status in (400, 403) and code in answer.data, answer.data
    form["fields"]["policy"] = form["fields"]["policy"][:-4]
    answer = submit(form, body, name="spoiled")
    assert answer.status == 403 and b"SignatureDoesNotMatch" in answer.data, answer.data
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["up/a photo.jpg"], "nothing of the others is left"


def test_cross_origin_rules(s3, bucket, endpoint):
    rules = [
        {
            "ID": "app",
            "AllowedOrigins": ["https://*.example.org"],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["content-*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 60,
        }
    ]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    url = f"{endpoint.url}/{bucket}/k"
    asks = {
        "Origin": "https://app.example.org",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = web.request("OPTIONS", url, headers=asks)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
    answer = web.request("OPTIONS", url, headers={**asks, "Origin": "https://example.com"})
    assert answer.status == 403 and b"AccessForbidden" in answer.data
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    answer = web.request("GET", link, headers={"Origin": "https://app.example.org"})
    assert (answer.status, answer.data) == (200, b"v")
    assert answer.headers["Access-Control-Expose-Headers"] == "ETag"
    s3.delete_bucket_cors(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_cors(Bucket=bucket)
    assert caught.value.response["Error"]["Code"] == "NoSuchCORSConfiguration"


def test_links_for_every_method(s3, bucket):
    def link(operation, method, **more):
        params = {"Bucket": bucket, "Key": "k", **more}
        return s3.generate_presigned_url(operation, Params=params, ExpiresIn=60, HttpMethod=method)

    assert web.request("PUT", link("put_object", "PUT"), body=b"bytes").status == 200
    head = web.request("HEAD", link("head_object", "HEAD"))
    assert (head.status, head.headers["Content-Length"]) == (200, "5")
    begun = web.request("POST", link("create_multipart_upload", "POST"))
    assert begun.status == 200 and b"<UploadId>" in begun.data
    named = link("get_object", "GET", ResponseContentType="text/plain")
    got = web.request("GET", named)
    assert (got.data, got.headers["Content-Type"]) == (b"bytes", "text/plain")
    assert web.request("GET", named.replace("text%2Fplain", "text%2Fhtml")).status == 403
    assert web.request("DELETE", link("get_object", "GET")).status == 403
    assert web.request("DELETE", link("delete_object", "DELETE")).status == 204


def test_ranges_that_aws_ignores(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    for ignored in ["bytes=0-1,4-5", "bytes=5-2", "lines=1-2"]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=ignored)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, b"0123456789")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=10-")
    assert caught.value.response["Error"]["Code"] == "InvalidRange"


def test_a_website_needs_a_domain(s3, bucket):
    """The server of these tests has none; who starts it with one gets a website."""
    website = {"IndexDocument": {"Suffix": "index.html"}}
    try:
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=website)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NotImplemented"
        assert "gateway.website_domain" in json.dumps(error.response["Error"])
    else:
        shown = s3.get_bucket_website(Bucket=bucket)
        assert shown["IndexDocument"] == website["IndexDocument"]
        s3.delete_bucket_website(Bucket=bucket)
