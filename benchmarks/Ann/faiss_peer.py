"""FAISS's side of `benchmarks -- ann`: one JSON object a line in, one out. Vectors, bitmaps and results pass as raw little-endian files.

Everything that a call needs (pointers, parameters, selectors) is made before the clock runs, so a search costs what search_c costs and
about a microsecond of Python, which `overhead` measures. Passes over the queries are whole: every figure is of the same mix.
"""
import gc
import json
import os
import struct
import sys
import time

BATCH = 16


class Peer:
    def __init__(self):
        self.indexes, self.filters = {}, {}

    def open(self, vectors, queries, dimensions, cache, key):
        self.dimensions, self.cache, self.key = dimensions, cache, key
        self.vectors = np.fromfile(vectors, dtype="<f4").reshape(-1, dimensions)
        self.queries = np.fromfile(queries, dtype="<f4").reshape(-1, dimensions)
        return {}

    def index(self, kind, lists):
        """Loads an index, or builds it: sq8 with the centroids of flat, so that both probe the same lists."""
        started, name = time.perf_counter(), f"{kind}-{lists}"
        file = os.path.join(self.cache, f"{self.key}-{name}-{faiss.__version__}.faiss") if self.cache else None
        cached = bool(file) and os.path.exists(file)
        index = faiss.read_index(file) if cached else self.build(kind, lists)
        if file and not cached:
            faiss.write_index(index, file + ".part")
            os.replace(file + ".part", file)
        self.indexes[name] = index
        return {"seconds": time.perf_counter() - started, "cached": cached}

    def build(self, kind, lists):
        d, metric = self.dimensions, faiss.METRIC_INNER_PRODUCT
        if kind == "hnsw":
            index = faiss.IndexHNSWFlat(d, 32, metric)
            index.hnsw.efConstruction = 40
        elif kind == "flat":
            index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, metric)
            index.cp.niter, index.cp.max_points_per_centroid, index.cp.spherical = 12, 100, True
        else:
            flat = faiss.downcast_index(self.indexes[f"flat-{lists}"].quantizer)
            centroids = faiss.IndexFlatIP(d)
            centroids.add(flat.reconstruct_n(0, lists))
            index = faiss.IndexIVFScalarQuantizer(centroids, d, lists, faiss.ScalarQuantizer.QT_8bit, metric)
        index.train(self.vectors)
        index.add(self.vectors)
        return index

    def assignment(self, lists, file):
        """Which list each row is in, as int32."""
        inverted = self.indexes[f"flat-{lists}"].invlists
        lists_of = np.empty(len(self.vectors), dtype="<i4")
        for number in range(lists):
            size = inverted.list_size(number)
            if size:
                lists_of[faiss.rev_swig_ptr(inverted.get_ids(number), size)] = number
        lists_of.tofile(file)
        return {}

    def filter(self, name, file):
        """Takes one bitmap for each query; from then on the filter can be named."""
        bits = np.fromfile(file, dtype=np.uint8).reshape(len(self.queries), -1)
        selectors = [faiss.IDSelectorBitmap(row.size, faiss.swig_ptr(row)) for row in bits]
        counts = [int(np.unpackbits(row).sum()) for row in bits]
        self.filters[name] = bits, selectors, counts
        return {}

    def overhead(self):
        """Microseconds of a search in an empty index: Python, the wrapper, and nothing found."""
        empty, held = faiss.IndexFlatIP(self.dimensions), Buffers(1, 1)
        x, count = faiss.swig_ptr(self.queries[:1]), 50_000
        search, distances, labels = empty.search_c, held.distances_ptr, held.labels_ptr
        started = time.perf_counter()
        for _ in range(count):
            search(1, x, 1, distances, labels, None)
        return {"us": (time.perf_counter() - started) / count * 1e6}

    def answer(self, index, knob, filter, k, post, file):
        """Rows found for every query, as int64 [queries, k], and the seconds that it took one query after the other."""
        faiss.omp_set_num_threads(2)
        self.indexes[index].parallel_mode = 0
        found = np.full((len(self.queries), k), -1, dtype="<i8")
        started = time.perf_counter()
        for query in range(len(self.queries)):
            labels = self.single(index, knob, filter, k, post, [query])()
            found[query, :len(labels)] = labels
        seconds = time.perf_counter() - started
        found.tofile(file)
        return {"seconds": seconds}

    def run(self, index, knob, filter, k, post, batch, parallel_mode, seconds):
        """Queries per second: single ones with two threads at hand, or batches of 16."""
        everything = list(range(len(self.queries)))
        self.indexes[index].parallel_mode = parallel_mode
        faiss.omp_set_num_threads(2)
        if not batch:
            return {"qps": timed(self.single(index, knob, filter, k, post, everything), len(everything), seconds)}
        if filter is None:
            return {"qps": timed(self.batches(index, knob, k), len(everything), seconds)}
        return {"qps": sum(forked(
            [lambda part=part: self.single(index, knob, filter, k, post, everything[part::2]) for part in (0, 1)],
            [len(everything[part::2]) for part in (0, 1)], seconds))}

    def single(self, index, knob, filter, k, post, queries):
        """A function that searches for the queries one by one, and returns what it found for the last."""
        search, plain = self.indexes[index].search_c, self.parameters(index, knob, None)
        if post:
            return self.over_fetching(search, plain, self.filters[filter], k, queries)
        selectors = self.filters[filter][1] if filter is not None else None
        held = Buffers(1, k)
        distances, labels = held.distances_ptr, held.labels_ptr
        calls = [(self.pointer(q), self.parameters(index, knob, selectors[q]) if selectors else plain) for q in queries]

        def run():
            for x, parameters in calls:
                search(1, x, k, distances, labels, parameters)
            return held.labels[0]
        return run

    def over_fetching(self, search, plain, filter, k, queries):
        """The same without a selector: as many as hold k that pass, on average, and half as many again; then the bitmap is asked."""
        bits, _, counts = filter
        wanted = [min(len(self.vectors), max(k, int(1.5 * k * len(self.vectors) / max(1, counts[q])))) for q in queries]
        held = Buffers(1, max(wanted))
        distances, labels = held.distances_ptr, held.labels_ptr
        calls = [(self.pointer(q), bits[q], w) for q, w in zip(queries, wanted)]

        def run():
            for x, bitmap, w in calls:
                search(1, x, w, distances, labels, plain)
                ids = held.labels[0, :w]
                passes = (bitmap.take(ids >> 3, mode="clip") >> (ids & 7)) & 1
                kept = ids[passes.astype(bool) & (ids >= 0)][:k]
            return kept
        return run

    def batches(self, index, knob, k):
        search, parameters = self.indexes[index].search_c, self.parameters(index, knob, None)
        held = Buffers(BATCH, k)
        calls = [(min(BATCH, len(self.queries) - at), self.pointer(at)) for at in range(0, len(self.queries), BATCH)]

        def run():
            for n, x in calls:
                search(n, x, k, held.distances_ptr, held.labels_ptr, parameters)
        return run

    def pointer(self, query):
        return faiss.swig_ptr(self.queries[query:])

    def parameters(self, index, knob, selector):
        if index.startswith("hnsw"):
            return faiss.SearchParametersHNSW(efSearch=knob, sel=selector) if selector else faiss.SearchParametersHNSW(efSearch=knob)
        return faiss.SearchParametersIVF(nprobe=knob, sel=selector) if selector else faiss.SearchParametersIVF(nprobe=knob)


