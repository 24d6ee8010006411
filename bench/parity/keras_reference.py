"""What Keras 2 says, for parity.ts to compare with; run after reference.py, where tensorflow and tf_keras are installed.

    python bench/parity/keras_reference.py OUT

OUT gets keras.applications' ResNet-50 with seeded random weights as a weights file and as a whole model, and its logits (before
the softmax) and embeddings for the first squares of reference.py. Batch norm's statistics are those of the squares.
"""

import json
import sys
from pathlib import Path

import numpy
import tf_keras
from tf_keras.layers import BatchNormalization

CAFFE_MEAN = numpy.array([103.939, 116.779, 123.68], "float32")


def main(out):
    reference = json.loads((out / "reference.json").read_text())
    count = reference["compared"]
    squares = numpy.fromfile(out / "squares.u8", "uint8").reshape(-1, 224, 224, 3)[:count]
    images = squares[..., ::-1].astype("float32") - CAFFE_MEAN
    tf_keras.utils.set_random_seed(50)
    model = tf_keras.applications.ResNet50(weights=None)
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.momentum = 0
    model(images, training=True)
    embeddings = tf_keras.Model(model.inputs, model.layers[-1].input)(images).numpy()
    kernel, bias = model.layers[-1].get_weights()
    (embeddings @ kernel + bias).tofile(out / "keras-logits.f32")
    embeddings.tofile(out / "keras-embeddings.f32")
    model.save_weights(out / "keras-weights.h5")
    model.save(out / "keras-model.h5")
    reference["cases"] += [{"weights": f"keras-{what}.h5", "outputs": "keras"} for what in ["weights", "model"]]
    reference["versions"]["tf_keras"] = tf_keras.__version__
    (out / "reference.json").write_text(json.dumps(reference, indent=2) + "\n")


main(Path(sys.argv[1]))
