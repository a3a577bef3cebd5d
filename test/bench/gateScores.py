"""Gate Decorator scores of `scalpel importance` against PyTorch's autograd: python3 test/bench/gateScores.py (after a build).

Every batch norm's output is multiplied by a gate of ones, and a channel's score is |dL/dphi * phi| summed over the layers of its
group. Networks of torchvision with random weights, batch norm in evaluation mode, one batch.
"""
import json, pathlib, subprocess, tempfile
import numpy, torch, torchvision
from torch import nn

CLI = pathlib.Path(__file__).parents[2] / 'dist' / 'cli.js'


def check(name, folder):
    torch.manual_seed(1)
    net = getattr(torchvision.models, name)(num_classes=10).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                tensor.data.normal_(0, 0.3)
    x, y = torch.randn(16, 3, 64, 64), torch.randint(0, 10, (16,))
    torch.onnx.export(net, x, str(folder / 'net.onnx'), opset_version=13, do_constant_folding=False,
                      training=torch.onnx.TrainingMode.PRESERVE, dynamic_axes={'x': {0: 'N'}}, input_names=['x'])
    numpy.savez(folder / 'data.npz', x_train=x.numpy(), y_train=y.numpy(), x_test=x.numpy(), y_test=y.numpy())
    run = lambda *args: json.loads(subprocess.run(['node', str(CLI), *map(str, args), '--json'], check=True, capture_output=True).stdout)
    report = run('importance', folder / 'net.onnx', '--data', folder / 'data.npz', '--batch', 16, '--batches', 1, '--raw')
    weight = {layer['name']: layer.get('weight') for layer in run('inspect', folder / 'net.onnx')['layers']}
    modules = list(net.named_modules())
    gates = {}
    for i, (key, module) in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            norm = next(m for _, m in modules[i + 1:] if isinstance(m, nn.BatchNorm2d))
            phi = gates[key + '.weight'] = torch.ones(norm.num_features, requires_grad=True)
            norm.register_forward_hook(lambda _m, _i, out, phi=phi: out * phi[:, None, None])
    nn.functional.cross_entropy(net(x), y).backward()
    ours, theirs = [], []
    for group in report['groups']:
        layers = [gates[weight[layer]] for layer in group['layers'] if weight[layer] in gates]
        if len(layers) == len(group['layers']):
            ours.append(numpy.array(group['scores']))
            theirs.append(sum((p.grad * p).abs() for p in layers).detach().double().numpy())
    ours, theirs = numpy.concatenate(ours), numpy.concatenate(theirs)
    rank = lambda v: v.argsort().argsort()
    correlation = numpy.corrcoef(rank(ours), rank(theirs))[0, 1]
    error = abs(ours - theirs).max() / theirs.max()
    print(f'{name}: {len(ours)} channels, rank correlation {correlation:.6f}, largest error {error:.1e} of the largest score')
    assert correlation > 0.99999 and error < 1e-4


if __name__ == '__main__':
    for name in ('resnet18', 'mobilenet_v2', 'mnasnet0_5'):
        with tempfile.TemporaryDirectory() as folder:
            check(name, pathlib.Path(folder))
