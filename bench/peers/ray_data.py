"""Ray Data: decoding as a map over tasks, PyTorch in one actor."""

import os

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import logging

import numpy
import PIL.Image
import ray
import torch
import torchvision
from peer import main

versions = {"ray": ray.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__}


def configurations(threads):
    return [{"batch": batch} for batch in (8, 32)]


def decode(row):
    transform = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    with PIL.Image.open(row["path"]) as image:
        return {"index": row["index"], "pixels": transform(image.convert("RGB")).numpy()}


class Network:
    def __init__(self, directory, threads):
        torch.set_num_threads(threads)
        network = torchvision.models.resnet50()
        network.load_state_dict(torch.load(f"{directory}/resnet50.pth", weights_only=True))
        network = network.eval().to(memory_format=torch.channels_last)
        self.body = torch.nn.Sequential(*list(network.children())[:-1], torch.nn.Flatten()).eval()
        self.fc = network.fc

    def __call__(self, rows):
        images = torch.from_numpy(rows["pixels"]).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            features = self.body(images)
            return {"index": rows["index"], "logits": self.fc(features).numpy(), "embedding": features.numpy()}


def open_model(args, batch):
    if not ray.is_initialized():
        # One logical CPU more than there are, so that the actor and the decoders may be placed at once.
        ray.init(num_cpus=args.threads + 1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False

    def predict(paths):
        rows = [{"index": index, "path": path} for index, path in enumerate(paths)]
        data = ray.data.from_items(rows).map(decode)
        done = data.map_batches(
            Network,
            fn_constructor_args=(args.model, args.threads),
            batch_size=batch,
            compute=ray.data.ActorPoolStrategy(size=1),
        ).take_all()
        done.sort(key=lambda row: row["index"])
        return numpy.stack([row["logits"] for row in done]), numpy.stack([row["embedding"] for row in done])

    return predict


if __name__ == "__main__":
    main(configurations, versions, open_model)
