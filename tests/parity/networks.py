"""The networks in PyTorch: 16 as torchvision and timm have them, 5 written here from their publications."""

import timm
import torch
import torchvision.models as tv
from torch import nn


def alexnet():
    """Krizhevsky et al. (2012) as BVLC's reference model: two towers as groups, ReLU before LRN."""

    def lrn():
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    features = nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000)
    )
    return Flattened(features, classifier)


class Flattened(nn.Module):
    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def bn_alexnet():
    """soumith's alexnetowtbn: torchvision's alexnet, a batch norm before each ReLU."""
    layers = []
    table = [(3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1)]
    for i, (inputs, outputs, kernel, stride, padding) in enumerate(table):
        layers += [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU()]
        if i in (0, 1, 4):
            layers.append(nn.MaxPool2d(3, 2))
    classifier = nn.Sequential(
        nn.Dropout(), nn.Linear(9216, 4096), nn.BatchNorm1d(4096, eps=1e-3), nn.ReLU(),
        nn.Dropout(), nn.Linear(4096, 4096), nn.BatchNorm1d(4096, eps=1e-3), nn.ReLU(),
        nn.Linear(4096, 1000),
    )  # fmt: skip
    return Flattened(nn.Sequential(*layers), classifier)


class BnNin(nn.Module):
    """szagoruyko's ninbn: Network in Network with batch norm."""

    def __init__(self):
        super().__init__()
        layers = []

        def unit(inputs, outputs, kernel, stride, padding):
            conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)
            layers.extend([conv, nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU()])

        inputs = 3
        for outputs, kernel, stride, padding in ((96, 11, 4, 5), (256, 5, 1, 2), (384, 3, 1, 1), (1024, 3, 1, 1)):
            if inputs != 3:
                layers.append(nn.MaxPool2d(3, 2, padding=1))
            unit(inputs, outputs, kernel, stride, padding)
            unit(outputs, outputs, 1, 1, 0)
            unit(outputs, outputs, 1, 1, 0)
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.pool = nn.AvgPool2d(7)
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))


class Bottleneck(nn.Module):
    """ENet's: 1×1 (2×2 of stride 2 where it halves), 3×3, 1×1; the other branch is padded with channels of zeros."""

    def __init__(self, inputs, outputs, internal, down=False, dilation=1):
        super().__init__()
        reach = 2 if down else 1
        self.conv1 = nn.Conv2d(inputs, internal, reach, stride=reach, bias=False)
        self.bn1 = nn.BatchNorm2d(internal, eps=1e-3)
        self.prelu1 = nn.PReLU(internal)
        self.conv2 = nn.Conv2d(internal, internal, 3, padding=dilation, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(internal, eps=1e-3)
        self.prelu2 = nn.PReLU(internal)
        self.conv3 = nn.Conv2d(internal, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=1e-3)
        self.prelu_out = nn.PReLU(outputs)
        self.pool = nn.MaxPool2d(2, 2) if down else nn.Identity()

    def forward(self, x):
        y = self.prelu1(self.bn1(self.conv1(x)))
        y = self.prelu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        x = self.pool(x)
        zeros = x.new_zeros(x.shape[0], y.shape[1] - x.shape[1], *x.shape[2:])
        return self.prelu_out(y + torch.cat([x, zeros], 1))


class Enet(nn.Module):
    """The classifier "ENet V12" of Culurciello's Training ENet on ImageNet."""

    def __init__(self):
        super().__init__()
        self.initial_conv = nn.Conv2d(3, 13, 3, stride=2, padding=1)
        self.initial_pool = nn.MaxPool2d(2, 2)
        self.initial_bn = nn.BatchNorm2d(16, eps=1e-3)
        self.initial_prelu = nn.PReLU(16)
        self.blocks = nn.Sequential(
            Bottleneck(16, 64, 64, down=True), Bottleneck(64, 128, 32), Bottleneck(128, 128, 32),
            Bottleneck(128, 256, 64, down=True), Bottleneck(256, 256, 64), Bottleneck(256, 256, 64, dilation=2),
            Bottleneck(256, 512, 128, down=True), Bottleneck(512, 512, 128), Bottleneck(512, 512, 128, dilation=4),
            Bottleneck(512, 1024, 256, down=True), Bottleneck(1024, 1024, 256), Bottleneck(1024, 1024, 256, dilation=8),
        )  # fmt: skip
        self.pool = nn.AvgPool2d(7)
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x):
        x = torch.cat([self.initial_conv(x), self.initial_pool(x)], 1)
        x = self.blocks(self.initial_prelu(self.initial_bn(x)))
        return self.fc(self.pool(x).flatten(1))


class Inception(nn.Module):
    """A block of GoogLeNet without batch norm."""

    def __init__(self, inputs, one, three_reduce, three, five_reduce, five, pool):
        super().__init__()
        self.branch1 = nn.Sequential(nn.Conv2d(inputs, one, 1), nn.ReLU())
        self.branch2 = nn.Sequential(
            nn.Conv2d(inputs, three_reduce, 1), nn.ReLU(), nn.Conv2d(three_reduce, three, 3, padding=1), nn.ReLU()
        )
        self.branch3 = nn.Sequential(
            nn.Conv2d(inputs, five_reduce, 1), nn.ReLU(), nn.Conv2d(five_reduce, five, 5, padding=2), nn.ReLU()
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), nn.Conv2d(inputs, pool, 1), nn.ReLU())

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Googlenet(nn.Module):
    """Szegedy et al. (2014) as BVLC's deploy model: LRN, true 5×5, max pools that round up."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.conv2 = nn.Conv2d(64, 64, 1)
        self.conv3 = nn.Conv2d(64, 192, 3, padding=1)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.fc = nn.Linear(1024, 1000)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.lrn = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    def forward(self, x):
        x = self.lrn(self.pool(self.conv1(x).relu()))
        x = self.conv3(self.conv2(x).relu()).relu()
        x = self.pool(self.lrn(x))
        x = self.pool(self.inception3b(self.inception3a(x)))
        x = self.inception4c(self.inception4b(self.inception4a(x)))
        x = self.pool(self.inception4e(self.inception4d(x)))
        x = self.inception5b(self.inception5a(x))
        return self.fc(x.mean((2, 3)))


NETWORKS = {
    "alexnet": (227, alexnet),
    "alexnet-owt": (224, tv.alexnet),
    "bn-alexnet": (224, bn_alexnet),
    "bn-nin": (224, BnNin),
    "enet": (224, Enet),
    "googlenet": (224, Googlenet),
    "googlenet-bn": (224, lambda: tv.googlenet(aux_logits=False, transform_input=False, init_weights=False)),
    "vgg16": (224, tv.vgg16),
    "vgg19": (224, tv.vgg19),
    "resnet18": (224, tv.resnet18),
    "resnet34": (224, tv.resnet34),
    "resnet50": (224, tv.resnet50),
    "resnet101": (224, tv.resnet101),
    "resnet152": (224, tv.resnet152),
    "inception-v3": (299, lambda: tv.inception_v3(aux_logits=False, transform_input=False, init_weights=False)),
    "inception-v4": (299, lambda: timm.create_model("inception_v4", pretrained=False)),
    "squeezenet1.1": (224, tv.squeezenet1_1),
    "mobilenet-v1": (224, lambda: timm.create_model("mobilenetv1_100", pretrained=False)),
    "mobilenet-v2": (224, tv.mobilenet_v2),
    "densenet121": (224, tv.densenet121),
    "efficientnet-b0": (224, tv.efficientnet_b0),
}
