"""ResNets of a few thousand numbers, made of torchvision's and transformers' own parts, so that files which real
libraries wrote are small enough to be committed. Used by make_fixtures.py."""

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from transformers import ResNetConfig, ResNetForImageClassification

STEM_WIDTH = 4
CLASSES = 5


class TinyResNet(ResNet):
    """torchvision's ResNet of two stages, `layer1` and `layer2`; its two other stages are empty."""

    def __init__(self, stages, width):
        nn.Module.__init__(self)
        self.conv1 = nn.Conv2d(3, STEM_WIDTH, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_WIDTH)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2 = stages()
        self.layer3 = nn.Sequential()
        self.layer4 = nn.Sequential()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, CLASSES)


def shortcut(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


def tiny_torchvision():
    """Bottleneck blocks: 2 of 2 channels, and 1 of 3."""

    def stages():
        first = Bottleneck(4, 2, downsample=shortcut(4, 8, 1))
        return nn.Sequential(first, Bottleneck(8, 2)), nn.Sequential(Bottleneck(8, 3, 2, shortcut(8, 12, 2)))

    torch.manual_seed(1)
    return randomise_norms(TinyResNet(stages, 12))


def tiny_basic_torchvision():
    """Basic blocks: 2 of 4 channels, without a convolution on the shortcut, and 1 of 6."""

    def stages():
        second = BasicBlock(4, 6, 2, shortcut(4, 6, 2))
        return nn.Sequential(BasicBlock(4, 4), BasicBlock(4, 4)), nn.Sequential(second)

    torch.manual_seed(3)
    return randomise_norms(TinyResNet(stages, 6))


def tiny_hugging_face(seed=2, layer_type="bottleneck", hidden_sizes=(8, 12)):
    torch.manual_seed(seed)
    config = ResNetConfig(
        embedding_size=STEM_WIDTH,
        hidden_sizes=list(hidden_sizes),
        depths=[2, 1],
        layer_type=layer_type,
        num_labels=CLASSES,
    )
    return randomise_norms(ResNetForImageClassification(config))


def tiny_basic_hugging_face():
    return tiny_hugging_face(4, "basic", (4, 6))


def randomise_norms(model):
    """Batch norms that do something, and running statistics as training would leave them, so that nothing cancels out."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(100)
    return model.eval()
