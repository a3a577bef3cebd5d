import math
import string

import tensorflow as tf


def block_term_weights(layer, inputs, outputs, input_modes, output_modes, ranks, blocks):
    """Core [N, R1..Rd] and factors [N, Ik, Jk, Rk] of a layer (Ye et al., CVPR 2018)."""
    deviation = (2 / (inputs + outputs) / blocks / math.prod(ranks)) ** (0.5 / (len(ranks) + 1))
    start = tf.keras.initializers.RandomNormal(stddev=deviation)
    shapes = [('core', tuple(ranks))]
    shapes += [(f'factor{k}', sizes) for k, sizes in enumerate(zip(input_modes, output_modes, ranks), 1)]
    return [layer.add_weight(name=name, shape=(blocks, *shape), initializer=start) for name, shape in shapes]


def block_term_product(x, weights, path, outputs, gates=1):
    """x W, where W is a sum of Tucker blocks. `path` says which two tensors are multiplied next, as numpy.einsum_path does."""
    core, *factors = weights
    d, inputs = len(factors), x.shape[-1]
    letters = string.ascii_letters[2:]
    i, j, r = letters[:d], letters[d:2 * d], letters[2 * d:3 * d]
    modes = [factor.shape[1] for factor in factors]
    rows = tf.pad(tf.reshape(x, (-1, inputs)), ((0, 0), (0, math.prod(modes) - inputs)))
    tensors = [('a' + i, tf.reshape(rows, (-1, *modes))), ('b' + r, core)]
    tensors += [('b' + i[k] + j[k] + r[k], factor) for k, factor in enumerate(factors)]
    for first, second in path:
        (left, p), (right, q) = tensors[first], tensors[second]
        tensors = [t for k, t in enumerate(tensors) if k not in (first, second)]
        needed = 'a' + j + ''.join(labels for labels, _ in tensors)
        kept = ''.join(c for c in dict.fromkeys(left + right) if c in needed)
        tensors.append((kept, tf.einsum(f'{left},{right}->{kept}', p, q)))
    labels, y = tensors[0]
    wide = math.prod(factor.shape[2] for factor in factors) // gates
    y = tf.reshape(tf.einsum(f'{labels}->a{j}', y), (-1, gates, wide))[..., :outputs // gates]
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [outputs]], 0))


class BlockTermDense(tf.keras.layers.Layer):
    """In place of Dense: its kernel is a sum of Tucker blocks."""

    def __init__(self, units, input_modes, output_modes, ranks, blocks, path, activation=None, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.units, self.order, self.use_bias = units, path, use_bias
        self.form = (input_modes, output_modes, ranks, blocks)
        self.activation = tf.keras.activations.get(activation)

    def build(self, input_shape):
        self.factored = block_term_weights(self, int(input_shape[-1]), self.units, *self.form)
        self.bias = self.add_weight(name='bias', shape=(self.units,), initializer='zeros') if self.use_bias else None
        super().build(input_shape)

    def call(self, x):
        y = block_term_product(x, self.factored, self.order, self.units)
        return self.activation(y if self.bias is None else y + self.bias)

    def get_config(self):
        input_modes, output_modes, ranks, blocks = self.form
        own = {'units': self.units, 'input_modes': input_modes, 'output_modes': output_modes, 'ranks': ranks, 'blocks': blocks}
        activation = tf.keras.activations.serialize(self.activation)
        return {**super().get_config(), **own, 'path': self.order, 'activation': activation, 'use_bias': self.use_bias}


class BlockTermLSTMCell(tf.keras.layers.Layer):
    """A cell for tf.keras.layers.RNN in place of LSTM: the kernel is in block-term form; R, B and gates (i, o, f, c) as in ONNX."""

    gate_count = 4
    state_count = 2

    def __init__(self, units, input_modes, output_modes, ranks, blocks, path, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.units, self.order, self.use_bias = units, path, use_bias
        self.form = (input_modes, output_modes, ranks, blocks)
        self.state_size = [units] * self.state_count
        self.output_size = units

    def build(self, input_shape):
        wide = self.gate_count * self.units
        self.factored = block_term_weights(self, int(input_shape[-1]), wide, *self.form)
        self.R = self.add_weight(name='R', shape=(1, wide, self.units), initializer='orthogonal')
        self.B = self.add_weight(name='B', shape=(1, 2 * wide), initializer='zeros') if self.use_bias else None
        super().build(input_shape)

    def call(self, x, states, training=None):
        wide = self.gate_count * self.units
        gates = block_term_product(x, self.factored, self.order, wide, self.gate_count)
        own = tf.matmul(states[0], self.R[0], transpose_b=True)
        if self.B is not None:
            gates, own = gates + self.B[0, :wide], own + self.B[0, wide:]
        return self.step(gates, own, states)

    def step(self, gates, own, states):
        i, o, f, g = tf.split(gates + own, 4, -1)
        c = tf.sigmoid(f) * states[1] + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, [h, c]

    def get_config(self):
        input_modes, output_modes, ranks, blocks = self.form
        own = {'units': self.units, 'input_modes': input_modes, 'output_modes': output_modes, 'ranks': ranks, 'blocks': blocks}
        return {**super().get_config(), **own, 'path': self.order, 'use_bias': self.use_bias}


class BlockTermGRUCell(BlockTermLSTMCell):
    """A cell for tf.keras.layers.RNN in place of GRU with reset_after; gates z, r, h."""

    gate_count = 3
    state_count = 1

    def step(self, gates, own, states):
        z, r, n = tf.split(gates, 3, -1)
        own_z, own_r, own_n = tf.split(own, 3, -1)
        z = tf.sigmoid(z + own_z)
        n = tf.tanh(n + tf.sigmoid(r + own_r) * own_n)
        h = (1 - z) * n + z * states[0]
        return h, [h]
