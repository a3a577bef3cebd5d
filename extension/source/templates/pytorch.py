import math
import string

import torch
from torch import nn
from torch.nn import functional as F


class BlockTermLinear(nn.Module):
    """x W + b, where W is a sum of Tucker blocks (Ye et al., CVPR 2018): core [N, R1..Rd], factors [N, Ik, Jk, Rk].

    `path` says which two tensors are multiplied next, as numpy.einsum_path does, of: x, core, factors.
    """

    def __init__(self, inputs, outputs, input_modes, output_modes, ranks, blocks, path, bias=True, gates=1):
        super().__init__()
        self.inputs, self.outputs, self.gates, self.path = inputs, outputs, gates, path
        self.input_modes = input_modes
        deviation = (2 / (inputs + outputs) / blocks / math.prod(ranks)) ** (0.5 / (len(ranks) + 1))
        self.core = nn.Parameter(torch.randn(blocks, *ranks) * deviation)
        for k, sizes in enumerate(zip(input_modes, output_modes, ranks), 1):
            self.register_parameter(f'factor{k}', nn.Parameter(torch.randn(blocks, *sizes) * deviation))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x):
        d = len(self.input_modes)
        letters = string.ascii_letters[2:]
        i, j, r = letters[:d], letters[d:2 * d], letters[2 * d:3 * d]
        rows = F.pad(x.reshape(-1, self.inputs), (0, math.prod(self.input_modes) - self.inputs))
        tensors = [('a' + i, rows.reshape(-1, *self.input_modes)), ('b' + r, self.core)]
        tensors += [('b' + i[k] + j[k] + r[k], getattr(self, f'factor{k + 1}')) for k in range(d)]
        for first, second in self.path:
            (left, p), (right, q) = tensors[first], tensors[second]
            tensors = [t for k, t in enumerate(tensors) if k not in (first, second)]
            needed = 'a' + j + ''.join(labels for labels, _ in tensors)
            kept = ''.join(c for c in dict.fromkeys(left + right) if c in needed)
            tensors.append((kept, torch.einsum(f'{left},{right}->{kept}', p, q)))
        labels, y = tensors[0]
        y = torch.einsum(f'{labels}->a{j}', y).reshape(len(rows), self.gates, -1)
        y = y[..., :self.outputs // self.gates].reshape(*x.shape[:-1], self.outputs)
        return y if self.bias is None else y + self.bias


class BlockTermConv2d(nn.Module):
    """A convolution as a sum of Tucker blocks: 1x1 to `ranks[0]` channels of each block, the window, 1x1 back."""

    def __init__(self, in_channels, out_channels, kernel_size, ranks, blocks, stride=1, padding=0, dilation=1, bias=True):
        super().__init__()
        window = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        narrow, wide = ranks
        self.blocks, self.stride, self.padding, self.dilation = blocks, stride, padding, dilation
        self.reduce = nn.Parameter(torch.empty(blocks * narrow, in_channels, 1, 1))
        self.core = nn.Parameter(torch.empty(blocks * wide, narrow, *window))
        self.expand = nn.Parameter(torch.empty(out_channels, blocks * wide, 1, 1))
        for weight in (self.reduce, self.core, self.expand):
            nn.init.kaiming_normal_(weight, nonlinearity='linear')
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x):
        x = F.conv2d(x, self.reduce)
        x = F.conv2d(x, self.core, None, self.stride, self.padding, self.dilation, self.blocks)
        return F.conv2d(x, self.expand, self.bias)


class BlockTermRecurrent(BlockTermLinear):
    """One recurrent layer whose input-to-hidden matrix is in block-term form; R and B and the order of gates are ONNX's."""

    gate_count = 1

    def __init__(self, input_size, hidden_size, input_modes, output_modes, ranks, blocks, path,
                 bias=True, batch_first=False, bidirectional=False):
        self.directions = 2 if bidirectional else 1
        wide = self.gate_count * hidden_size
        gates = self.gate_count * self.directions
        super().__init__(input_size, wide * self.directions, input_modes, output_modes, ranks, blocks, path, False, gates)
        self.hidden_size, self.batch_first = hidden_size, batch_first
        bound = hidden_size ** -0.5
        self.R = nn.Parameter(torch.empty(self.directions, wide, hidden_size).uniform_(-bound, bound))
        self.B = nn.Parameter(torch.zeros(self.directions, 2 * wide)) if bias else None

    def forward(self, x, state=None):
        x = x.transpose(0, 1) if self.batch_first else x
        projected = super().forward(x).chunk(self.directions, -1)
        outputs, last = [], []
        for d, inputs in enumerate(projected):
            hidden = self.start(x, state, d)
            bias = (0, 0) if self.B is None else self.B[d].chunk(2)
            steps = []
            for gates in (inputs if d == 0 else inputs.flip(0)):
                hidden = self.step(gates + bias[0], hidden, self.R[d].T, bias[1])
                steps.append(hidden[0])
            outputs.append(torch.stack(steps if d == 0 else steps[::-1]))
            last.append(hidden)
        y = torch.cat(outputs, -1)
        return y.transpose(0, 1) if self.batch_first else y, self.finish([torch.stack(s) for s in zip(*last)])

    def start(self, x, state, d):
        return (x.new_zeros(x.shape[1], self.hidden_size) if state is None else state[d],)

    def finish(self, state):
        return state[0]

    def step(self, gates, hidden, recurrent, bias):
        return (torch.tanh(gates + hidden[0] @ recurrent + bias),)


class BlockTermRNN(BlockTermRecurrent):
    """In place of nn.RNN with tanh."""


class BlockTermLSTM(BlockTermRecurrent):
    """In place of nn.LSTM; gates i, o, f, c."""

    gate_count = 4

    def start(self, x, state, d):
        if state is None:
            return super().start(x, None, d) * 2
        return state[0][d], state[1][d]

    def finish(self, state):
        return tuple(state)

    def step(self, gates, hidden, recurrent, bias):
        h, c = hidden
        i, o, f, g = (gates + h @ recurrent + bias).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class BlockTermGRU(BlockTermRecurrent):
    """In place of nn.GRU; gates z, r, h."""

    gate_count = 3

    def step(self, gates, hidden, recurrent, bias):
        h, = hidden
        z, r, n = gates.chunk(3, -1)
        own_z, own_r, own_n = (h @ recurrent + bias).chunk(3, -1)
        z = (z + own_z).sigmoid()
        n = (n + (r + own_r).sigmoid() * own_n).tanh()
        return ((1 - z) * n + z * h,)
