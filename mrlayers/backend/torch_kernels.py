"""Complex FFT on PyTorch, where a pair and a complex number are the same memory: nothing is packed."""

import torch


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


def _complex(x):
    return torch.view_as_complex(x.contiguous())
