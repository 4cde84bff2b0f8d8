"""Functions made ready to be timed on each runtime, with and without their gradient: the only benchmark code that knows frameworks."""

import time

from mrlayers.backend import RUNTIME, keras


def ready(function, arrays, gradient):
    """A function without arguments that runs `function(*tensors)`, or that and the pull-back of the second tensor to the first."""
    return globals()["_" + RUNTIME](function, arrays, gradient)


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


def _tensorflow1(function, arrays, gradient):
    import tensorflow as tf

    tensors = [tf.Variable(array) for array in arrays]  # constants would be folded away before the clock starts
    result = function(*tensors)
    targets = [result] + (tf.gradients(result, tensors[:1], grad_ys=tensors[1]) if gradient else [])
    session = keras.backend.get_session()
    session.run([tensor.initializer for tensor in tensors])
    operations = [target.op for target in targets]
    return lambda: session.run(operations)


def _tensorflow(function, arrays, gradient):
    import tensorflow as tf

    tensors = [tf.constant(array) for array in arrays]

    @tf.function
    def run(*tensors):
        if not gradient:
            return function(*tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors[0])
            result = function(*tensors)
        return tape.gradient(result, tensors[0], output_gradients=tensors[1]), result

    return lambda: tf.nest.map_structure(lambda tensor: tensor[0, 0, 0, 0].numpy(), run(*tensors))


def _jax(function, arrays, gradient):
    import jax
    import jax.numpy as jnp

    tensors = [jnp.asarray(array) for array in arrays]

    def both(first, *others):
        result, pull_back = jax.vjp(lambda x: function(x, *others), first)
        return result, pull_back(others[0])

    run = jax.jit(both if gradient else function)
    return lambda: jax.block_until_ready(run(*tensors))


def _torch(function, arrays, gradient):
    import torch

    tensors = [torch.tensor(array) for array in arrays]
    if not gradient:

        def run():
            with torch.no_grad():
                return function(*tensors)

        return run
    tensors[0].requires_grad_()
    return lambda: torch.autograd.grad(function(*tensors), tensors[0], grad_outputs=tensors[1])
