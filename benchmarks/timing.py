"""Functions made ready to be timed on each runtime, with and without their gradient: the only benchmark code that knows frameworks.

`Apart` puts what is timed into a process of its own, for all whose memory is compared too.
"""

import multiprocessing
import os
import resource
import time

import numpy as np

from mrlayers.backend import RUNTIME, keras


def ready(function, arrays, gradient, to=(0,), upstream=1, runtime=RUNTIME):
    """A function without arguments that runs `function(*tensors)`; with `gradient` also the pull-back of a tensor to others.

    `upstream` is the number of the tensor that is pulled back, `to` holds those of the tensors it is pulled back to.
    """
    return globals()["_" + runtime](function, arrays, to if gradient else (), upstream)


def compare(reference, candidates, seconds=4.0):
    """Best time of each function; returns `(reference, [candidates])`."""
    best = turns([reference] + list(candidates), seconds).min(axis=0)
    return best[0], list(best[1:])


def turns(functions, seconds):
    """Times of the functions, taken in turns so that the machine is the same for all: an array (turns, functions)."""
    for function in functions:
        function()
    begin, times = time.perf_counter(), []
    while len(times) < 2 or time.perf_counter() - begin < seconds:
        times.append([])
        for function in functions:
            start = time.perf_counter()
            function()
            times[-1].append(time.perf_counter() - start)
    return np.array(times)


class Apart:
    """An object in a process of its own: its methods are called from here with `call`, in turns with those of others.

    Args:
        make: what makes the object there, at the top level of a module; `arguments` are its own.
        environment: more environment variables for it, such as another `KERAS_BACKEND`.
        memory: GB that the process may hold; with more it is stopped, and `call` raises `RuntimeError`.
    """

    def __init__(self, make, *arguments, environment=(), memory=float("inf")):
        here = dict(os.environ)
        os.environ.update(environment)
        spawn = multiprocessing.get_context("spawn")
        self._connection, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(other, make, arguments), daemon=True)
        self._process.start()
        self._memory = memory
        os.environ.clear()
        os.environ.update(here)

    def call(self, name, *arguments):
        """What a method of the object returns."""
        self._connection.send((name, arguments))
        while not self._connection.poll(0.05):
            if _resident(self._process.pid) > self._memory * 1024**3:
                self._process.kill()
                raise RuntimeError("needs more than {:g} GB and was stopped".format(self._memory))
            if not self._process.is_alive():
                raise RuntimeError("ended with code {}".format(self._process.exitcode))
        worked, result = self._connection.recv()
        if not worked:
            raise RuntimeError(result)
        return result

    def peak(self):
        """The most memory that the process has held since it began, GB."""
        return self.call("__peak__")

    def end(self):
        self._connection.close()
        self._process.join()


def _serve(connection, make, arguments):
    """Answers the calls of `Apart`, until there is none left to ask."""
    made = make(*arguments)
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send((True, _peak() if name == "__peak__" else getattr(made, name)(*arguments)))
        except Exception as error:
            connection.send((False, "{}: {}".format(type(error).__name__, error)))


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0**2


def _resident(pid):
    """Bytes of memory that a process holds now."""
    try:
        with open("/proc/{}/statm".format(pid)) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (IOError, IndexError):
        return 0  # it has just ended


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
