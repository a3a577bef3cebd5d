"""Runs the Keras classes that are written into source, against Keras' own layers with the matrices that they stand for.

    python3 test/bench/kerasBlockTerm.py          (needs tensorflow)
"""
import importlib.util, pathlib
import numpy, tensorflow as tf

FILE = pathlib.Path(__file__).parents[2] / 'extension' / 'source' / 'templates' / 'keras.py'
PATH = ((0, 2), (1, 2), (0, 1))


def template():
    spec = importlib.util.spec_from_file_location('block_term', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def matrix(weights, inputs):
    """W[(i1,i2),(j1,j2)] by its definition."""
    core, first, second = (w.numpy() for w in weights)
    return numpy.einsum('nrs,nijr,nkls->ikjl', core, first, second).reshape(first.shape[1] * second.shape[1], -1)[:inputs]


def check(name, found, expected):
    difference = abs(found - expected).max() / abs(expected).max()
    print(f'{name}: differs by {difference:.1e} (relative)')
    assert difference < 1e-5


def dense(classes):
    form = dict(input_modes=(2, 3), output_modes=(4, 2), ranks=(3, 2), blocks=2, path=PATH)
    layer = classes.BlockTermDense(8, **form, activation='relu', name='hidden')
    x = numpy.random.randn(4, 5).astype('f4')
    found = layer(x).numpy()
    check('BlockTermDense', found, numpy.maximum(x @ matrix(layer.factored, 5), 0))
    again = classes.BlockTermDense.from_config(layer.get_config())
    again(x)
    again.set_weights(layer.get_weights())
    check('BlockTermDense made from its configuration', again(x).numpy(), found)


def recurrent(classes, kind, order, units=2):
    wide = len(order) * units
    form = dict(input_modes=(2, 3), output_modes=(wide // 2, 2), ranks=(3, 2), blocks=2, path=PATH)
    x = numpy.random.randn(4, 7, 6).astype('f4')
    layer = tf.keras.layers.RNN(getattr(classes, f'BlockTerm{kind}Cell')(units, **form), return_sequences=True)
    layer(x)
    cell = layer.cell
    cell.B.assign(numpy.random.randn(1, 2 * wide) * 0.3)
    columns = numpy.concatenate([numpy.arange(g * units, (g + 1) * units) for g in order])
    inner, outer = cell.B.numpy()[0].reshape(2, wide)[:, columns]
    own = getattr(tf.keras.layers, kind)(units, return_sequences=True)
    own(x)
    bias = inner + outer if kind == 'LSTM' else numpy.stack([inner, outer])
    own.set_weights([matrix(cell.factored, 6)[:, columns], cell.R.numpy()[0].T[:, columns], bias])
    check(f'BlockTerm{kind}Cell', layer(x).numpy(), own(x).numpy())


if __name__ == '__main__':
    print('TensorFlow', tf.__version__, 'Keras', tf.keras.__version__)
    made = template()
    dense(made)
    recurrent(made, 'LSTM', (0, 2, 3, 1))
    recurrent(made, 'GRU', (0, 1, 2))
