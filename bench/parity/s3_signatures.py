"""Signatures of Signature Version 4 as botocore makes them, for test/shared/s3/sign.test.ts.

    pip install botocore && python bench/parity/s3_signatures.py

Keys and queries that implementations encode differently, and a session token. The time is fixed, and the credentials are
those of AWS's own examples.
"""

import datetime
from unittest import mock
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials

CREDENTIALS = botocore.credentials.Credentials(
    "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a/session+token=="
)
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
KEYS = ["a b/é+%&='()*~!.jpg", "//twice//", "?#[]@$,;:.png", "日本/🐱.webp"]
QUERIES = [{}, {"prefix": "a b/é+'*", "list-type": "2", "continuation-token": "1/+=="}]


def sign(key: str, query: dict[str, str]) -> str:
    url = f"http://127.0.0.1:9000/bucket/{quote(key, safe='/~')}"
    request = botocore.awsrequest.AWSRequest("GET", url, params=query, headers={"X-Amz-Content-SHA256": EMPTY})
    auth = botocore.auth.S3SigV4Auth(CREDENTIALS, "s3", "eu-west-3")
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        auth.add_auth(request)
    return request.headers["Authorization"].rpartition("Signature=")[2]


for key in KEYS:
    print(repr(key), sign(key, {}))
for query in QUERIES:
    print(repr(query), sign("", query))
