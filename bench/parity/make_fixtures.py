"""Writes test/fixtures/weights: small files as real torch.save, safetensors and transformers write them, and the logits that
PyTorch gives for them. Run as `python bench/parity/make_fixtures.py` where torch, torchvision, transformers and safetensors
are installed; the tests read what it wrote and need none of them."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from tiny_networks import tiny_basic_hugging_face, tiny_basic_torchvision, tiny_hugging_face, tiny_torchvision

OUT = Path(__file__).parents[2] / "test/fixtures/weights"
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def test_image():
    """[1, 3, 224, 224] of 0 to 255 by a formula that the test repeats."""
    y, x, c = torch.meshgrid(torch.arange(224), torch.arange(224), torch.arange(3), indexing="ij")
    return ((x * 7 + y * 13 + c * 29 + x * y // 50) % 256).permute(2, 0, 1).unsqueeze(0).float()


def logits_of(model):
    with torch.no_grad():
        output = model((test_image() / 255 - MEAN) / STD)
    return (output if isinstance(output, torch.Tensor) else output.logits)[0].tolist()


def cast(state, dtype):
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}


def rounded(model, dtype):
    """The model with its numbers rounded to `dtype`, as float32 again: what a reader of such a file has to give."""
    model.load_state_dict(cast(cast(model.state_dict(), dtype), torch.float32))
    return model


def save_safetensors(model, name):
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, OUT / name)


def save_hugging_face(model, name):
    """As transformers writes it."""
    model.save_pretrained(OUT / "hugging-face")
    (OUT / "hugging-face/model.safetensors").rename(OUT / name)
    shutil.rmtree(OUT / "hugging-face")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    vision, hugging = tiny_torchvision(), tiny_hugging_face()
    torch.save(vision.state_dict(), OUT / "state-dict.pth")
    torch.save({"epoch": 3, "lr": 0.1, "best": None, "state_dict": vision.state_dict()}, OUT / "checkpoint.pth")
    torch.save({f"module.{k}": v for k, v in vision.state_dict().items()}, OUT / "data-parallel.pth")
    torch.save(dict(vision.named_parameters()) | dict(vision.named_buffers()), OUT / "parameters.pth")
    torch.save(vision.to(memory_format=torch.channels_last).state_dict(), OUT / "channels-last.pth")
    torch.save(vision, OUT / "whole-module.pth")
    torch.save(vision.state_dict(), OUT / "before-1.6.pth", _use_new_zipfile_serialization=False)
    save_safetensors(vision, "torchvision.safetensors")
    save_hugging_face(hugging, "hugging-face.safetensors")
    expected = {"torchvision": logits_of(vision), "huggingFace": logits_of(hugging)}
    torch.save(cast(vision.state_dict(), torch.float16), OUT / "half.pth")
    save_file({k: v.contiguous() for k, v in cast(vision.state_dict(), torch.bfloat16).items()}, OUT / "bfloat16.safetensors")
    expected["half"] = logits_of(rounded(tiny_torchvision(), torch.float16))
    expected["bfloat16"] = logits_of(rounded(tiny_torchvision(), torch.bfloat16))
    basic, hugging_basic = tiny_basic_torchvision(), tiny_basic_hugging_face()
    save_safetensors(basic, "basic.safetensors")
    save_hugging_face(hugging_basic, "hugging-face-basic.safetensors")
    expected |= {"basic": logits_of(basic), "huggingFaceBasic": logits_of(hugging_basic)}
    (OUT / "logits.json").write_text(json.dumps(expected, indent=2) + "\n")


main()
