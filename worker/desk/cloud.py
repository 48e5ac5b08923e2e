"""A store that speaks S3, by boto3. The library comes beside this program as one file, and is unpacked when it is first needed."""

import importlib
import os
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from worker.desk.errors import Wrong

LIBRARY = "cloud.zip"
#: So many parts at once, each in memory.
THREADS = 4
CONNECT_S, READ_S, TRIES = 10, 60, 3
_unpacking = threading.Lock()
#: What a store refuses, by its code.
WORDS = {
    "NoSuchBucket": "There is no such bucket at this store.",
    "InvalidAccessKeyId": "The store does not know this access key.",
    "SignatureDoesNotMatch": "The secret key does not belong to this access key.",
    "AccessDenied": "These keys may not do that with this bucket.",
    "403": "These keys may not do that with this bucket, or they are wrong.",
    "404": "There is no such bucket at this store.",
    "301": "The bucket is in another region. Fill in which.",
    "EntityTooLarge": "A file is larger than the store takes.",
}


@dataclass(frozen=True)
class Target:
    """Where to, and with which keys; they are in no text that is made of it."""

    endpoint: str
    region: str
    bucket: str
    prefix: str
    key: str = field(repr=False)
    secret: str = field(repr=False)


class Store:
    """One bucket while it is used."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client = _client(target)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def look(self) -> None:
        """Is it there, and may these keys? Raises Wrong."""
        self._said(lambda: self._client.list_objects_v2(Bucket=self._target.bucket, Prefix=self._name(""), MaxKeys=1))

    def holds(self, name: str, size: int, mark: str) -> bool:
        """Has it the file as it is here? By its bytes alone where the store gives no mark that can be compared, as one that encrypts does."""
        found = self._said(lambda: self._client.head_object(Bucket=self._target.bucket, Key=self._name(name)), absent=("404", "NoSuchKey", "NotFound"))
        if found is None or found.get("ContentLength") != size:
            return False
        told = str(found.get("ETag", "")).strip('"')
        return told == mark or str(found.get("ServerSideEncryption", "")).startswith("aws:kms")

    def put(self, file: IO[bytes], name: str, part: int, sent: "Callable[[int], None]") -> None:
        """Send it, in parts where it is long. Raises Wrong, and what `sent` raises."""
        transfer = importlib.import_module("boto3.s3.transfer")
        how = transfer.TransferConfig(multipart_threshold=part, multipart_chunksize=part, max_concurrency=THREADS, max_io_queue=THREADS)
        self._said(lambda: self._client.upload_fileobj(file, self._target.bucket, self._name(name), Callback=sent, Config=how))

    def _name(self, name: str) -> str:
        return f"{self._target.prefix}/{name}" if self._target.prefix else name

    def _said(self, act: "Callable[[], Any]", absent: "tuple[str, ...]" = ()) -> Any:
        """What it answers; None for what is absent. Raises Wrong in words of ours: a store's own may hold a key."""
        faults = importlib.import_module("botocore.exceptions")
        moves = importlib.import_module("boto3.exceptions")
        try:
            return act()
        except faults.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
        except moves.S3UploadFailedError as error:
            code = str(getattr(error.__cause__ or error.__context__, "response", {}).get("Error", {}).get("Code", ""))
        except (faults.ConnectionError, faults.HTTPClientError) as error:
            raise Wrong(f"The store could not be reached ({type(error).__name__}). Your labs reach the internet, not private networks.") from None
        except faults.BotoCoreError as error:
            raise Wrong(f"The store cannot be used so ({type(error).__name__}).") from None
        if code in absent:
            return None
        known = code if code.isalnum() else "no reason"
        raise Wrong(WORDS.get(code, f"The store refused it ({known[:40]})."), HTTPStatus.BAD_GATEWAY)


def _client(target: Target) -> Any:
    """Nothing of the person's own settings for such stores is read: what holds is what they filled in."""
    _unpack()
    try:
        importlib.import_module("boto3.session")
    except (ImportError, SyntaxError):
        raise Wrong("The image that shows your files has a Python too old for this. Ask an administrator to bring a newer one to this node.") from None
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true")
    session = importlib.import_module("boto3.session").Session(aws_access_key_id=target.key, aws_secret_access_key=target.secret, region_name=target.region)
    how = importlib.import_module("botocore.config").Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "max_attempts": TRIES},
        s3={"addressing_style": "path" if target.endpoint else "auto"},
        request_checksum_calculation="when_required",  # what stores beside Amazon's know
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=target.endpoint or None, config=how)


def _unpack() -> None:
    """Where it came as a file, so that it can be imported; where this program runs from its sources, it is installed."""
    packed = Path(sys.argv[0]).with_name(LIBRARY)
    with _unpacking:
        if "boto3" in sys.modules or not packed.is_file():
            return
        folder = tempfile.mkdtemp(prefix="cloud-")
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(folder)
        sys.path.insert(0, folder)
