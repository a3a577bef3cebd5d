"""Checks the way back to PyTorch for decomposed layers: export, decompose, write the source, load the weights, compare.

    python3 test/bench/blockTermRoundTrip.py          (after a build; needs torch, and onnx for its exporter)

Every network below is exported; its layers are decomposed by a plan; "Apply Plan to Source" writes the block-term classes and
constructors into its source; the edited class loads the safetensors of `apply --weights` with strict keys; its outputs are
compared with onnxruntime's on the decomposed file.
"""
import json, pathlib, subprocess, sys, tempfile
import numpy, torch
from torch import nn
from torch.nn import functional as F
from roundTrip import CLI, read_safetensors

ROOT = CLI.parents[1]
RUN = '''
const ort = require('onnxruntime-node');
const [file, dims] = process.argv.slice(1);
const x = new Float32Array(new Uint8Array(require('fs').readFileSync(0)).buffer);
ort.InferenceSession.create(file)
  .then((s) => s.run({ x: new ort.Tensor('float32', x, JSON.parse(dims)) }))
  .then((r) => console.log(JSON.stringify([...r.y.data])));
'''

HEADER = '''import torch
from torch import nn
from torch.nn import functional as F
'''

SOURCES = {
    'dense': ((8, 48), {'first': '4,3,4 4,4,4 4 2', 'second': '8,8 5,8 6 1', 'blocks.1': '7,6 6,7 5 2'}, HEADER + '''

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(48, 64)
        self.second = nn.Linear(64, 40, bias=False)
        self.blocks = nn.ModuleList([nn.Linear(40, 40) for _ in range(3)])
        self.out = nn.Linear(40, 10)

    def forward(self, x):
        x = F.relu(self.second(F.relu(self.first(x))))
        for block in self.blocks:
            x = F.relu(block(x))
        return self.out(x)
'''),
    'sequence of tokens': ((4, 6, 32), {'inner': '4,8 8,8 6 2'}, HEADER + '''

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(32, 64)
        self.out = nn.Linear(64, 5)

    def forward(self, x):
        return self.out(torch.tanh(self.inner(x)).mean(1))
'''),
    'convolution': ((2, 3, 16, 16), {'conv2': '16 24 5,6 2', 'conv3': '24 20 8,8 1'}, 'import torch.nn as nn\nimport torch\n' + '''

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 24, 3, 2, (1, 1), bias=False)
        self.conv3 = nn.Conv2d(24, 20, (3, 5), padding=2, dilation=1)
        self.out = nn.Linear(20, 10)

    def forward(self, x):
        x = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        return self.out(x.mean((2, 3)))
'''),
    **{f'{kind}{", both directions" if both else ""}': ((3, 7, 30), {kind.lower(): f'5,6 {modes} 4 2'}, HEADER + f'''

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.{kind.lower()} = nn.{kind}(30, 12, batch_first=True, bidirectional={both})
        self.out = nn.Linear({24 if both else 12}, 5)

    def forward(self, x):
        y, _ = self.{kind.lower()}(x)
        return self.out(y[:, 2])
''') for kind, modes, both in [('LSTM', '4,3', False), ('GRU', '3,4', True), ('LSTM', '4,3', True), ('RNN', '3,4', False)]},
}


def run(*args):
    done = subprocess.run(['node', str(CLI), *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def network(source):
    scope = {}
    exec(source, scope)
    return scope['Net']()


def plan_of(model, layers, folder):
    """One plan with a decomposition for every layer. Names of layers differ from those of modules; they are found by the weight or the scope."""
    names = [l['name'] for l in json.loads(run('inspect', model, '--json'))['layers'] if l['op'] in ('Gemm', 'MatMul', 'Conv', 'LSTM', 'GRU', 'RNN')]
    plan, operations = None, []
    for module, text in layers.items():
        inputs, outputs, rank, blocks = text.split()
        found = [n for n in names if module in n.strip('/').split('/')[:-1] or f'blocks.{module[-1]}' in n.split('/')]
        path = folder / f'{module}.json'
        run('decompose', model, '--layer', found[0], '--input-modes', inputs, '--output-modes', outputs, '--rank', rank, '--blocks', blocks,
            '--plan-only', '-o', path)
        plan = json.loads(path.read_text())
        operations.append({**plan['operations'][0], 'id': f'decompose-{len(operations) + 1}'})
    result = folder / 'plan.json'
    result.write_text(json.dumps({**plan, 'operations': operations}))
    return result


def check(title, shape, layers, source, folder):
    net = network(source).eval()
    x = torch.randn(*shape)
    model, small, weights, text = folder / 'net.onnx', folder / 'small.onnx', folder / 'small.safetensors', folder / 'net.py'
    torch.onnx.export(net, x, str(model), opset_version=13, input_names=['x'], output_names=['y'],
                      dynamic_axes={'x': {0: 'N'}, 'y': {0: 'N'}})
    plan = plan_of(model, layers, folder)
    run('apply', plan, '-o', small, '--weights', weights)
    text.write_text(source)
    edited = subprocess.run(['npx', 'tsx', 'test/bench/applyPlanToSource.ts', str(text), str(plan)], cwd=ROOT, capture_output=True, text=True)
    assert edited.returncode == 0, edited.stderr
    edited = edited.stdout
    assert edited != source, 'the source did not change'
    arrays, _ = read_safetensors(weights)
    made = network(edited).eval()
    unknown = [name for name in arrays if name.startswith('onnx::')]
    state = dict(net.state_dict())
    for name in unknown:
        # The exporter folded the transpose of a linear layer that was not decomposed: its name is gone, its value is not.
        owner, = [k for k, v in state.items() if v.dim() == 2 and torch.equal(v.T, arrays[name])]
        arrays[owner] = arrays.pop(name).T.contiguous()
    made.load_state_dict(arrays, strict=True)
    found = json.loads(subprocess.run(['node', '-e', RUN, str(small), json.dumps(shape)], input=x.numpy().tobytes(), check=True, capture_output=True, cwd=CLI.parent).stdout)
    expected = made(x).detach().numpy()
    difference = abs(numpy.array(found).reshape(expected.shape) - expected).max() / abs(expected).max()
    changed = abs(net(x).detach().numpy() - expected).max() / abs(expected).max()
    before, after = (sum(p.numel() for p in n.parameters()) for n in (net, made))
    print(f'{title}: {before} -> {after} parameters; PyTorch and onnxruntime differ by {difference:.1e}, the dense network by {changed:.1e} (relative)')
    if '--show' in sys.argv:
        print(edited)
    assert difference < 1e-5 and changed > 1e-3


if __name__ == '__main__':
    torch.manual_seed(0)
    for title, arguments in SOURCES.items():
        with tempfile.TemporaryDirectory() as folder:
            check(title, *arguments, pathlib.Path(folder))
