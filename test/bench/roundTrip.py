"""Checks the way back to PyTorch: export, prune, edit the source by the weights, load, compare.

    python3 test/bench/roundTrip.py          (after a build; needs torch, and onnx for its exporter)

For every network below: the source text has literal channel counts; `scalpel prune` cuts the exported file and writes a state
dict; the counts in the text are replaced by the shapes of that state dict; the edited class loads it with strict keys; its
outputs are compared with onnxruntime's on the pruned file, its weights with the original ones cut by the kept indices.
"""
import json, pathlib, re, struct, subprocess, sys, tempfile
import numpy, torch
from torch import nn
from torch.nn import functional as F

CLI = pathlib.Path(__file__).parents[2] / 'dist' / 'cli.js'

RUN = '''
const ort = require('onnxruntime-node');
const x = new Float32Array(new Uint8Array(require('fs').readFileSync(0)).buffer);
ort.InferenceSession.create(process.argv[1])
  .then((s) => s.run({ x: new ort.Tensor('float32', x, [8, 3, 16, 16]) }))
  .then((r) => console.log(JSON.stringify([...r.logits.data])));
'''

SOURCES = {
    'residual': '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.a1 = nn.Conv2d(16, 24, 3, padding=1, bias=False)
        self.n1 = nn.BatchNorm2d(24)
        self.a2 = nn.Conv2d(24, 16, 3, padding=1, bias=False)
        self.n2 = nn.BatchNorm2d(16)
        self.down = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.head = nn.Linear(2048, 40)
        self.out = nn.Linear(40, 10)
    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(x + self.n2(self.a2(F.relu(self.n1(self.a1(x))))))
        x = F.relu(self.down(x)).flatten(1)
        return self.out(F.relu(self.head(x)))
''',
    'depthwise and concatenation': '''
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.depth = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.left = nn.Conv2d(16, 12, 1)
        self.right = nn.Conv2d(16, 20, 3, padding=1)
        self.squeeze = nn.Conv2d(32, 8, 1)
        self.excite = nn.Conv2d(8, 32, 1)
        self.act = nn.PReLU(32)
        self.up = nn.ConvTranspose2d(32, 12, 2, stride=2)
        self.out = nn.Linear(12, 10)
    def forward(self, x):
        x = F.relu(self.depth(F.relu(self.norm(self.stem(x)))))
        x = torch.cat([self.left(x), self.right(x)], 1)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        x = F.relu(self.up(self.act(x * gate)))
        return self.out(x.mean((2, 3)))
''',
}


def network(source):
    scope = {'nn': nn, 'F': F, 'torch': torch}
    exec(source, scope)
    return scope['Net']()


def randomise(net):
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                tensor.data.normal_()


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack('<Q', raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    meta = header.pop('__metadata__')
    body = raw[8 + size:]
    arrays = {k: torch.from_numpy(numpy.frombuffer(body[v['data_offsets'][0]:v['data_offsets'][1]], '<f4').reshape(v['shape']).copy())
              for k, v in header.items()}
    return arrays, json.loads(meta['scalpel.kept'])


def edit(source, weights):
    """Replaces the literal counts of every layer by what its weights have now."""
    def counts(match):
        name, kind, old, rest = match.groups()
        shape = list(weights[name + '.weight'].shape)
        groups = re.search(r'groups=(\d+)', rest)
        if kind in ('BatchNorm2d', 'PReLU'):
            return f'self.{name} = nn.{kind}({shape[0]}{rest}'
        if kind == 'ConvTranspose2d':
            return f'self.{name} = nn.{kind}({shape[0]}, {shape[1]}{rest}'
        if groups:
            return f'self.{name} = nn.{kind}({shape[0]}, {shape[0]}' + rest.replace(groups.group(0), f'groups={shape[0]}')
        return f'self.{name} = nn.{kind}({shape[1]}, {shape[0]}{rest}'
    return re.sub(r'self\.(\w+) = nn\.(\w+)\((\d+(?:, \d+)?)(.*)', counts, source)


def check(title, source, folder):
    net = network(source).eval()
    randomise(net)
    x = torch.randn(8, 3, 16, 16)
    model, pruned, weights = folder / 'net.onnx', folder / 'pruned.onnx', folder / 'pruned.safetensors'
    torch.onnx.export(net, x, str(model), opset_version=13, do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
                      input_names=['x'], output_names=['logits'], dynamic_axes={'x': {0: 'N'}, 'logits': {0: 'N'}})
    run = lambda *args: subprocess.run(['node', str(CLI), *map(str, args)], check=True, capture_output=True)
    run('prune', model, '--criterion', 'l2', '--flops', '0.4', '-o', pruned, '--weights', weights, '--plan', folder / 'plan.json')
    arrays, kept = read_safetensors(weights)
    text = edit(source, arrays)
    edited = network(text).eval()
    missing = edited.load_state_dict(arrays, strict=False)
    assert not missing.unexpected_keys and all(k.endswith('num_batches_tracked') for k in missing.missing_keys), missing
    for name, tensor in net.state_dict().items():
        for axis, indices in kept.get(name, {}).items():
            tensor = tensor.index_select(int(axis), torch.tensor(indices))
        if name in arrays:
            assert torch.equal(tensor, arrays[name]), name
    expected = edited(x).detach().numpy()
    found = numpy.array(json.loads(subprocess.run(['node', '-e', RUN, str(pruned)], input=x.numpy().tobytes(), check=True,
                                                  capture_output=True, cwd=CLI.parent).stdout)).reshape(expected.shape)
    assert expected.std(0).max() > 1e-3 * abs(expected).max(), 'the network ignores its input'
    difference = abs(found - expected).max() / abs(expected).max()
    changed = sum(a != b for a, b in zip(source.splitlines(), text.splitlines()))
    before, after = (sum(p.numel() for p in n.parameters()) for n in (net, edited))
    print(f'{title}: {before} -> {after} parameters, {changed} lines edited; outputs differ by {difference:.1e} (relative)')
    assert difference < 1e-5


if __name__ == '__main__':
    torch.manual_seed(0)
    for title, source in SOURCES.items():
        with tempfile.TemporaryDirectory() as folder:
            check(title, source, pathlib.Path(folder))
