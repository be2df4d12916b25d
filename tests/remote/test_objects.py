"""Objects at URLs: whole or not there, made once by one of many, and errors that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import fsspec
import pytest
from object_store import ObjectStore

from fsbench.errors import OutputError, RemoteError, UsageError
from fsbench.remote import Objects, url_of, without_credentials


def test_what_is_put_is_there(url: str, tmp_path: Path) -> None:
    objects, path = Objects(url), tmp_path / "a file"
    objects.check()
    assert objects.listed() == {}
    assert objects.read("a/b.bin") is None
    assert not objects.get("a/b.bin", tmp_path / "fetched/b.bin")
    path.write_bytes(bytes(range(256)) * 40)
    for name in ("a/b.bin", "a/names with spaces, ü & [x] #1 %20.png", "c"):
        objects.put(path, name)
        assert objects.exists(name)
        assert objects.get(name, tmp_path / "fetched" / name)
        assert (tmp_path / "fetched" / name).read_bytes() == path.read_bytes()
    assert set(objects.listed()) == {"a/b.bin", "a/names with spaces, ü & [x] #1 %20.png", "c"}
    assert objects.listed("a").keys() == objects.listed().keys() - {"c"}
    assert objects.listed()["c"] == 256 * 40
    assert not objects.exists("a")
    path.write_bytes(b"other")
    objects.put(path, "c")
    assert objects.read("c") == b"other"
    for _ in range(2):
        objects.remove("c")
    assert not objects.exists("c")
    assert [place.name for place in (tmp_path / "fetched").rglob("*.partial")] == []


def test_a_large_object_goes_in_parts(server: ObjectStore, tmp_path: Path) -> None:
    objects, content = Objects(f"{server.bucket()}/x"), os.urandom(2**20) * 101
    (tmp_path / "large").write_bytes(content)
    objects.put(tmp_path / "large", "large")
    assert objects.listed() == {"large": len(content)}
    assert objects.get("large", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content


def test_a_file_that_is_gone_is_left_out(url: str, tmp_path: Path) -> None:
    Objects(url).put(tmp_path / "gone", "gone")
    assert Objects(url).listed() == {}


def test_one_of_many_makes_a_new_object(url: str) -> None:
    """Threads of one process; each believes that it is alone."""
    objects, n, winners = Objects(url), 6, list[list[int]]()
    for k in range(8):
        barrier, won = threading.Barrier(n), list[int]()

        def claim(i: int, k: int = k, barrier: threading.Barrier = barrier, won: list[int] = won) -> None:
            barrier.wait()
            if objects.put_new(f"claims/{k}", f"worker {i}".encode()):
                won.append(i)

        threads = [threading.Thread(target=claim, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners.append(won)
        assert objects.read(f"claims/{k}") == f"worker {won[0]}".encode()
    assert [len(won) for won in winners] == [1] * 8


CLAIM = """
import sys
from fsbench.remote import Objects
objects = Objects(sys.argv[1])
sys.stdin.read(1)
print(sum(objects.put_new(f"claims/{k}", sys.argv[2].encode() * 1000) for k in range(40)))
"""


def test_one_of_many_processes_makes_a_new_object(tmp_path: Path) -> None:
    url, names = f"file://{tmp_path}/there", [f"claims/{k}" for k in range(40)]
    command = [sys.executable, "-c", CLAIM, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, name], **pipes) for name in "abc"]  # type: ignore[call-overload]
    for worker in workers:
        worker.stdin.write("x")
        worker.stdin.flush()
    assert sum(int(worker.communicate(timeout=60)[0]) for worker in workers) == len(names)
    contents = {Objects(url).read(name) for name in names}
    assert all(content is not None and len(set(content)) == 1 and len(content) == 1000 for content in contents)
    assert set(Objects(url).listed()) == set(names)


@pytest.mark.parametrize("wiped", [False, True], ids=["kept", "wiped"])
@pytest.mark.usefixtures("hasty")
def test_a_store_that_goes_away_is_waited_for(
    server: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wiped: bool
) -> None:
    told: list[str] = []
    url = f"{server.bucket()}/x"
    (tmp_path / "file").write_bytes(b"content")
    Objects(url).put(tmp_path / "file", "before")
    server.stop_until_missed(monkeypatch, wiped=wiped)
    objects = Objects(url, told.append)  # an open connection could be served for a moment
    objects.put(tmp_path / "file", "after")
    assert set(objects.listed()) == ({"after"} if wiped else {"before", "after"})
    assert len(told) == 2
    assert "does not answer" in told[0]
    assert "trying again for 120 s" in told[0]
    assert told[1].endswith("answers again")


@pytest.mark.usefixtures("hasty")
def test_a_store_that_stays_away_is_an_error(server: ObjectStore, tmp_path: Path) -> None:
    objects = Objects(f"{server.bucket()}/x", patience=0.5)
    server.stop()
    began = time.monotonic()
    try:
        with pytest.raises(RemoteError, match=r"does not answer .*, for 0 s") as error:
            objects.read("x")
    finally:
        server.start()
    assert 0.4 < time.monotonic() - began < 10
    assert error.value.exit_code == 2
    assert "--resume" in error.value.hint


@pytest.mark.usefixtures("hasty")
def test_an_answer_that_was_lost_is_no_refusal(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt makes the object, and nobody hears of it."""
    objects, attempts = Objects(f"{server.bucket()}/x"), list[int]()
    create = objects._create

    def lost(*arguments: object) -> None:
        create(*arguments)  # type: ignore[arg-type]
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionResetError("by peer")

    monkeypatch.setattr(objects, "_create", lost)
    assert objects.put_new("claim", b"mine")
    assert not Objects(objects.url).put_new("claim", b"theirs")


