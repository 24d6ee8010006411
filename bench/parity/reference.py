"""What PyTorch and torchvision say, for parity.ts to compare with.

    python bench/parity/reference.py OUT PHOTO...

OUT gets torchvision's ResNet-18, 34 and 50 with seeded random weights, as torch.save and as safetensors wrote them, and the
ResNet-50 as both of torch.onnx's exporters (which need onnx and onnxscript) wrote it; the square that torchvision's transforms
cut from each photo; and the logits and embeddings that PyTorch gives for the first 20 squares. Batch norm's statistics are
those of the photos, as training would leave them, so that the numbers stay finite and none is trivial.
"""

import json
import sys
from pathlib import Path

import numpy
import torch
import torchvision
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import v2

COMPARED = 20
ARCHITECTURES = ["resnet18", "resnet34", "resnet50"]
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
cut = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])


def square(photo):
    """[224, 224, 3] uint8, RGB, of the photo as displayed."""
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    return numpy.asarray(cut(image))


def random_resnet(architecture, images):
    torch.manual_seed(50)
    model = torchvision.models.get_model(architecture, weights=None)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        norm.momentum = None
    with torch.no_grad():
        model.train()(images)
    return model.eval()


def outputs(model, images):
    features = []
    hook = model.avgpool.register_forward_hook(lambda _module, _input, output: features.append(output.flatten(1)))
    with torch.no_grad():
        logits = model(images)
    hook.remove()
    return logits, features[0]


def write_reference(architecture, images, out):
    model = random_resnet(architecture, images)
    logits, embeddings = outputs(model, images)
    state = model.state_dict()
    torch.save(state, out / f"{architecture}.pth")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, out / f"{architecture}.safetensors")
    logits.numpy().tofile(out / f"{architecture}-logits.f32")
    embeddings.numpy().tofile(out / f"{architecture}-embeddings.f32")
    if architecture == "resnet50":
        export(model, out)


def export(model, out):
    example, names = (torch.zeros(2, 3, 224, 224),), {"input_names": ["input"], "output_names": ["output"]}
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    torch.onnx.export(model, example, out / "torchscript.onnx", dynamo=False, opset_version=13, dynamic_axes=axes, **names)
    shapes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(model, example, out / "dynamo.onnx", dynamo=True, external_data=True, dynamic_shapes=shapes, **names)


def main(out, photos):
    out.mkdir(parents=True, exist_ok=True)
    squares = numpy.stack([square(photo) for photo in photos])
    pixels = torch.from_numpy(squares[:COMPARED]).permute(0, 3, 1, 2).float()
    images = (pixels / 255 - MEAN) / STD
    for architecture in ARCHITECTURES:
        write_reference(architecture, images, out)
    squares.tofile(out / "squares.u8")
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": Image.__version__}
    reference = {
        "photos": [str(photo.resolve()) for photo in photos],
        "compared": len(pixels),
        "cases": [
            *({"weights": f"{a}.{format}", "outputs": a} for a in ARCHITECTURES for format in ["pth", "safetensors"]),
            *({"weights": f"{exporter}.onnx", "outputs": "resnet50"} for exporter in ["torchscript", "dynamo"]),
        ],
        "versions": versions,
    }
    (out / "reference.json").write_text(json.dumps(reference, indent=2) + "\n")


main(Path(sys.argv[1]), [Path(photo) for photo in sys.argv[2:]])
