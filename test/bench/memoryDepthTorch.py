"""Training steps of a CIFAR ResNet (6n + 2 layers, widths 16, 32, 64, batch 32) in PyTorch: python3 memoryDepthTorch.py MODE N STEPS THREADS"""
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.checkpoint as checkpoint

mode, n, steps, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.extra = stride, filters - channels

    def forward(self, x):
        y = torch.relu_(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return torch.relu_(y + x)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        channels, blocks = 16, []
        for stage in range(3):
            for i in range(n):
                blocks.append(Block(channels, 16 << stage, 2 if stage > 0 and i == 0 else 1))
                channels = 16 << stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        x = self.stem(x)
        if mode == "eager":
            x = self.blocks(x)
        elif mode == "per-block":
            for block in self.blocks:
                x = checkpoint.checkpoint(block, x)
        else:  # about sqrt(depth) segments, the choice of Chen et al. 2016
            x = checkpoint.checkpoint_sequential(self.blocks, max(1, round((3 * n) ** 0.5)), x)
        return self.head(x)


torch.manual_seed(1)
network = Network()
optimiser = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
x, y = torch.randn(32, 3, 32, 32), torch.arange(32) % 10
for step in range(steps):
    start, cpu = time.time(), time.process_time()
    optimiser.zero_grad(set_to_none=True)
    loss = F.cross_entropy(network(x), y)
    loss.backward()
    optimiser.step()
    print("step", time.time() - start, time.process_time() - cpu, loss.item(), flush=True)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)
