"""A stand-in for FAISS, as far as benchmarks/Ann/faiss_peer.py uses it: real lists and selectors, exact scores, no speed."""
import pickle

import numpy as np

__version__ = "0.0-fake"
METRIC_INNER_PRODUCT = 0
parallel = []


def get_compile_options():
    return "FAKE "


def omp_set_num_threads(count):
    parallel.append(count)


def swig_ptr(array):
    return array


def rev_swig_ptr(array, size):
    return array[:size]


def downcast_index(index):
    return index


def write_index(index, file):
    with open(file, "wb") as stream:
        pickle.dump(index, stream)


def read_index(file):
    with open(file, "rb") as stream:
        return pickle.load(stream)


class IDSelectorBitmap:
    def __init__(self, size, bits):
        self.passes = np.unpackbits(bits[:size], bitorder="little").astype(bool)


class SearchParametersIVF:
    def __init__(self, nprobe, sel=None):
        self.nprobe, self.sel = nprobe, sel


class ScalarQuantizer:
    QT_8bit = 8


class IndexFlatIP:
    def __init__(self, d):
        self.rows = np.empty((0, d), dtype=np.float32)

    def add(self, rows):
        self.rows = np.concatenate([self.rows, rows])

    def reconstruct_n(self, first, count):
        return self.rows[first:first + count]

    def search_c(self, n, x, k, distances, labels, parameters):
        labels[:n] = -1


class InvertedLists:
    def __init__(self, lists):
        self.lists = lists

    def list_size(self, number):
        return len(self.lists[number])

    def get_ids(self, number):
        return self.lists[number]


class Clustering:
    pass


class IndexIVFFlat:
    def __init__(self, quantizer, d, lists, metric):
        self.quantizer, self.lists, self.cp = quantizer, lists, Clustering()

    def train(self, rows):
        if len(self.quantizer.rows) == 0:
            self.quantizer.add(rows[:self.lists])

    def add(self, rows):
        nearest = (rows @ self.quantizer.rows.T).argmax(1)
        self.rows, self.invlists = rows, InvertedLists([np.flatnonzero(nearest == number) for number in range(self.lists)])

    def search_c(self, n, x, k, distances, labels, parameters):
        for i in range(n):
            probed = np.argsort(-(self.quantizer.rows @ x[i]), kind="stable")[:parameters.nprobe]
            ids = np.concatenate([self.invlists.get_ids(number) for number in probed])
            if parameters.sel is not None:
                ids = ids[parameters.sel.passes[ids]]
            ids = ids[np.argsort(-(self.rows[ids] @ x[i]), kind="stable")][:k]
            labels[i, :k] = -1
            labels[i, :len(ids)] = ids


class IndexIVFScalarQuantizer(IndexIVFFlat):
    def __init__(self, quantizer, d, lists, kind, metric):
        super().__init__(quantizer, d, lists, metric)
