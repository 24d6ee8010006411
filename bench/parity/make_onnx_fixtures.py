"""Writes test/fixtures/onnx: small .onnx files as PyTorch's two exporters, tf2onnx and ONNX Runtime's quantiser write them, and
what PyTorch and ONNX Runtime say of one image. Run as `python bench/parity/make_onnx_fixtures.py` where torch, torchvision,
onnxscript, onnx and onnxruntime are installed; the tests read what it wrote and need none of them."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from torch import nn

from tiny_networks import CLASSES, tiny_torchvision

OUT = Path(__file__).parents[2] / "test/fixtures/onnx"
# Of pixels from 0 to 255, as labelmill has them: torchvision's, and Keras's for BGR.
MEAN, STD = np.float32([0.485, 0.456, 0.406]) * 255, np.float32([0.229, 0.224, 0.225]) * 255
KERAS_MEAN = np.float32([103.939, 116.779, 123.68])
rng = np.random.default_rng(7)


def test_image():
    """[1, 224, 224, 3] of 0 to 255 by a formula that the test repeats."""
    y, x, c = np.meshgrid(np.arange(224), np.arange(224), np.arange(3), indexing="ij")
    return ((x * 7 + y * 13 + c * 29 + x * y // 50) % 256).astype(np.uint8)[None]


def channels_first():
    return ((test_image() - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)


def keras_images():
    return (test_image()[..., ::-1] - KERAS_MEAN).astype(np.float32)


def torch_says(model):
    seen = []
    hook = model.fc.register_forward_hook(lambda _, given, output: seen.append((given[0][0], output[0])))
    with torch.no_grad():
        model(torch.from_numpy(channels_first()))
    hook.remove()
    embedding, logits = seen[0]
    return {"embedding": embedding.tolist(), "logits": logits.tolist()}


def onnx_says(path, names, images):
    """The values `names` of the model in `path`."""
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values = session.run(list(names), {session.get_inputs()[0].name: images})
    return dict(zip(("embedding", "logits"), (value[0].astype(float).tolist() for value in values)))


def export(model, name, **options):
    example = torch.zeros(options.pop("batch", 2), 3, 224, 224)
    torch.onnx.export(model.eval(), (example,), OUT / name, verbose=False, **options)


def export_torch(model):
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    names = {"input_names": ["input"], "output_names": ["output"]}
    export(model, "torchscript.onnx", dynamo=False, opset_version=13, dynamic_axes=axes, **names)
    export(model, "one-image.onnx", dynamo=False, opset_version=17, batch=1, **names)
    # Names that our own graph has, and a softmax at the end.
    taken = {"input_names": ["images"], "output_names": ["logits"], "dynamic_axes": {"images": {0: "N"}, "logits": {0: "N"}}}
    export(nn.Sequential(model, nn.Softmax(dim=1)), "softmax.onnx", dynamo=False, opset_version=12, **taken)
    batch = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "opset_version": 18}
    export(model, "dynamo.onnx", dynamo=True, external_data=False, **batch)
    exported = onnx.load(OUT / "dynamo.onnx")
    # Stack traces, nine tenths of the file.
    for part in (exported.graph, *exported.graph.node, *exported.graph.value_info):
        del part.metadata_props[:]
    onnx.save_model(exported, OUT / "dynamo.onnx")
    # The writer adds to a file that is there.
    (OUT / "external.onnx.data").unlink(missing_ok=True)
    onnx.save_model(
        exported,
        OUT / "external.onnx",
        save_as_external_data=True,
        location="external.onnx.data",
        size_threshold=0,
    )


def constant(name, *shape, scale=0.3):
    return numpy_helper.from_array((rng.standard_normal(shape) * scale).astype(np.float32), name)


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def save(name, nodes, ports, constants, *, opset, ir, constants_as_inputs=False):
    given, result = ports
    inputs = [given, *(value(c.name, c.data_type, c.dims) for c in constants if constants_as_inputs)]
    graph = helper.make_graph(nodes, "graph", inputs, [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    onnx.checker.check_model(model)
    onnx.save_model(model, OUT / name)


def make_keras():
    """A head, a body and the names of the nodes in between as tf2onnx gives a Keras model."""
    ports = (
        value("input_1", TensorProto.FLOAT, ["unk__1", 224, 224, 3]),
        value("dense", TensorProto.FLOAT, ["unk__2", CLASSES]),
    )
    nodes = [
        helper.make_node("Transpose", ["input_1"], ["resnet/conv1/Conv2D__6:0"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["resnet/conv1/Conv2D__6:0", "kernel", "bias"], ["resnet/conv1:0"], strides=[8, 8], pads=[3, 3, 3, 3]
        ),
        helper.make_node("Relu", ["resnet/conv1:0"], ["resnet/relu:0"]),
        helper.make_node("GlobalAveragePool", ["resnet/relu:0"], ["resnet/pool:0"]),
        helper.make_node("Squeeze", ["resnet/pool:0", "axes"], ["resnet/avg_pool/Mean:0"]),
        helper.make_node("MatMul", ["resnet/avg_pool/Mean:0", "dense/kernel"], ["resnet/dense/MatMul:0"]),
        helper.make_node("Add", ["resnet/dense/MatMul:0", "dense/bias"], ["resnet/dense/BiasAdd:0"]),
        helper.make_node("Softmax", ["resnet/dense/BiasAdd:0"], ["dense"], axis=-1),
    ]
    constants = [
        constant("kernel", 6, 3, 7, 7, scale=0.02),
        constant("bias", 6),
        numpy_helper.from_array(np.int64([2, 3]), "axes"),
        constant("dense/kernel", 6, CLASSES),
        constant("dense/bias", CLASSES),
    ]
    save("keras.onnx", nodes, ports, constants, opset=15, ir=8)


def make_bytes():
    """uint8 in, preprocessing inside, no free height, weights transposed on the way."""
    ports = (
        value("image", TensorProto.UINT8, ["N", "height", "width", 3]),
        value("scores", TensorProto.FLOAT, ["N", CLASSES]),
    )
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["conv"], strides=[16, 16]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalMaxPool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"], axis=1),
        helper.make_node("Transpose", ["weights"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["flat", "turned"], ["scores"]),
    ]
    scale = numpy_helper.from_array(np.float32([1 / 255]), "scale")
    save("bytes.onnx", nodes, ports, [scale, constant("kernel", 6, 3, 3, 3), constant("weights", CLASSES, 6)], opset=26, ir=13)


def make_oldest():
    """The first opset that is read; constants are inputs too, as the format of its time wants."""
    ports = (
        value("data", TensorProto.FLOAT, ["N", 3, 224, 224]),
        value("prob", TensorProto.FLOAT, ["N", CLASSES]),
    )
    nodes = [
        helper.make_node("Conv", ["data", "kernel"], ["conv"], strides=[16, 16]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Dropout", ["flat"], ["dropped"]),
        helper.make_node("Gemm", ["dropped", "weights", "bias"], ["gemm"], transB=1),
        helper.make_node("LogSoftmax", ["gemm"], ["prob"]),
    ]
    constants = [constant("kernel", 6, 3, 5, 5), constant("weights", CLASSES, 6), constant("bias", CLASSES)]
    save("oldest.onnx", nodes, ports, constants, opset=7, ir=3, constants_as_inputs=True)


class OneImage(CalibrationDataReader):
    def __init__(self, name):
        self.left = iter([{name: keras_images()}])

    def get_next(self):
        return next(self.left, None)


def make_quantized():
    quantize_static(
        OUT / "keras.onnx",
        OUT / "quantized.onnx",
        OneImage("input_1"),
        quant_format=QuantFormat.QDQ,
    )


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    model = tiny_torchvision()
    export_torch(model)
    make_keras()
    make_bytes()
    make_oldest()
    make_quantized()
    said = torch_says(model)
    expected = {
        name: said for name in ("torchscript", "one-image", "softmax", "dynamo", "external")
    }
    expected["keras"] = onnx_says(OUT / "keras.onnx", ("resnet/avg_pool/Mean:0", "resnet/dense/BiasAdd:0"), keras_images())
    expected["bytes"] = onnx_says(OUT / "bytes.onnx", ("flat", "scores"), test_image())
    expected["oldest"] = onnx_says(OUT / "oldest.onnx", ("dropped", "gemm"), channels_first())
    nodes = {node.op_type: node for node in onnx.load(OUT / "quantized.onnx").graph.node}
    ends = (nodes["MatMul"].input[0], nodes["Softmax"].input[0])
    expected["quantized"] = onnx_says(OUT / "quantized.onnx", ends, keras_images())
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
