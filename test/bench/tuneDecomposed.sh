#!/bin/bash
# A trained dense layer in block-term form: error of the fit, calibrated, tuned with labels, beside low rank and the dense layer.
# mnist-burn.onnx was trained on digits; it is adapted to Fashion-MNIST first.
#   npm run build && bash test/bench/tuneDecomposed.sh MNIST-BURN.onnx FASHION-MNIST OUT
set -euo pipefail
model=$1 out=$3
data=(--data "$2" --mean 0.286 --std 0.353)
recipe=(--limit 10000 --optimiser adam --batch 50 --weight-decay 0 --threads 1)
scalpel() { node dist/cli.js "$@"; }
evaluate() { echo "$1: $(scalpel evaluate "$out/$1.onnx" "${data[@]}" | tail -1)"; }

# tune FROM TO EPOCHS RATE
tune() {
  scalpel train "$out/$1.onnx" "${data[@]}" "${recipe[@]}" --epochs "$3" --lr "$4" -o "$out/$2.onnx" >"$out/$2.txt"
  evaluate "$2"
}

# decompose NAME MODES-AND-RANKS...
decompose() {
  local name=$1
  shift
  local fit=(decompose "$out/dense.onnx" --layer /fc1/Gemm "$@" --batch 50)
  scalpel "${fit[@]}" -o "$out/$name.onnx"
  evaluate "$name"
  scalpel "${fit[@]}" "${data[@]}" --calibrate 1000 -o "$out/$name-calibrated.onnx"
  evaluate "$name-calibrated"
  tune "$name-calibrated" "$name-tuned" 2 0.0005
}

mkdir -p "$out"
cp "$model" "$out/digits.onnx"
tune digits dense 3 0.001
tune dense dense-tuned 2 0.0005
decompose two-modes --input-modes 96,121 --output-modes 8,4 --rank 29,29 --blocks 1
decompose three-modes --input-modes 22,22,24 --output-modes 4,4,2 --rank 12 --blocks 4
decompose four-modes --input-modes 8,11,11,12 --output-modes 4,2,2,2 --rank 4 --blocks 4
decompose low-rank --input-modes 1,11616 --output-modes 32,1 --rank 3,3 --blocks 1
