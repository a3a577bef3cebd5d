import assert from 'node:assert/strict';
import { createModel } from '../../../engine/architectures/createModel';
import { elementCount } from '../../../engine/graph/tensor';
import { parametersOf } from '../../../engine/ops/parameters';

const COUNTS: readonly (readonly [name: string, input: number[], classes: number, shortcut: 'pad' | 'conv', parameters: number])[] = [
  ['resnet20', [3, 32, 32], 10, 'pad', 269_722],
  ['resnet20', [3, 32, 32], 10, 'conv', 272_474],
  ['resnet56', [3, 32, 32], 10, 'pad', 853_018],
  ['resnet56', [3, 32, 32], 10, 'conv', 855_770],
  ['vgg16-bn', [3, 32, 32], 10, 'pad', 14_728_266],
  ['mobilenet-v2', [3, 32, 32], 10, 'pad', 2_296_922],
  ['mobilenet-v2', [3, 224, 224], 1000, 'pad', 3_504_872],
  ['wrn-28-10', [3, 32, 32], 10, 'pad', 36_479_194],
  ['resnet18', [3, 224, 224], 1000, 'pad', 11_689_512],
  ['resnet50', [3, 224, 224], 1000, 'pad', 25_557_032],
  ['vit-tiny', [3, 224, 224], 1000, 'pad', 5_717_416],
  ['vit-tiny', [3, 32, 32], 10, 'pad', 5_362_762],
  ['alexnet', [3, 224, 224], 1000, 'pad', 61_100_840],
];

describe('architectures', () => {
  for (const [name, input, classes, shortcut, parameters] of COUNTS)
    it(`${name} (${shortcut}, ${classes} classes) has ${parameters.toLocaleString('en-US')} parameters`, () => {
      const graph = createModel(name, { input, classes, shortcut, seed: 1 });
      assert.equal(
        parametersOf(graph).reduce((n, p) => n + elementCount(graph.initializers.get(p)?.dims ?? []), 0),
        parameters,
      );
      assert.deepEqual(graph.outputs[0]?.shape, ['N', classes]);
    });

  it('starts the same from the same seed', () => {
    const weight = (seed: number) =>
      createModel('small-cnn', { input: [1, 8, 8], classes: 2, seed }).initializers.get('conv1.weight')?.data;
    assert.deepEqual(weight(5), weight(5));
    assert.notDeepEqual(weight(5), weight(6));
  });

  it('says which architectures there are', () => {
    assert.throws(() => createModel('resnet21', { input: [3, 32, 32], classes: 10, seed: 1 }), /resnet21 is unknown; choose one of/);
  });
});