def test_a_bucket_that_is_not_there(server: ObjectStore) -> None:
    with pytest.raises(RemoteError, match="there is no such bucket"):
        Objects("s3://no-such-bucket/x").check()
    assert Objects("s3://no-such-bucket/x").listed() == {}


def test_a_name_that_no_bucket_has(server: ObjectStore) -> None:
    with pytest.raises(RemoteError, match="cannot be used"):
        Objects("s3://-Not A Bucket-/x").check()


def test_missing_credentials(server: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(RemoteError, match="these credentials may not write there"):
        Objects(f"{server.bucket()}/x").check()


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RemoteError, match="cannot be used"):
        Objects(f"file://{tmp_path}/file/below").check()


def test_names_that_lead_elsewhere_are_not_listed(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    place = f"/{tmp_path.name}/there"
    fs.store.clear()
    for name in ("good/x", "a\x1b[31m", "a\\..\\b"):
        fs.pipe_file(f"{place}/{name}", b"x")
    fs.store[f"{place}/../../evil"] = fs.store[f"{place}/good/x"]
    assert list(Objects(f"memory:/{place}").listed()) == ["good/x"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("reports/monday", None),
        ("/absolute", None),
        ("./s3:/x", None),
        ("C:/windows", None),
        ("C:\\windows", None),
        ("run:1", None),
        ("", None),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("S3://Bucket/A", "s3://Bucket/A"),
        ("s3://bucket", "s3://bucket"),
        ("file:///tmp/x", "file:///tmp/x"),
        ("memory://x", "memory://x"),
    ],
)
def test_urls_and_paths(text: str, url: str | None) -> None:
    assert url_of(text) == url


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3:/bucket/x", "s3:/bucket/x is no URL\nwrite s3://bucket/x, or ./s3:/bucket/x for a directory"),
        ("s3:bucket/x", "write s3://bucket/x"),
        ("s3:///x", "write s3://x"),
        ("s3://", "names no place"),
        ("s3:////", "is no URL"),
        ("s3://bucket//x", "names no place"),
        ("s3://bucket/../x", "names no place"),
        ("file://tmp/x", "write file:///tmp/x"),
        ("s4://bucket/x", "there is no storage called s4\ndid you mean"),
        ("s33://bucket/x", "did you mean s3"),
        ("s3://bucket/x\n", "is no URL"),
        ("s3://me:secret@bucket/x", "^s3://bucket/x: the URL holds credentials"),
        ("s3://bucket/x?X-Amz-Signature=secret", "^s3://bucket/x: the URL holds credentials"),
    ],
)
def test_what_is_no_url(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")) as error:
        url_of(text)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "module", "command"),
    [
        ("s3://bucket/x", "s3fs", 'pip install "fsbench[s3]"'),
        ("gs://bucket/x", "gcsfs", 'pip install "fsbench[gcs]"'),
        ("az://container/x", "adlfs", 'pip install "fsbench[azure]"'),
    ],
)
def test_a_package_that_is_missing(text: str, module: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for protocol in list(sys.modules["fsspec.registry"]._registry):  # those that other tests have opened
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol)
    with pytest.raises(UsageError) as error:
        url_of(text)
    assert error.value.hint == command


def test_secrets_are_taken_out_of_sentences() -> None:
    assert (
        without_credentials("ftp://me:pw@host/x and az://c@account.net/y?sig=z!")
        == "ftp://host/x and az://c@account.net/y"
    )


def test_what_cannot_be_fetched_here_is_an_error_of_the_disk(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    Objects(url).put(tmp_path / "file", "x")
    with pytest.raises(OutputError, match="cannot write") as error:
        Objects(url).get("x", tmp_path / "file" / "below")
    assert not isinstance(error.value, RemoteError)
