"""Official weight files: fetched whole or not at all, from any server that answers in time, and found in the cache."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rarelesion import downloads, weight_formats
from rarelesion.backbones import BACKBONES
from rarelesion.downloads import OFFICIAL, OfficialFile, cache_folder, fetch, find_cached, official_file
from rarelesion.errors import InputError
from rarelesion.weights import load_backbone, save_state


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "t.safetensors"
    save_state(path, BACKBONES["tiny"]().state_dict(), {})
    return path


@pytest.fixture
def server(tiny_file: Path) -> Iterator[str]:
    content = tiny_file.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/absent.pth":
                self.send_error(404, "Not Found")
                return
            body = b"<html>please log in</html>" if self.path == "/portal.safetensors" else content
            self.send_response(200)
            if self.path != "/unsized.safetensors":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path == "/cut.safetensors" else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def offered(tiny_file: Path) -> OfficialFile:
    digest = hashlib.sha256(tiny_file.read_bytes()).hexdigest()
    return OfficialFile("t.safetensors", "https://example.org/t.safetensors", "sha256", digest, ("tiny",))


class TestFetch:
    @pytest.mark.parametrize(("page", "sized"), [("t.safetensors", True), ("unsized.safetensors", False)])
    def test_puts_the_file_into_the_cache_and_tells_how_far_it_is(
        self, page: str, sized: bool, server: str, offered: OfficialFile, tiny_file: Path, tmp_path: Path
    ) -> None:
        calls: list[tuple[int, int | None]] = []
        path = fetch(offered, tmp_path / "cache", lambda done, total: calls.append((done, total)), f"{server}/{page}")

        assert path == tmp_path / "cache" / "t.safetensors"
        assert path.read_bytes() == tiny_file.read_bytes()
        size = tiny_file.stat().st_size
        assert calls[-1] == (size, size if sized else None)
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        assert [item.name for item in path.parent.iterdir()] == ["t.safetensors"]

    def test_what_is_there_is_not_fetched_again(self, offered: OfficialFile, tiny_file: Path, tmp_path: Path) -> None:
        (tmp_path / "t.safetensors").write_bytes(tiny_file.read_bytes())
        assert (
            fetch(offered, tmp_path, lambda *_: None, "http://127.0.0.1:9/t.safetensors") == tmp_path / "t.safetensors"
        )

    def test_a_damaged_file_that_is_there_is_replaced(self, server: str, offered: OfficialFile, tmp_path: Path) -> None:
        (tmp_path / "t.safetensors").write_bytes(b"half")
        path = fetch(offered, tmp_path, lambda *_: None, f"{server}/t.safetensors")
        assert load_backbone("tiny", path).name == "tiny"

    @pytest.mark.parametrize(
        ("page", "found"),
        [
            ("absent.pth", "Not Found"),
            ("portal.safetensors", "sha256 differs"),
            ("cut.safetensors", "bytes"),
            ("http://127.0.0.1:9/t.safetensors", "refused"),
            ("no address", "unknown url type"),
        ],
    )
    def test_any_failure_says_how_to_do_it_by_hand(
        self, page: str, found: str, server: str, offered: OfficialFile, tmp_path: Path
    ) -> None:
        url = page if " " in page or "//" in page else f"{server}/{page}"
        with pytest.raises(InputError) as caught:
            fetch(offered, tmp_path, lambda *_: None, url)
        text = str(caught.value)
        assert found in text
        for part in (
            "t.safetensors: the weight file",
            "https://example.org/t.safetensors by hand",
            str(tmp_path / "t.safetensors"),
        ):
            assert part in text
        assert list(tmp_path.iterdir()) == []

    def test_without_a_published_digest_a_login_page_is_still_refused(
        self, server: str, offered: OfficialFile, tmp_path: Path
    ) -> None:
        unpublished = replace(offered, digest=None)
        with pytest.raises(InputError, match="a web page"):
            fetch(unpublished, tmp_path, lambda *_: None, f"{server}/portal.safetensors")
        assert list(tmp_path.iterdir()) == []
        assert fetch(unpublished, tmp_path, lambda *_: None, f"{server}/t.safetensors").is_file()

    def test_a_full_disk(
        self, server: str, offered: OfficialFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(weight_formats.os, "fsync", full)
        with pytest.raises(InputError, match="No space left on device"):
            fetch(offered, tmp_path, lambda *_: None, f"{server}/t.safetensors")
        assert list(tmp_path.iterdir()) == []

    def test_of_a_digest_the_published_beginning_is_enough(
        self, server: str, offered: OfficialFile, tmp_path: Path
    ) -> None:
        assert offered.digest is not None
        short = replace(offered, digest=offered.digest[:8])
        assert fetch(short, tmp_path, lambda *_: None, f"{server}/t.safetensors").is_file()
        other = replace(offered, name="u.safetensors", digest="0" * 8)
        with pytest.raises(InputError, match="sha256 differs"):
            fetch(other, tmp_path, lambda *_: None, f"{server}/t.safetensors")

    def test_a_server_that_never_answers_is_not_waited_for(
        self, offered: OfficialFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        over, closed = threading.Event(), threading.Event()

        class Answer:
            def close(self) -> None:
                closed.set()

        def wait(*_: object, **__: object) -> Answer:
            over.wait()
            return Answer()

        monkeypatch.setattr(downloads.urllib.request, "urlopen", wait)
        with pytest.raises(InputError, match=r"found no answer in 0\.01 seconds"):
            fetch(offered, tmp_path, lambda *_: None, patience=0.01)
        assert list(tmp_path.iterdir()) == []
        over.set()
        assert closed.wait(10)

    def test_who_watches_may_end_it(self, server: str, offered: OfficialFile, tmp_path: Path) -> None:
        def end(*_: object) -> None:
            raise OSError(None, "not done in 120 seconds")

        with pytest.raises(InputError, match="not done in 120 seconds"):
            fetch(offered, tmp_path, end, f"{server}/t.safetensors")
        assert list(tmp_path.iterdir()) == []


class TestCache:
    def test_the_folder_is_the_chosen_one_or_the_system_s(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("RARELESION_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        found = {}
        for system in ("linux", "darwin", "win32"):
            monkeypatch.setattr(downloads.sys, "platform", system)
            found[system] = cache_folder()
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
        found["win32, set"] = cache_folder()
        monkeypatch.setattr(downloads.sys, "platform", "linux")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        found["linux, set"] = cache_folder()
        monkeypatch.setenv("RARELESION_CACHE", str(tmp_path / "mine"))
        found["chosen"] = cache_folder()
        assert found == {
            "linux": tmp_path / ".cache" / "rarelesion",
            "darwin": tmp_path / "Library" / "Caches" / "rarelesion",
            "win32": tmp_path / "AppData" / "Local" / "rarelesion",
            "win32, set": tmp_path / "local" / "rarelesion",
            "linux, set": tmp_path / "xdg" / "rarelesion",
            "chosen": tmp_path / "mine",
        }

    def test_finds_keras_s_file_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RARELESION_CACHE", str(tmp_path))
        assert find_cached("resnet50") is None
        for key in ("resnet50-torchvision", "resnet50"):
            (tmp_path / OFFICIAL[key].name).touch()
            assert find_cached("resnet50") == find_cached("resnet50-conv4") == tmp_path / OFFICIAL[key].name
        assert find_cached("vgg16") is None
        assert find_cached("tiny") is None

    def test_an_official_file_is_found_by_its_name_or_its_backbone(self) -> None:
        assert official_file("resnet50-conv4") is OFFICIAL["resnet50"]
        assert official_file("vgg16") is OFFICIAL["vgg16"]
        assert official_file("vgg16-torchvision") is OFFICIAL["vgg16-torchvision"]
        with pytest.raises(InputError, match="mobilenet, resnet50"):
            official_file("tiny")

    def test_every_official_file_is_for_a_backbone_we_have(self) -> None:
        for file in OFFICIAL.values():
            assert set(file.backbones) <= set(BACKBONES)
            assert file.url.startswith("https://")
            assert file.url.endswith(f"/{file.name}")
            if file.algorithm == "md5" and file.digest:
                assert len(file.digest) == 32
            elif file.digest:
                assert len(file.digest) in (8, 64)  # all of it, or what the file's name tells of it
                assert f"-{file.digest[:8]}." in file.name
