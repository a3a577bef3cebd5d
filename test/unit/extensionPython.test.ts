import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { PythonLayers } from '../../extension/pythonLayers';

const root = path.join(__dirname, '../..');

describe('layers in Python source', () => {
  it('finds those that are made in classes, with their class and place', async () => {
    const layers = await PythonLayers.load(path.join(root, 'dist'));
    const found = layers.find(readFileSync(path.join(root, 'sample/model.py'), 'utf8'));
    assert.deepEqual(
      found.map((l) => `${l.owner}.${l.attribute} ${l.type}`),
      [
        'Block.conv1 Conv2d',
        'Block.bn1 BatchNorm2d',
        'Block.conv2 Conv2d',
        'Block.bn2 BatchNorm2d',
        'ResNet8.conv1 Conv2d',
        'ResNet8.bn1 BatchNorm2d',
        'ResNet8.fc Linear',
      ],
    );
    assert.deepEqual([found[0]?.line, found[0]?.column], [7, 21]);
  });

  it('takes no comment or string for code', async () => {
    const layers = await PythonLayers.load(path.join(root, 'dist'));
    assert.deepEqual(layers.find('# self.a = nn.Conv2d(1, 2, 3)\ns = "self.b = nn.Linear(1, 2)"\n'), []);
  });
});
