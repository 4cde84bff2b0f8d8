"""A trained network as it leaves Keras: published names, a fixed batch, float32, and no complex number inside."""

import json
import re
from collections import namedtuple

from mrlayers import IFFT, backend
from mrlayers.backend import keras
from mrlayers.checks import describe, refusal, require_integer

PUBLISHED = {
    ("image", "kspace", "mask"): (("feature", "mask"), ("predTst",)),
    ("moving", "fixed"): (("input_src", "input_tgt"), ("moved", "flow")),
}

Interface = namedtuple("Interface", "inputs outputs network")
Interface.__doc__ = """`inputs`: list of `(name, shape)`, the batch included. `outputs`: list of names. `network`: function from
a list of tensors to a list of tensors, in layers that it makes when it is called."""


def interface(model, batch=1, inputs=None, outputs=None):
    """How a model is exported.

    A network on `[image, kspace, mask]` needs the k-space only for its zero-filled image, which by contract its `image` is: with two
    inputs `feature` takes the place of both, which is exact, and saves a transform. With three names in `inputs` all three
    stay, for networks that begin at another image than the zero-filled one.

    Args:
        model: a functional `keras.Model`.
        batch: how many samples the exported network takes at once, always.
        inputs: names, one for each input of the model, or two for `[image, kspace, mask]`. `None`: those of `PUBLISHED`, and
            else the model's own.
        outputs: names of the first so many outputs of the model. `None`: likewise; what a network has besides is for training.

    Raises:
        ValueError: sizes that are not known, names that are too many, too few or twice, a batch below 1; k-space that is used
            for more than the zero-filled image.
    """
    require_integer("batch", batch, 1)
    config = model.get_config()
    own_inputs, own_outputs = [_layers(config[ends]) for ends in ("input_layers", "output_layers")]
    known = PUBLISHED.get(own_inputs, (own_inputs, own_outputs))
    inputs, outputs = [default if given is None else tuple(given) for given, default in zip((inputs, outputs), known)]
    without_kspace = own_inputs == ("image", "kspace", "mask") and len(inputs) == 2
    fed = ("image", "mask") if without_kspace else own_inputs
    names, numbers = inputs + outputs, (len(fed), len(own_outputs))
    fit = len(inputs) == len(fed) and 1 <= len(outputs) <= len(own_outputs) and len(set(names)) == len(names)
    if not fit or not all(re.match(r"\w[\w./-]*$", name) for name in names):
        expected = "`inputs` and `outputs` must name %d inputs and up to %d outputs, each once and without spaces" % numbers
        raise refusal(expected, "%r and %r" % (inputs, outputs), "%r and %r" % known)
    shapes = dict(zip(own_inputs, (backend.static_shape(x)[1:] for x in model.inputs)))
    for name in fed:
        if None in shapes[name]:
            advice = "a model that is built for one size; its weights do not depend on that"
            raise refusal("`model` must have inputs of known size", "%s with %s" % (name, describe(shapes[name])), advice)
    replaced = _zero_filling_layers(model, config) if without_kspace else ()
    weights = {layer.name: layer.get_weights() for layer in model.layers}

    def network(tensors):
        twin = keras.models.clone_model(model, clone_function=lambda layer: _exported(layer, layer.name in replaced))
        for layer in twin.layers:
            if layer.name not in replaced:
                layer.set_weights(weights[layer.name])
        given = dict(zip(fed, tensors))
        ordered = [given[name] if name in given else given["image"] for name in own_inputs]
        results = twin(ordered if len(ordered) > 1 else ordered[0])
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        return results[: len(outputs)]

    return Interface([(name, (batch,) + shapes[own]) for name, own in zip(inputs, fed)], list(outputs), network)


def _layers(ends):
    """Names of the layers at one end of a model, from its configuration, where Keras 3 writes a single one without a list."""
    return tuple(name for name, _, _ in ([ends] if isinstance(ends[0], str) else ends))


def _exported(layer, passes_on):
    """A new layer that computes the same in float32, by matrix products where it transforms."""
    if passes_on:
        return keras.layers.Activation("linear", dtype="float32", name=layer.name)
    config = layer.get_config()
    config["dtype"] = "float32"
    if "engine" in config:
        config["engine"] = "matmul"
    return type(layer).from_config(config)


def _zero_filling_layers(model, config):
    """Names of the layers that take `kspace`, all of which must be `IFFT`."""
    inbound = {layer["config"]["name"]: json.dumps(layer["inbound_nodes"]) for layer in config["layers"]}
    names = [name for name, text in inbound.items() if '"kspace"' in text]
    others = [name for name in names if not isinstance(model.get_layer(name), IFFT)]
    if others:
        expected = "`model` must use its k-space for the zero-filled image only where it is exported without"
        raise refusal(expected, "layer " + others[0], "inputs=('feature', 'kspace', 'mask')")
    return names
