"""TensorBoard event files, written with TensorBoard's own writer: no framework needed, so every runtime writes the same."""

import importlib.util
import io
import time

import numpy as np


def available():
    """True where TensorBoard is installed (`pip install mrlayers[plots]`)."""
    return importlib.util.find_spec("tensorboard") is not None


class Writer:
    """Writes scalars and pictures into a new event file in the folder `output`."""

    def __init__(self, output):
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(output)

    def write(self, step, scalars, pictures):
        """`scalars` maps names to numbers, `pictures` names to `uint8` arrays `(height, width)` or `(height, width, 3)`."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=name, simple_value=float(value))
            for name, value in sorted(scalars.items())
            if np.ndim(value) == 0 and name not in ("batch", "size")
        ]
        for name, picture in sorted(pictures.items()):
            height, width = picture.shape[:2]
            colorspace = 1 if picture.ndim == 2 else picture.shape[2]
            image = Summary.Image(height=height, width=width, colorspace=colorspace, encoded_image_string=_png(picture))
            values.append(Summary.Value(tag=name, image=image))
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._writer.flush()

    def close(self):
        """Closes the file."""
        self._writer.close()


def _png(picture):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()
