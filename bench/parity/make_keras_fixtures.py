"""Writes Keras files into test/fixtures/weights: tiny ResNets with the layer names of keras.applications and of Keras's first
ResNet-50, as Keras 2 writes them, and HDF5 files that lead elsewhere. Run as `python bench/parity/make_keras_fixtures.py` where
tensorflow, tf_keras (which is Keras 2) and h5py are installed; it adds to the logits.json of make_fixtures.py. Gzipped, since
three quarters of such a file are zeros."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy
import tf_keras
from tf_keras import layers

OUT = Path(__file__).parents[2] / "test/fixtures/weights"
CAFFE_MEAN = numpy.array([103.939, 116.779, 123.68])


def tiny(names, epsilon):
    """The graph of keras.applications' ResNet v1 with stages of 2 and 1 bottlenecks of 2 and 3 channels, a stem of 4, 5 classes."""

    def conv(x, place, filters, size, **options):
        x = layers.Conv2D(filters, size, name=names(place)[0], **options)(x)
        return layers.BatchNormalization(epsilon=epsilon, name=names(place)[1])(x)

    def block(x, stage, number, filters, stride):
        shortcut = x
        if number == 1:
            shortcut = conv(x, (stage, number, 0), 4 * filters, 1, strides=stride)
        x = layers.ReLU()(conv(x, (stage, number, 1), filters, 1, strides=stride))
        x = layers.ReLU()(conv(x, (stage, number, 2), filters, 3, padding="same"))
        return layers.ReLU()(layers.Add()([shortcut, conv(x, (stage, number, 3), 4 * filters, 1)]))

    images = layers.Input((224, 224, 3))
    x = layers.ReLU()(conv(layers.ZeroPadding2D(3)(images), None, 4, 7, strides=2))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for stage, number, filters, stride in [(2, 1, 2, 1), (2, 2, 2, 1), (3, 1, 3, 2)]:
        x = block(x, stage, number, filters, stride)
    x = layers.GlobalAveragePooling2D()(x)
    model = tf_keras.Model(images, layers.Dense(5, activation="softmax", name=names("top"))(x))
    random = numpy.random.default_rng(5)
    for weight in model.weights:
        low, high = (0.5, 1.5) if "variance" in weight.name or "gamma" in weight.name else (-0.5, 0.5)
        weight.assign(random.uniform(low, high, weight.shape))
    return model


def applications(place):
    if place == "top":
        return "predictions"
    if place is None:
        return "conv1_conv", "conv1_bn"
    stage, block, number = place
    return f"conv{stage}_block{block}_{number}_conv", f"conv{stage}_block{block}_{number}_bn"


def first(place):
    if place == "top":
        return "fc1000"
    if place is None:
        return "conv1", "bn_conv1"
    stage, block, number = place
    branch = f"{stage}{'ab'[block - 1]}_branch{['1', '2a', '2b', '2c'][number]}"
    return f"res{branch}", f"bn{branch}"


def test_image():
    """[1, 224, 224, 3] of 0 to 255, BGR, less the mean: what `preprocess_input` makes of the image of make_fixtures.py."""
    y, x, c = numpy.meshgrid(numpy.arange(224), numpy.arange(224), numpy.arange(3), indexing="ij")
    image = ((x * 7 + y * 13 + c * 29 + x * y // 50) % 256).astype("float32")
    return (image[..., ::-1] - CAFFE_MEAN)[None].astype("float32")


def logits_of(model):
    """Before the softmax."""
    pooled = tf_keras.Model(model.inputs, model.layers[-1].input)(test_image()).numpy()
    kernel, bias = model.layers[-1].get_weights()
    return (pooled @ kernel + bias)[0].tolist()


def write(name, save):
    with TemporaryDirectory() as folder:
        save(f"{folder}/x.h5")
        (OUT / f"{name}.gz").write_bytes(gzip.compress(Path(f"{folder}/x.h5").read_bytes(), 9, mtime=0))


def write_hostile(name, fill):
    def save(path):
        with h5py.File(path, "w", libver="latest") as file:
            fill(file.create_group("conv1_conv/conv1_conv"))

    write(name, save)


def fill_virtual(group):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/srv/other.h5", "secret", shape=(4,))
    group.create_virtual_dataset("kernel:0", layout)


def main():
    keras_2, keras_first = tiny(applications, 1.001e-5), tiny(first, 1e-3)
    keras_first.compile("adam", "categorical_crossentropy")
    keras_first.optimizer.build(keras_first.trainable_variables)
    write("keras-applications.h5", keras_2.save_weights)
    write("keras-whole-model.h5", lambda path: keras_first.save(path))
    expected = json.loads((OUT / "logits.json").read_text())
    expected |= {"kerasApplications": logits_of(keras_2), "kerasWholeModel": logits_of(keras_first)}
    (OUT / "logits.json").write_text(json.dumps(expected, indent=2) + "\n")
    external = [("/srv/secret.bin", 0, 16)]
    write_hostile("external-storage.h5", lambda g: g.create_dataset("kernel:0", (4,), "f4", external=external))
    empty = [("/dev/null", 0, 16)]
    write_hostile("external-device.h5", lambda g: g.create_dataset("kernel:0", (4,), "f4", external=empty))
    write_hostile("virtual.h5", fill_virtual)
    write_hostile("huge.h5", lambda g: g.create_dataset("kernel:0", (1 << 40,), "f4"))


main()
