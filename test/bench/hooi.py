"""HOOI of a folded weight in NumPy (blocks: one after the other on what is left, then sweeps), and the written operators against
a reconstruction in PyTorch. Called by blockTerm.ts: hooi.py LAYER.npz RANKS BLOCKS INPUT_MODES"""
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch

torch.set_num_threads(1)


def along(tensor, mode, matrix):
    return np.moveaxis(np.tensordot(tensor, matrix, (mode, 0)), -1, mode)


def leading(tensor, mode, rank):
    unfolded = np.moveaxis(tensor, mode, 0).reshape(tensor.shape[mode], -1)
    return np.linalg.eigh(unfolded @ unfolded.T)[1][:, ::-1][:, :rank]


def project(tensor, factors, skip=-1):
    for mode, factor in enumerate(factors):
        if mode != skip:
            tensor = along(tensor, mode, factor)
    return tensor


def hooi(tensor, ranks, sweeps, factors=None):
    factors = factors or [leading(tensor, k, r) for k, r in enumerate(ranks)]
    for _ in range(sweeps):
        for k, r in enumerate(ranks):
            factors[k] = leading(project(tensor, factors, k), k, r)
    return project(tensor, factors), factors


def expand(core, factors):
    return project(core, [f.T for f in factors])


def block_terms(tensor, ranks, count, sweeps):
    rest, blocks = tensor.copy(), []
    for _ in range(count):
        blocks.append(hooi(rest, ranks, 8 if count == 1 else 2))
        rest = rest - expand(*blocks[-1])
    for _ in range(sweeps if count > 1 else 0):
        for n, block in enumerate(blocks):
            target = rest + expand(*block)
            blocks[n] = hooi(target, ranks, 1, list(block[1]))
            rest = target - expand(*blocks[n])
    return np.linalg.norm(rest) / np.linalg.norm(tensor)


def reconstruct(arrays, modes):
    core = torch.from_numpy(arrays["core"]).double()
    weight = core
    letters = "abcdefgh"[: len(modes)]
    total, outputs = "n" + letters, []
    operands, terms = [core], [total]
    for k, letter in enumerate(letters):
        operands.append(torch.from_numpy(arrays[f"factor{k + 1}"]).double())
        terms.append("n" + "ijklmopq"[k] + "IJKLMOPQ"[k] + letter)
    out = "ijklmopq"[: len(modes)] + "IJKLMOPQ"[: len(modes)]
    weight = torch.einsum(",".join(terms) + "->" + out, *operands)
    return weight.reshape(int(np.prod(modes)), -1)


def main():
    file, ranks, count, modes = sys.argv[1:]
    arrays = dict(np.load(file))
    modes = [int(m) for m in modes.split(",")]
    tensor = arrays["folded"].astype(np.float64)
    ranks = [min(int(r), m) for r, m in zip(ranks.split(","), tensor.shape)]
    start = time.process_time()
    error = block_terms(tensor, ranks, int(count), 50)
    print(f"HOOI in NumPy: relative error {error:.6f}, {time.process_time() - start:.1f} s of processor time")
    x = torch.from_numpy(arrays["x"]).double()
    weight = reconstruct(arrays, modes)[: x.shape[1], : arrays["y"].shape[1]]
    y = x @ weight + torch.from_numpy(arrays["bias"]).double()
    difference = (y - torch.from_numpy(arrays["y"])).abs().max() / y.abs().max()
    print(f"outputs of the written operators and of the reconstruction in PyTorch differ by {difference:.1e} (relative)")


main()
