"""Which things belong together because they share something. Not for comparing pictures.

The connected components of a graph, by union-find (Tarjan 1975), with path halving.
"""

from collections.abc import Hashable, Iterable


def together(keys: Iterable[Iterable[Hashable]]) -> list[int]:
    """Number the things so that those which share a key, also through others, share a number.

    Args:
        keys: those of each thing.

    Returns:
        one number a thing: the place of the first thing that it belongs with.

    >>> together([["a"], ["b"], ["a", "c"], ["c"]])
    [0, 1, 0, 0]
    """
    parents: list[int] = []

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    first: dict[Hashable, int] = {}
    for index, shared in enumerate(keys):
        parents.append(index)
        for key in shared:
            one, other = root(index), root(first.setdefault(key, index))
            # the earlier one stays root, so that the numbers do not depend on the keys' order
            parents[max(one, other)] = min(one, other)
    return [root(index) for index in range(len(parents))]
