"""Functions made ready to be timed on each runtime, with and without their gradient: the only benchmark code that knows frameworks."""

import time

from mrlayers.backend import RUNTIME, keras


def ready(function, arrays, gradient, to=(0,), upstream=1, runtime=RUNTIME):
    """A function without arguments that runs `function(*tensors)`; with `gradient` also the pull-back of a tensor to others.

    `upstream` is the number of the tensor that is pulled back, `to` holds those of the tensors it is pulled back to.
    """
    return globals()["_" + runtime](function, arrays, to if gradient else (), upstream)


def compare(reference, candidates, seconds=4.0):
    """Best time of each function, taken in turns so that the machine is the same for all; returns `(reference, [candidates])`."""
    functions = [reference] + list(candidates)
    for function in functions:
        function()
    best = [float("inf")] * len(functions)
    begin, rounds = time.perf_counter(), 0
    while rounds < 2 or time.perf_counter() - begin < seconds:
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function()
            best[index] = min(best[index], time.perf_counter() - start)
        rounds += 1
    return best[0], best[1:]


def _tensorflow1(function, arrays, to, upstream):
    import tensorflow as tf

    tensors = [tf.Variable(array) for array in arrays]  # constants would be folded away before the clock starts
    result = function(*tensors)
    targets = [result] + (tf.gradients(result, [tensors[i] for i in to], grad_ys=tensors[upstream]) if to else [])
    session = keras.backend.get_session()
    session.run([tensor.initializer for tensor in tensors])
    operations = [target.op for target in targets]
    return lambda: session.run(operations)


def _tensorflow(function, arrays, to, upstream):
    import tensorflow as tf

    tensors = [tf.constant(array) for array in arrays]

    @tf.function
    def run(*tensors):
        if not to:
            return function(*tensors)
        inputs = [tensors[i] for i in to]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = function(*tensors)
        return tape.gradient(result, inputs, output_gradients=tensors[upstream]), result

    return lambda: tf.nest.map_structure(lambda tensor: tensor[0, 0, 0, 0].numpy(), run(*tensors))


def _jax(function, arrays, to, upstream):
    import jax
    import jax.numpy as jnp

    tensors = [jnp.asarray(array) for array in arrays]

    def both(*tensors):
        def of_inputs(*inputs):
            replaced = dict(zip(to, inputs))
            return function(*[replaced.get(i, tensor) for i, tensor in enumerate(tensors)])

        result, pull_back = jax.vjp(of_inputs, *[tensors[i] for i in to])
        return result, pull_back(tensors[upstream])

    run = jax.jit(both if to else function)
    return lambda: jax.block_until_ready(run(*tensors))


def _torch(function, arrays, to, upstream):
    import torch

    tensors = [torch.tensor(array) for array in arrays]
    if not to:

        def run():
            with torch.no_grad():
                return function(*tensors)

        return run
    inputs = [tensors[i].requires_grad_() for i in to]
    return lambda: torch.autograd.grad(function(*tensors), inputs, grad_outputs=tensors[upstream])
