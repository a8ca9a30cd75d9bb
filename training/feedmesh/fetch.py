"""Fetches training data from a running mesh: rows.jsonl from sequence-store, items.jsonl from index-updater.

What is cut off goes on where it was: rows after the last whole one, since any row is a cursor; the items from their start.
Standard library only. docs/training-export.md describes the two streams.
"""
from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

DAY_MS = 24 * 60 * 60 * 1000
ATTEMPTS = 5  # in a row without a new line
_READ_BYTES = 1 << 16
_TIMEOUT_SECONDS = 60.0
_LINE_SECONDS = 5.0


class FetchError(Exception):
    """What cannot be fetched, in words."""


def lines(url: str) -> Iterator[bytes]:
    """Whole lines of a stream, each with its end; raises OSError or HTTPException where it is cut off."""
    request = urllib.request.Request(url)
    if token := os.environ.get("DAPR_API_TOKEN"):
        request.add_header("dapr-api-token", token)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        rest = b""
        while block := response.read1(_READ_BYTES):
            *whole, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in whole)
        if rest:
            raise http.client.IncompleteRead(rest)


def follow(name: str, url_after: Callable[[bytes | None], str], last: bytes | None, pause: float) -> Iterator[bytes]:
    """Lines of a stream that is asked for again after the last line whenever it is cut off."""
    started = shown = time.monotonic()
    count = size = failures = 0
    while True:
        try:
            for line in lines(url_after(last)):
                last, failures, count, size = line, 0, count + 1, size + len(line)
                yield line
                if time.monotonic() - shown > _LINE_SECONDS:
                    shown = time.monotonic()
                    print(f"{name}: {count:,} lines, {size / 1e6:,.1f} MB, {count / (shown - started):,.0f} a second", flush=True)
            print(f"{name}: {count:,} lines, {size / 1e6:,.1f} MB, {time.monotonic() - started:.1f} s", flush=True)
            return
        except urllib.error.HTTPError as refusal:
            with refusal:
                reason = f"{refusal.code} {refusal.read(2000).decode('utf-8', 'replace')}"
            if refusal.code < 500:
                raise FetchError(f"{name}: {refusal.url} answered {reason}") from refusal
        except (OSError, http.client.HTTPException) as cut:
            reason = repr(cut)
        failures += 1
        if failures == ATTEMPTS:
            raise FetchError(f"{name}: given up after {ATTEMPTS} attempts: {reason}. The same command goes on from here.")
        print(f"{name}: cut off ({reason}); again in {pause * failures:.0f} s", flush=True)
        time.sleep(pause * failures)


def cursor(line: bytes) -> str:
    row = json.loads(line)
    return f"{row['requestId']}:{row['userId']}"


def keep_whole_lines(path: Path) -> bytes | None:
    """Cuts a file after its last whole line, and returns that line; None where there is none."""
    if not path.exists():
        return None
    with path.open("r+b") as file:
        position = end = file.seek(0, os.SEEK_END)
        tail = b""
        while position > 0 and tail.count(b"\n") < 2:
            step = min(_READ_BYTES, position)
            position -= step
            file.seek(position)
            tail = file.read(step) + tail
        whole = tail.rfind(b"\n") + 1
        file.truncate(end - len(tail) + whole)
        return tail[:whole].splitlines(keepends=True)[-1] if whole else None


