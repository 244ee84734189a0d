"""Clusters of ions."""

import numpy as np

from ionmelt.measure import clusters as measure_clusters


def test_clusters_are_joined_by_shared_anions() -> None:
    # cations 0-1 share anion 0, cation 2 has anions 1 and 2 alone, cation 3 has none
    sizes, labels = measure_clusters.clusters(np.array([0, 1, 2, 2]), np.array([0, 0, 1, 2]), 4, 5)
    assert sizes.tolist() == [2, 2, 1, 1]
    assert labels[0] == labels[1] and len(set(labels.tolist())) == 3
    again = measure_clusters.clusters(np.array([2, 1, 0, 2]), np.array([2, 0, 0, 1]), 4, 5)[1]
    assert again.tolist() == labels.tolist()
    # the label is that of all members: another anion makes another cluster
    assert measure_clusters.clusters(np.array([0, 1, 1]), np.array([0, 0, 3]), 4, 5)[1][0] != labels[0]
    alone, _ = measure_clusters.clusters(np.array([], int), np.array([], int), 3, 2)
    assert alone.tolist() == [1, 1, 1]
