"""Clusters of ions that contacts join."""

import numpy as np
import scipy

from ionmelt.measure.arrays import Array


def clusters(cation: Array, anion: Array, cations: int, anions: int) -> tuple[Array, Array]:
    """Return (sizes, labels) of one frame for each cation: cations in its cluster, and a hash of all its ions.

    Ions are joined by contacts ``cation[i]``-``anion[i]``; anions without a contact are no cluster.
    """
    ones = np.ones(len(cation), dtype=np.int8)
    graph = scipy.sparse.coo_matrix((ones, (cation, cations + np.asarray(anion))), shape=(cations + anions,) * 2)
    _, cluster = scipy.sparse.csgraph.connected_components(graph, directed=False)
    sizes = np.bincount(cluster[:cations], minlength=cluster.max() + 1)
    # the sum of one fixed random number for each member is the same for the same members, and for no others
    keys = np.random.default_rng(12345).integers(1, 2**62, cations + anions, dtype=np.uint64)
    hashes = np.zeros(cluster.max() + 1, dtype=np.uint64)
    np.add.at(hashes, cluster, keys)
    return sizes[cluster[:cations]], hashes[cluster[:cations]].view(np.int64)
