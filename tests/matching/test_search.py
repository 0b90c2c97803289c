"""Search against the plain loop, for every way to search."""

import faiss
import numpy as np
import pytest
import torch

from opticornet.matching import distances
from opticornet.matching.ranking import concatenate
from opticornet.matching.search import Index, search, search_tiles

REFERENCES, DIMS = 400, 32


def unit_rows(generator, count: int) -> np.ndarray:
    rows = generator.standard_normal((count, DIMS)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def descriptors():
    """References with stops (equal rows) and near duplicates; queries, some of which are references."""
    generator = np.random.default_rng(0)
    reference = unit_rows(generator, REFERENCES)
    reference[100:110] = reference[100]
    reference[200] = reference[201] + np.float32(1e-4)
    query = np.concatenate([unit_rows(generator, 60), reference[95:115], reference[199:203]])
    return reference, query


def assert_nearest(ranking, reference, query, k):
    """Scores are the plain loop's; so are the references wherever scores differ by more than 1e-6."""
    distances = np.linalg.norm(query[:, None].astype(np.float64) - reference[None], axis=2)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(distances, order, axis=1)
    np.testing.assert_allclose(ranking.distances, expected, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(distances, ranking.indices, axis=1), expected, atol=1e-6)
    assert all(len(set(row)) == k for row in ranking.indices)


@pytest.mark.parametrize("k", [1, 20, 100, 150, REFERENCES])
def test_exact_search_is_the_plain_loop(descriptors, k):
    assert_nearest(search(*descriptors, k), *descriptors, k)


def test_equal_references_come_in_their_order(descriptors):
    ranking = search(*descriptors, 10)
    assert ranking.indices[65:75].tolist() == [list(range(100, 110))] * 10
    assert not ranking.distances[65:75].any()


@pytest.mark.parametrize("chunks", [1, 3])
def test_references_may_arrive_in_chunks(descriptors, chunks):
    reference, query = descriptors
    assert_nearest(search_tiles(iter(np.array_split(reference, chunks)), query, 50), reference, query, 50)


def test_queries_may_arrive_in_blocks(descriptors):
    reference, query = descriptors
    index = Index(reference)
    ranking = concatenate([index.search(block, 10) for block in np.array_split(query, 4)])
    assert_nearest(ranking, reference, query, 10)


def test_an_index_that_visits_everything_is_exact(descriptors):
    assert_nearest(search(*descriptors, 10, index="IVF1,Flat"), *descriptors, 10)


@pytest.mark.parametrize("index", ["IVF8,Flat", "HNSW16", "PQ8x4"])
def test_an_approximate_index_finds_most_and_repeats_itself(descriptors, index):
    reference, query = descriptors
    exact, ours = search(reference, query, 5), search(reference, query, 5, index=index, seed=3)
    again = search(reference, query, 5, index=index, seed=3)
    assert (ours.indices[60:, 0] == exact.indices[60:, 0]).mean() > 0.4  # queries that are references
    assert np.array_equal(ours.indices, again.indices)
    assert np.all(np.diff(ours.distances, axis=1) >= 0)


def test_an_inverted_file_visits_a_sixteenth_of_its_lists(descriptors):
    reference, query = descriptors
    plain = faiss.index_factory(DIMS, "IVF40,Flat")
    faiss.extract_index_ivf(plain).cp.seed = 3
    plain.train(reference)
    plain.add(reference)
    found = {}
    for probes in (1, 2, 40):
        plain.nprobe = probes
        found[probes] = plain.search(query, 5)[1]
        ours = search(reference, query, 5, index="IVF40,Flat", seed=3, probes=probes)
        np.testing.assert_array_equal(np.sort(ours.indices), np.sort(found[probes]))
    assert not np.array_equal(found[1], found[2])
    index = Index(reference, "IVF40,Flat", seed=3)
    assert index.settings == {"nlist": 40, "nprobe": 2}
    np.testing.assert_array_equal(np.sort(index.search(query, 5).indices), np.sort(found[2]))


def test_what_decides_an_index_thoroughness_is_known(descriptors):
    reference, _ = descriptors
    settings = {index: Index(reference, index).settings for index in ("Flat", "IVF8,Flat", "HNSW16", "PQ8x4")}
    assert settings["Flat"] == settings["PQ8x4"] == {}
    assert settings["IVF8,Flat"] == {"nlist": 8, "nprobe": 1}
    assert settings["HNSW16"]["efSearch"] > 1


@pytest.mark.parametrize("probes", [0, 9])
def test_more_probes_than_lists(descriptors, probes):
    with pytest.raises(ValueError, match=f"probes is {probes}, but there are 8 lists"):
        search(*descriptors, 5, index="IVF8,Flat", probes=probes)


def test_missing_neighbours_are_marked(descriptors):
    reference, query = descriptors
    ranking = search(reference, query, REFERENCES, index="IVF32,Flat")
    assert np.array_equal(ranking.indices < 0, np.isinf(ranking.distances))
    assert (ranking.indices[:, -1] == -1).all()


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("nonsense", "could not parse index string"),
        (
            "IVF1024,Flat",
            "Number of training points \\(400\\) should be at least as large as number of clusters",
        ),
        ("PQ7", "dimension of the vector \\(d\\) should be a multiple"),
        ("IDMap,Flat", "add_with_ids"),
    ],
)
def test_an_index_that_cannot_be_built_says_why(descriptors, index, reason):
    with pytest.raises(ValueError, match=f"'{index}' cannot be built from 400 references of 32 dimensions: .*{reason}"):
        search(*descriptors, 5, index=index)


@pytest.mark.parametrize("k", [0, REFERENCES + 1])
def test_k_beyond_the_references(descriptors, k):
    with pytest.raises(ValueError, match=f"k is {k}, but there are {REFERENCES} references"):
        search(*descriptors, k)


def test_too_few_references_in_all_chunks(descriptors):
    reference, query = descriptors
    with pytest.raises(ValueError, match="k is 50, but there are 40 references"):
        search_tiles([reference[:20], reference[20:40]], query, 50)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_exact_search_on_cuda(descriptors):
    assert_nearest(search(*descriptors, 50, device="cuda"), *descriptors, 50)


@pytest.mark.parametrize("common", [3.0, 30.0])
def test_descriptors_with_much_in_common_are_not_near_duplicates(common, monkeypatch):
    """Exact to the last digit, without a difference for every pair."""
    recomputed = []
    plain = distances._recompute
    monkeypatch.setattr(
        distances,
        "_recompute",
        lambda squared, chosen, *rest: (recomputed.append(int(chosen.sum())), plain(squared, chosen, *rest)),
    )
    rows = np.random.default_rng(5).standard_normal((400, 64)) + common
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    reference, query = rows[:300], rows[280:]  # twenty of the queries are references
    ranking = search(reference, query, 10)
    exact = np.linalg.norm(query[:, None].astype(np.float64) - reference[None], axis=2)
    np.testing.assert_allclose(ranking.distances, np.sort(exact, axis=1)[:, :10], atol=1e-6)
    np.testing.assert_array_equal(ranking.distances[:20, 0], 0)
    assert sum(recomputed) < 0.01 * exact.size
