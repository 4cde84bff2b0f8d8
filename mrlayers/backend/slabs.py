"""Steps over large tensors, some rows at a time: what one step makes is still in the cache when the next reads it."""


def in_turn(*steps):
    """`(*tensors, options)` through the steps: the first takes them all, the next what it returns and the options."""

    def all_steps(*arguments):
        *tensors, options = arguments
        for step in steps[:-1]:
            tensors = step(*tensors, options)
        return steps[-1](*tensors, options)

    return all_steps


def joined(steps, join):
    """The steps, of which the last gives `join(tensors)` where it gave a list of them."""

    def last(*arguments):
        result = steps[-1](*arguments)
        return join(result) if isinstance(result, list) else result

    return steps[:-1] + (last,)


def slabs(shape, pairs):
    """`(begin, rows)` that together cover the rows of `(..., height, width, channels)`, about so many places in each.

    A single slab where the height is not known. Other axes that are not known count as 1.
    """
    height = shape[-3]
    if height is None:
        return [(0, None)]
    row = 1
    for size in tuple(shape[:-3]) + (shape[-2],):
        row *= size or 1
    rows = max(1, pairs // row)
    return [(begin, min(rows, height - begin)) for begin in range(0, height, rows)]


def split_pairs(x):
    """`(..., 2 * number)` as a list of slices `(..., 2)`."""
    return [x[..., index : index + 2] for index in range(0, int(x.shape[-1]), 2)]
