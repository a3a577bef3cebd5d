"""PyTorch's side of the benchmark. A line "train 4" or "evaluate 4" in, a line of milliseconds out."""
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision.models as models

network, batch, size, threads, memory_format = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
clock = time.process_time if sys.argv[6] == "cpu" else time.perf_counter
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


def cifar_resnet(depth):
    layers, width = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage in range(3):
        for i in range((depth - 2) // 6):
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


def mobilenet():
    network = models.mobilenet_v2(num_classes=10)
    network.classifier[0].p = 0.0
    return network


start = time.perf_counter()
model = {
    "resnet20": lambda: cifar_resnet(20),
    "resnet56": lambda: cifar_resnet(56),
    "vgg16-bn": vgg16,
    "mobilenet-v2": mobilenet,
    "resnet50": lambda: models.resnet50(num_classes=10),
}[network]()
x, y = torch.randn(batch, 3, size, size), torch.randint(0, 10, (batch,))
if memory_format == "channels_last":
    model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def train():
    model.train()
    optimiser.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimiser.step()


def evaluate():
    model.eval()
    with torch.no_grad():
        model(x)


train()
first = (time.perf_counter() - start) * 1e3
print("%s %.0f" % (torch.__version__, first), flush=True)
for line in sys.stdin:
    what, count = line.split()
    times = []
    for _ in range(int(count)):
        start = clock()
        {"train": train, "evaluate": evaluate}[what]()
        times.append((clock() - start) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(" ".join("%.2f" % t for t in times), "%.0f" % peak, flush=True)
