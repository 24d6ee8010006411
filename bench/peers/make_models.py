"""Writes one ResNet-50 of torchvision as every peer wants it: `resnet50.pth`, and for transformers.js a directory with ONNX.

The weights are drawn, and the statistics of batch norm are those of noise that went through, so activations stay finite; speed
does not depend on them. Usage: make_models.py DIR
"""

import json
import os
import sys

import torch
import torchvision

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(1)
model = torchvision.models.resnet50()
model.train()
with torch.no_grad():
    # With a momentum of null the statistics are the mean of all passes, not one that begins at zero and one.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    for _ in range(5):
        model(torch.randn(8, 3, 224, 224))
model.eval()
torch.save(model.state_dict(), os.path.join(out, "resnet50.pth"))

onnx = os.path.join(out, "transformers", "onnx")
os.makedirs(onnx, exist_ok=True)


class WithFeatures(torch.nn.Module):
    """Logits and embeddings in one pass, as every peer gives them."""

    def __init__(self, network):
        super().__init__()
        self.body = torch.nn.Sequential(*list(network.children())[:-1], torch.nn.Flatten())
        self.fc = network.fc

    def forward(self, pixel_values):
        features = self.body(pixel_values)
        return self.fc(features), features


torch.onnx.export(
    WithFeatures(model).eval(),
    (torch.randn(2, 3, 224, 224),),
    os.path.join(onnx, "model.onnx"),
    input_names=["pixel_values"],
    output_names=["logits", "image_embeds"],
    dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}, "image_embeds": {0: "batch"}},
    dynamo=False,
)
with open(os.path.join(out, "transformers", "config.json"), "w", encoding="utf8") as file:
    labels = {str(i): f"class_{i}" for i in range(1000)}
    json.dump({"model_type": "resnet", "architectures": ["ResNetForImageClassification"], "id2label": labels}, file)
with open(os.path.join(out, "transformers", "preprocessor_config.json"), "w", encoding="utf8") as file:
    settings = {
        "image_processor_type": "ConvNextImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 224},
        "crop_pct": 0.875,
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    json.dump(settings, file)
