"""Complex FFT and convolutions on PyTorch, without the copies that Keras takes.

A pair and a complex number are the same memory, so nothing is packed. PyTorch convolves channels-last memory as it lies.
"""

import torch
from keras import tree

from mrlayers.backend.slabs import in_turn, joined, slabs

SLAB = 2**17  # pairs: 1 MB, ten times as much in the making


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


def split_pairs(x):
    """`(..., 2 * number)` as a list of tensors `(..., 2)` that lie in one piece: by steps of a pair, which costs less than by numbers."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return [torch.view_as_real(pairs[..., index].contiguous()) for index in range(pairs.shape[-1])]


def _concatenate_pairs(tensors, out=None):
    """In steps of a pair instead of a number. Not for autograd: whoever calls this has a gradient of its own."""
    if out is None:
        out = tensors[0].new_empty(tensors[0].shape[:-1] + (2 * len(tensors),))
    pairs = torch.view_as_complex(out.unflatten(-1, (-1, 2)))
    for index, tensor in enumerate(tensors):
        pairs[..., index] = _complex(tensor)
    return out


def in_slabs(*steps):
    """On CPUs some rows at a time. Memory of that size is used again; larger pieces go back to the system and are cleared each time."""
    all_steps = in_turn(*steps)
    whole = in_turn(*joined(steps, _concatenate_pairs))

    def over_slabs(*arguments):
        *tensors, options = arguments
        parts = slabs(tensors[0].shape, SLAB)
        if len(parts) == 1 or tensors[0].is_cuda:
            return whole(*arguments)
        height, result = tensors[0].shape[-3], None
        for begin, rows in parts:

            def slab(x, begin=begin, rows=rows):
                return x if x.shape[-3] == 1 else x.narrow(-3, begin, rows)

            part = all_steps(*tree.map_structure(slab, tensors), options)
            if isinstance(part, list):
                result = _empty(part[0], height, 2 * len(part)) if result is None else result
                _concatenate_pairs(part, slab(result))
            else:
                result = tree.map_structure(lambda x: _empty(x, height, x.shape[-1]), part) if result is None else result
                tree.map_structure(lambda whole, x: slab(whole).copy_(x), result, part)
        return result

    return over_slabs


def _empty(x, height, channels):
    """A tensor like `x` of so many rows and channels, not filled yet."""
    return x.new_empty(x.shape[:-3] + (height, x.shape[-2], channels))


def _complex(x):
    return torch.view_as_complex(x.contiguous())
