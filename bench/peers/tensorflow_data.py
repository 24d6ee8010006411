"""TensorFlow: tf.data with parallel decoding and prefetching, Keras's ResNet-50 as a compiled function."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy
import tensorflow
from peer import main

versions = {"tensorflow": tensorflow.__version__, "keras": keras.__version__}


def configurations(threads):
    return [{"batch": batch} for batch in (8, 16, 32)]


def decode(path):
    image = tensorflow.io.decode_image(tensorflow.io.read_file(path), channels=3, expand_animations=False)
    size = tensorflow.cast(tensorflow.shape(image)[:2], tensorflow.float32)
    scaled = tensorflow.cast(tensorflow.round(size * 256 / tensorflow.reduce_min(size)), tensorflow.int32)
    image = tensorflow.image.resize(image, scaled, antialias=True)
    return tensorflow.image.resize_with_crop_or_pad(image, 224, 224)


def open_model(args, batch):
    network = keras.applications.ResNet50(weights=None)
    both = keras.Model(network.input, [network.get_layer("avg_pool").output, network.layers[-1].output])
    infer = tensorflow.function(lambda images: both(images, training=False))

    def predict(paths):
        data = tensorflow.data.Dataset.from_tensor_slices(paths)
        data = data.map(decode, num_parallel_calls=tensorflow.data.AUTOTUNE).batch(batch)
        logits, embeddings = [], []
        for images in data.prefetch(tensorflow.data.AUTOTUNE):
            features, scores = infer(keras.applications.resnet50.preprocess_input(images))
            embeddings.append(features.numpy())
            logits.append(numpy.log(scores.numpy() + 1e-12))
        return numpy.concatenate(logits), numpy.concatenate(embeddings)

    return predict


if __name__ == "__main__":
    main(configurations, versions, open_model)
