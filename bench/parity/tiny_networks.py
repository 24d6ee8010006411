"""Bottleneck ResNets of a few thousand numbers, made of torchvision's and transformers' own parts, so that files which real
libraries wrote are small enough to be committed. Used by make_fixtures.py."""

import torch
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import ResNetConfig, ResNetForImageClassification

STEM_WIDTH = 4
CLASSES = 5


class TinyResNet(ResNet):
    """torchvision's ResNet with stages of 2 and 1 blocks and 2 and 3 channels; its two other stages are empty."""

    def __init__(self):
        nn.Module.__init__(self)
        self.conv1 = nn.Conv2d(3, STEM_WIDTH, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_WIDTH)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Bottleneck(4, 2, downsample=shortcut(4, 8, 1)), Bottleneck(8, 2))
        self.layer2 = nn.Sequential(Bottleneck(8, 3, stride=2, downsample=shortcut(8, 12, 2)))
        self.layer3 = nn.Sequential()
        self.layer4 = nn.Sequential()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(12, CLASSES)


def shortcut(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


def tiny_torchvision():
    torch.manual_seed(1)
    return randomise_norms(TinyResNet())


def tiny_hugging_face():
    torch.manual_seed(2)
    config = ResNetConfig(
        embedding_size=STEM_WIDTH, hidden_sizes=[8, 12], depths=[2, 1], layer_type="bottleneck", num_labels=CLASSES
    )
    return randomise_norms(ResNetForImageClassification(config))


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
