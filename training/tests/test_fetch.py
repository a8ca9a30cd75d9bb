"""Fetching rows and items over HTTP, with connections that break."""
import contextlib
import io
import json
import tempfile
import threading
import unittest
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from feedmesh import fetch

ROWS = [json.dumps({"requestId": f"{i:026d}", "userId": f"user:{i % 7}", "text": "x" * 3000}).encode() + b"\n" for i in range(60)]
ITEMS = [json.dumps({"itemId": f"item-{i}"}).encode() + b"\n" for i in range(20)]


class Mesh(ThreadingHTTPServer):
    """Answers as the two services do. Each number in cuts breaks one answer off after so many bytes of its body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.busy = 0
        self.queries: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, text = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(text))
        self.server.queries.append(query)
        if self.server.busy > 0:
            self.server.busy -= 1
            return self.answer(503, b"2 exports run")
        if path == "/catalogue":
            return self.stream(b"".join(ITEMS[int(query["shard"])::2]))
        if int(query["maxEvents"]) > 4096:
            return self.answer(400, b'{"errors":{"maxEvents":["must be at most 4096"]}}')
        first = next((i + 1 for i, line in enumerate(ROWS) if fetch.cursor(line) == query.get("after")), 0)
        self.stream(b"".join(ROWS[first:]))

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(body)
        for start in range(0, min(cut, len(body)), 1000):
            chunk = body[start:min(start + 1000, cut)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if cut < len(body):
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        pass


class FetchTests(unittest.TestCase):
    def setUp(self) -> None:
        self.mesh = Mesh()
        self.addCleanup(self.mesh.server_close)
        self.addCleanup(self.mesh.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name)
        quiet = contextlib.redirect_stdout(io.StringIO())
        quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)

    def rows(self, **changes: int) -> None:
        fetch.fetch_rows(self.mesh.url, {"from": 0, "maxEvents": 512, "windowMs": 1000, "maxUnserved": 0, **changes}, self.out, pause=0)

    def test_every_row_is_there_once_however_often_the_stream_breaks(self) -> None:
        self.mesh.cuts = [0, 3500, 1, 40_000, 3019]
        self.mesh.busy = 2
        self.rows()
        self.assertEqual(b"".join(ROWS), (self.out / "rows.jsonl").read_bytes())
        self.assertEqual(1, len({query["until"] for query in self.mesh.queries}))

    def test_a_command_that_was_given_up_goes_on_after_the_last_whole_row(self) -> None:
        self.mesh.cuts = [9_000] + [0] * (fetch.ATTEMPTS - 1)
        with self.assertRaisesRegex(fetch.FetchError, "goes on from here"):
            self.rows()
        part = self.out / "rows.jsonl.part"
        part.write_bytes(part.read_bytes() + ROWS[2][:700])  # as a kill in the middle of a write leaves it
        self.mesh.queries.clear()
        self.rows()
        self.assertEqual(b"".join(ROWS), (self.out / "rows.jsonl").read_bytes())
        self.assertEqual([fetch.cursor(ROWS[1])], [query["after"] for query in self.mesh.queries])
        self.assertFalse(part.exists())

    def test_rows_that_are_complete_are_not_fetched_again(self) -> None:
        self.rows()
        self.mesh.queries.clear()
        self.rows()
        self.assertEqual([], self.mesh.queries)
        with self.assertRaisesRegex(fetch.FetchError, "was fetched with .*'maxEvents': 512.* give another folder, or delete it"):
            self.rows(maxEvents=64)
        (self.out / "fetch.json").unlink()
        with self.assertRaisesRegex(fetch.FetchError, "options that are not known"):
            self.rows()
        self.assertEqual([], self.mesh.queries)

    def test_a_url_without_scheme_is_refused_before_anything_is_asked(self) -> None:
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = fetch.main(["--sequence-store", self.mesh.url, "--index-updater", "localhost:3505/method", "--out", str(self.out / "new")])
        self.assertEqual(1, code)
        self.assertIn("--index-updater is 'localhost:3505/method'; it must be a whole URL", said.getvalue())
        self.assertEqual([], self.mesh.queries)
        self.assertFalse((self.out / "new").exists())

    def test_other_options_do_not_go_on_with_what_was_begun(self) -> None:
        self.mesh.cuts = [9_000] + [0] * (fetch.ATTEMPTS - 1)
        with self.assertRaises(fetch.FetchError):
            self.rows()
        with self.assertRaisesRegex(fetch.FetchError, "the same options, or another folder"):
            self.rows(maxEvents=64)

    def test_a_refusal_is_told_and_not_tried_again(self) -> None:
        with self.assertRaisesRegex(fetch.FetchError, "400 .*at most 4096"):
            self.rows(maxEvents=5000)
        self.assertEqual(1, len(self.mesh.queries))

    def test_items_of_all_shards_are_whole_or_not_there(self) -> None:
        self.mesh.cuts = [1_000_000, 30]
        fetch.fetch_items(self.mesh.url, 2, self.out, pause=0)
        self.assertEqual(b"".join(ITEMS[0::2] + ITEMS[1::2]), (self.out / "items.jsonl").read_bytes())

    def test_the_command_writes_both_files(self) -> None:
        self.assertEqual(0, fetch.main(["--sequence-store", self.mesh.url, "--index-updater", self.mesh.url + "/", "--out", str(self.out / "new"), "--shards", "2"]))
        self.assertEqual(["fetch.json", "items.jsonl", "rows.jsonl"], sorted(path.name for path in (self.out / "new").iterdir()))

    def test_long_lines_are_cut_right(self) -> None:
        path = self.out / "long"
        for lines in ([b"a" * 200_000 + b"\n", b"b" * 300_000 + b"\n"], [b"c" * 200_000 + b"\n"]):
            path.write_bytes(b"".join(lines) + b"half")
            self.assertEqual(lines[-1], fetch.keep_whole_lines(path))
            self.assertEqual(b"".join(lines), path.read_bytes())
        path.write_bytes(b"half")
        self.assertIsNone(fetch.keep_whole_lines(path))
        self.assertEqual(b"", path.read_bytes())


if __name__ == "__main__":
    unittest.main()
