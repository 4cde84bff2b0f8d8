"""Complex FFT and convolutions on PyTorch, without the copies that Keras takes.

A pair and a complex number are the same memory, so nothing is packed. PyTorch convolves channels-last memory as it lies.
"""

import functools

import torch
from keras import tree

SLAB = 2**19  # pairs: 4 MB


def fourier(x, axes, inverse):
    """Orthonormal FFT of pairs `(..., height, width, 2)` over `axes`, of which -3 is height and -2 width."""
    function = torch.fft.ifftn if inverse else torch.fft.fftn
    return torch.view_as_real(function(_complex(x), dim=[axis + 1 for axis in axes], norm="ortho"))


def fourier_projection(x, mask, axes):
    """`F^H mask F x` in one complex piece."""
    return _Projection.apply(x, mask, [axis + 1 for axis in axes])


class _Projection(torch.autograd.Function):
    """Its own gradient: the projection is self-adjoint, so nothing but the mask is kept for the backward pass."""

    @staticmethod
    def forward(ctx, x, mask, axes):
        ctx.save_for_backward(mask)
        ctx.axes = axes
        kspace = torch.fft.fftn(_complex(x), dim=axes)
        kspace *= mask[..., 0]
        return torch.view_as_real(torch.fft.ifftn(kspace, dim=axes))

    @staticmethod
    def backward(ctx, upstream):
        (mask,) = ctx.saved_tensors
        return _Projection.apply(upstream, mask, ctx.axes), None, None


def convolution(x, kernel, padding):
    """The convolution of `(batch, ..., channels)` by `(..., in, out)`, stride 1.

    Keras makes two copies of `x` first, of which autograd keeps one. A kernel that sees one plane (1, height, width) goes over all
    planes in two dimensions: PyTorch's own way in three takes ten times as long.
    """
    if x.ndim == 5 and kernel.shape[0] == 1:
        planes = convolution(x.reshape(-1, *x.shape[2:]), kernel[0], padding)
        return planes.reshape(*x.shape[:2], *planes.shape[1:])
    function = {4: torch.nn.functional.conv2d, 5: torch.nn.functional.conv3d}[x.ndim]
    return function(x.movedim(-1, 1), kernel.movedim((-1, -2), (0, 1)), padding=padding).movedim(1, -1)


def concatenate_pairs(tensors):
    """In steps of a pair instead of a number. Not for autograd: whoever calls this has a gradient of its own."""
    result = tensors[0].new_empty(tensors[0].shape[:-1] + (len(tensors), 2))
    for index, tensor in enumerate(tensors):
        torch.view_as_complex(result)[..., index] = _complex(tensor)
    return result.reshape(result.shape[:-2] + (-1,))


def split_pairs(x):
    """The tensors `(..., 2)` that `concatenate_pairs` has put together."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return [torch.view_as_real(pairs[..., index].contiguous()) for index in range(pairs.shape[-1])]


def in_slabs(function):
    """The function, on CPUs some rows at a time: what one step makes is still in the cache when the next reads it.

    Memory of this size is used again, too; larger pieces are given back to the system and cleared anew each time.
    """

    @functools.wraps(function)
    def over_slabs(first, *others):
        height = first.shape[-3]
        rows = max(1, SLAB * height // first[..., 0].numel())
        if rows >= height or first.is_cuda:
            return function(first, *others)
        result = None
        for begin in range(0, height, rows):

            def slab(x, begin=begin):
                whole = not isinstance(x, torch.Tensor) or x.shape[-3] == 1
                return x if whole else x[..., begin : begin + rows, :, :]

            part = function(*tree.map_structure(slab, (first,) + others))
            if result is None:
                result = tree.map_structure(lambda x: x.new_empty(x.shape[:-3] + (height,) + x.shape[-2:]), part)
            tree.map_structure(lambda x, y: slab(x).copy_(y), result, part)
        return result

    return over_slabs


def _complex(x):
    return torch.view_as_complex(x.contiguous())
