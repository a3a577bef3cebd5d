"""PyTorch's side of the training-step benchmark: one line "steps" in, one line of milliseconds out."""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

network, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet20():
    layers, width = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage in range(3):
        for i in range(3):
            layers.append(Block(width, 16 << stage, 2 if stage and i == 0 else 1))
            width = 16 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def vgg16():
    layers, width = [], 3
    for v in [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]:
        if v == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(width, v, 3, 1, 1), nn.BatchNorm2d(v), nn.ReLU()]
            width = v
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


model = {"resnet20": resnet20, "vgg16-bn": vgg16}[network]()
x, y = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        optimiser.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimiser.step()
        times.append((time.perf_counter() - start) * 1e3)
    print(" ".join("%.2f" % t for t in times), flush=True)
