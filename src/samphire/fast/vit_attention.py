"""Attention of the ViT encoder in tiles that stay near the processor.

The plain module makes the whole matrix of scores, 0.8 GB for a global block of ViT-B, and two more
of its size to add the relative positions: it waits for memory most of the time. Here the relative
positions are *written* into a tile of scores first, and the product of queries and keys is
accumulated onto them; the tile is normalised and multiplied with the values before it leaves the
cache. Source: ``model/image_encoder.py``, whose answers these are.

Relative positions without a gather
    The plain module looks up R[i, j] = t[i - j + s - 1] for a query in row i and a key in row j of
    s rows, and takes q . R[i, j]. Here q is multiplied with the whole table, its order reversed:
    p[m] = q . t[2s - 2 - m]. Then

        q . R[i, j] = p[2s - 2 - (i - j + s - 1)] = p[s - 1 + j - i]

    For all queries at once p lies in one array, a query in row i one step of row i further on. So
    the terms are a *view* of p that begins at s - 1, goes on by 1 with j and by one row less 1
    with i. Columns likewise. This computes about twice the products that are needed, in one matrix
    product instead of one per row: as quick, and nothing has to be kept or copied.
"""

import math

import torch
from torch.nn import functional

from samphire.fast import packed
from samphire.fast.workspace import Workspace

# Scores in a tile of a global block: 8 MB. Twice as many are no quicker, half as many 5 % slower.
TILE = 2**21


def distance_tables(positions: tuple[torch.Tensor, torch.Tensor], side: int) -> torch.Tensor:
    """Vectors of all distances in rows, then in columns, each in reverse; (2 * (2s - 1), d).

    Args:
        positions: of an attention, ``rel_pos_h`` and ``rel_pos_w``, (L, d) each; resized linearly
            where they are for another side.
        side: rows and columns of the grid, s.
    """
    count = 2 * side - 1
    resized = [
        table
        if len(table) == count
        else functional.interpolate(table.T[None], count, mode="linear")[0].T
        for table in positions
    ]
    return torch.cat([table.flip(0) for table in resized])


def attend_everywhere(
    qkv: torch.Tensor,
    tables: torch.Tensor | None,
    attended: torch.Tensor,
    workspace: Workspace,
) -> None:
    """Every token of a square grid attends to every other.

    One head and some rows of queries at a time. The values of a head are the weights of a linear
    map for all its tiles, so they are packed once: a fifth quicker than an unpacked product.

    Args:
        qkv: queries, keys and values (3, heads, s * s, d).
        tables: of :func:`distance_tables`; None where there are no relative positions.
        attended: (s * s, heads * d); written.
        workspace: for the tiles.
    """
    _, heads, count, width = qkv.shape
    side = math.isqrt(count)
    rows = min(side, max(1, TILE // (count * side)))
    for head in range(heads):
        q, k, v = qkv[:, head]
        values = packed.Linear(v.t(), None, rows=rows * side)
        for top in range(0, side, rows):
            tile = slice(top * side, min(top + rows, side) * side)
            queries = q[None, tile]
            scores = workspace.buffer("scores", 1, queries.shape[1], count)
            placed = place(scores, queries, tables, side, workspace, first=top)
            torch.addmm(scores[0], q[tile], k.t(), beta=placed, alpha=width**-0.5, out=scores[0])
            torch.softmax(scores, -1, out=scores)
            attended[tile, head * width : (head + 1) * width] = values(scores[0])


def attend_in_windows(
    qkv: torch.Tensor,
    tables: torch.Tensor | None,
    attended: torch.Tensor,
    workspace: Workspace,
) -> None:
    """Tokens of a square window attend to each other, in some windows at once.

    Args:
        qkv: queries, keys and values of all heads of all windows (3, N, s * s, d).
        tables: of :func:`distance_tables`; None where there are no relative positions.
        attended: (N, s * s, d); written.
        workspace: for the scores.
    """
    _, number, count, width = qkv.shape
    q, k, v = qkv
    scores = workspace.buffer("scores", number, count, count)
    placed = place(scores, q, tables, math.isqrt(count), workspace)
    torch.baddbmm(scores, q, k.transpose(1, 2), beta=placed, alpha=width**-0.5, out=scores)
    torch.softmax(scores, -1, out=scores)
    torch.bmm(scores, v, out=attended)


def place(
    scores: torch.Tensor,
    queries: torch.Tensor,
    tables: torch.Tensor | None,
    side: int,
    workspace: Workspace,
    *,
    first: int = 0,
) -> int:
    """Write the terms of relative position over a tile of scores.

    Args:
        scores: (N, rows * s, s * s); written, unless there are no tables.
        queries: (N, rows * s, d), contiguous and not scaled, as published.
        tables: of :func:`distance_tables`; None where there are no relative positions.
        side: of the grid, s.
        workspace: for the products of queries and tables.
        first: row of the grid that the first query is in.

    Returns:
        The share of the scores that counts from now on: 1, or 0 without tables.
    """
    if tables is None:
        return 0
    number, count, width = queries.shape
    rows, length = count // side, len(tables)
    products = workspace.buffer("products", number * count, length)
    torch.mm(queries.reshape(-1, width), tables.t(), out=products)
    start, (window, row) = products.storage_offset(), (count * length, side * length)
    shape = (number, rows, side, side)
    by_row = products.as_strided(shape, (window, row - 1, length, 1), start + side - 1 - first)
    by_column = products.as_strided(
        shape, (window, row, length - 1, 1), start + length // 2 + side - 1
    )
    terms = scores.view(number, rows, side, side, side)
    torch.add(by_row[..., :, None], by_column[..., None, :], out=terms)
    return 1