class Buffers:
    """Where results go. A pointer keeps nothing alive, so whoever uses it holds this."""

    def __init__(self, n, k):
        self.distances, self.labels = np.empty((n, k), dtype=np.float32), np.empty((n, k), dtype=np.int64)
        self.distances_ptr, self.labels_ptr = faiss.swig_ptr(self.distances), faiss.swig_ptr(self.labels)


def timed(run, count, seconds):
    """Queries per second over whole passes."""
    passes, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or passes == 0:
        run()
        passes += 1
    return passes * count / elapsed


def forked(makers, counts, seconds):
    """The same in processes of one thread each, that begin together: nothing is shared but memory, and nobody waits for the other."""
    gate_read, gate_write = os.pipe()
    results = []
    for make, count in zip(makers, counts):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(gate_write)
                faiss.omp_set_num_threads(1)
                run = make()
                os.read(gate_read, 1)  # the end of the file, once the parent lets go
                os.write(write, struct.pack("d", timed(run, count, seconds)))
                code = 0
            finally:
                os._exit(code)
        os.close(write)
        results.append((child, read))
    os.close(gate_read)
    os.close(gate_write)
    rates = []
    for child, read in results:
        data = os.read(read, 8)
        os.close(read)
        os.waitpid(child, 0)
        if len(data) != 8:
            raise RuntimeError("a process of the batch ended without a result")
        rates.append(struct.unpack("d", data)[0])
    return rates


def main():
    global faiss, np
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    try:
        import faiss
        import numpy as np
    except ImportError as fault:
        print(json.dumps({"error": str(fault)}), file=answers)
        return
    print(json.dumps({"version": faiss.__version__, "options": faiss.get_compile_options().strip()}), file=answers)
    gc.disable()
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(peer, request.pop("do"))(**request)
        except Exception as fault:
            answer = {"error": f"{type(fault).__name__}: {fault}"}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
