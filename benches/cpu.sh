#!/usr/bin/env bash
# wattscope on the CPU beside PyTorch eager and ONNX Runtime, in turns: `benches/cpu.sh`, or with NETWORKS=… BATCHES=1,8.
# Python comes from PYTHON, or from an environment made here with PyTorch, torchvision, timm and ONNX Runtime from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ -z ${PYTHON:-} ]]; then
    venv=target/bench-venv
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet torch torchvision timm onnx onnxruntime
    PYTHON=$PWD/$venv/bin/python
fi
export PYTHON
cargo bench --bench cpu
