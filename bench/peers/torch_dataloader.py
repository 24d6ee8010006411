"""PyTorch and torchvision: an ImageFolder-like dataset behind a DataLoader, inference in channels-last memory."""

import PIL
import PIL.Image
import torch
import torchvision
from peer import main

versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__}


def configurations(threads):
    """Worker processes that decode, and the batch; the memory layout that is the faster on CPUs, and the usual one."""
    return [
        {"workers": workers, "batch": batch, "layout": layout}
        for workers in sorted({0, 1, threads})
        for batch in (8, 32)
        for layout in ("channels_last", "contiguous_format")
    ]


class Photos(torch.utils.data.Dataset):
    def __init__(self, paths, transform):
        self.paths = paths
        self.transform = transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with PIL.Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def open_model(args, workers, batch, layout):
    torch.set_num_threads(args.threads)
    memory_format = getattr(torch, layout)
    network = torchvision.models.resnet50()
    network.load_state_dict(torch.load(f"{args.model}/resnet50.pth", weights_only=True))
    network = network.eval().to(memory_format=memory_format)
    body = torch.nn.Sequential(*list(network.children())[:-1], torch.nn.Flatten())
    body, fc = body.eval(), network.fc
    transform = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()

    def predict(paths):
        loader = torch.utils.data.DataLoader(Photos(paths, transform), batch_size=batch, num_workers=workers)
        logits, embeddings = [], []
        with torch.inference_mode():
            for images in loader:
                features = body(images.to(memory_format=memory_format))
                embeddings.append(features)
                logits.append(fc(features))
        return torch.cat(logits).numpy(), torch.cat(embeddings).numpy()

    return predict


if __name__ == "__main__":
    main(configurations, versions, open_model)
