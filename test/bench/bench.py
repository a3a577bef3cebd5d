"""PyTorch's side of the benchmark. A line "train 4" or "evaluate 4" in, a line of milliseconds out."""
import json
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision.models as models

spec = json.loads(sys.argv[1])
network, batch, size, threads = spec["network"], spec["batch"], spec["input"], spec["threads"]
clock = time.process_time if spec["cpu"] else time.perf_counter
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


class Recurrent(nn.Module):
    """LSTM over [N, T, F] and a linear layer on its last state."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(size[1], spec["hidden"], batch_first=True), nn.Linear(spec["hidden"], 10)

    def forward(self, x):
        return self.head(self.lstm(x)[1][0][-1])


class BlockTermRecurrent(nn.Module):
    """LSTM whose input projection is a block-term form, contracted pairwise in the order of our own network."""

    def __init__(self):
        super().__init__()
        self.program, hidden = spec["einsum"], spec["hidden"]
        self.weights = nn.ParameterDict({k: nn.Parameter(0.3 * torch.randn(d)) for k, d in self.program["dims"].items()})
        self.recurrent, self.bias = nn.Parameter(0.06 * torch.randn(4 * hidden, hidden)), nn.Parameter(torch.zeros(4 * hidden))
        self.head = nn.Linear(hidden, 10)

    def forward(self, x):
        values = {"x": x.reshape(-1, *self.program["modes"]), **self.weights}
        for step in self.program["steps"]:
            values[step["result"]] = torch.einsum(step["equation"], values[step["left"]], values[step["right"]])
        projected = values[self.program["steps"][-1]["result"]].reshape(x.shape[0], x.shape[1], -1) + self.bias
        h = c = x.new_zeros(x.shape[0], spec["hidden"])
        for t in range(x.shape[1]):
            i, f, g, o = torch.addmm(projected[:, t], h, self.recurrent.t()).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.head(h)


def vit():
    from torchvision.models.vision_transformer import VisionTransformer

    patch = min(16, 1 << ((size[1] // 7).bit_length() - 1))
    return VisionTransformer(image_size=size[1], patch_size=patch, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=10)


start = clock()
model = {
    "resnet20": lambda: cifar_resnet(20),
    "resnet56": lambda: cifar_resnet(56),
    "vgg16-bn": vgg16,
    "mobilenet-v2": mobilenet,
    "resnet50": lambda: models.resnet50(num_classes=10),
    "lstm": Recurrent,
    "bt-lstm": BlockTermRecurrent,
    "vit-tiny": vit,
}[network]()
x, y = torch.randn(batch, *size), torch.randint(0, 10, (batch,))
if spec["memoryFormat"] == "channels_last":
    model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)


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
first = (clock() - start) * 1e3
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