def fetch_rows(service: str, query: dict[str, int], out: Path, pause: float = 1.0) -> None:
    """rows.jsonl: complete once it has its name; rows.jsonl.part before."""
    part, settings, whole = out / "rows.jsonl.part", out / "fetch.json", out / "rows.jsonl"
    if whole.exists() and not part.exists():
        begun = json.loads(settings.read_text()) if settings.exists() else {}
        if begun != {**query, "until": query.get("until", begun.get("until"))}:
            raise FetchError(f"{whole} was fetched with {begun or 'options that are not known'}, not with {query}: give another folder, or delete it")
        print(f"rows: {whole} is complete, until {begun['until']}; for newer rows give another folder, or delete it", flush=True)
        return
    if part.exists() and settings.exists():
        begun = json.loads(settings.read_text())
        asked = query if "until" in query else {**query, "until": begun["until"]}
        if asked != begun:
            raise FetchError(f"{part} was begun with {begun}, not with {asked}: give the same options, or another folder")
        query = begun
    query.setdefault("until", time.time_ns() // 1_000_000 - query["windowMs"])  # one end for all attempts
    settings.write_text(json.dumps(query) + "\n")

    def url_after(last: bytes | None) -> str:
        after = {} if last is None else {"after": cursor(last)}
        return f"{service.rstrip('/')}/training?{urllib.parse.urlencode({**query, **after})}"

    last = keep_whole_lines(part)
    with part.open("ab") as file:
        for line in follow("rows", url_after, last, pause):
            file.write(line)
    part.replace(whole)


def fetch_items(service: str, shards: int, out: Path, pause: float = 1.0) -> None:
    """items.jsonl: complete once it has its name. A stream of items has no cursor; what was cut off begins again."""
    part = out / "items.jsonl.part"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with part.open("wb") as file:
                for shard in range(shards):
                    for line in lines(f"{service.rstrip('/')}/catalogue?shard={shard}"):
                        file.write(line)
            break
        except urllib.error.HTTPError as refusal:
            with refusal:
                reason = f"{refusal.code} {refusal.read(2000).decode('utf-8', 'replace')}"
            if refusal.code < 500 or attempt == ATTEMPTS:
                raise FetchError(f"items: {refusal.url} answered {reason}") from refusal
        except (OSError, http.client.HTTPException) as cut:
            if attempt == ATTEMPTS:
                raise FetchError(f"items: given up after {ATTEMPTS} attempts: {cut!r}") from cut
        time.sleep(pause * attempt)
    part.replace(out / "items.jsonl")
    print(f"items: {(out / 'items.jsonl').stat().st_size / 1e6:,.1f} MB", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="feedmesh.fetch", description=__doc__.splitlines()[0])
    parser.add_argument("--sequence-store", required=True, metavar="URL", help="a sidecar's invoke URL: http://localhost:3501/v1.0/invoke/sequence-store/method")
    parser.add_argument("--index-updater", required=True, metavar="URL", help="the same of index-updater")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="receives rows.jsonl and items.jsonl")
    parser.add_argument("--from", dest="start", type=int, default=0, metavar="MS", help="requests at or after this Unix millisecond")
    parser.add_argument("--until", type=int, metavar="MS", help="requests before this one; default: now less the window, so that every label is there")
    parser.add_argument("--max-events", type=int, default=512, help="newest events of a sequence")
    parser.add_argument("--window-ms", type=int, default=DAY_MS, help="how long after a request an action counts as its label")
    parser.add_argument("--max-unserved", type=int, default=0, help="candidates of a row that were not served")
    parser.add_argument("--shards", type=int, default=1, help="shards of the index")
    options = parser.parse_args(arguments)
    query = {"from": options.start, "maxEvents": options.max_events, "windowMs": options.window_ms, "maxUnserved": options.max_unserved}
    if options.until is not None:
        query["until"] = options.until
    try:
        for option, url in (("--sequence-store", options.sequence_store), ("--index-updater", options.index_updater)):
            if urllib.parse.urlsplit(url).scheme not in ("http", "https") or not urllib.parse.urlsplit(url).netloc:
                raise FetchError(f"{option} is {url!r}; it must be a whole URL, as http://localhost:3501/v1.0/invoke/...")
        options.out.mkdir(parents=True, exist_ok=True)
        fetch_rows(options.sequence_store, query, options.out)
        fetch_items(options.index_updater, options.shards, options.out)
    except FetchError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
