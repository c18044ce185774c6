#!/usr/bin/env bash
# The peers, each in an environment of its own (about 3 GB). Python 3.11: TensorFlow Federated ends there.
#   bash benchmarks/peer/install.sh FOLDER
set -euo pipefail
homes=${1:?a folder for the environments}
python=${PYTHON:-python3.11}
mkdir -p "$homes"

fresh() { # true when this peer has to be installed
  [[ -e "$homes/$1/.installed" ]] && return 1
  "$python" -m venv "$homes/$1"
}

if fresh nvflare; then
  "$homes/nvflare/bin/pip" install --quiet 'nvflare[HE]==2.9.0'
  touch "$homes/nvflare/.installed"
fi

if fresh flower; then
  # It pins a newer certifi than some indexes hold: its own requirements without that bound.
  "$homes/flower/bin/pip" install --quiet --no-deps 'flwr==1.42.0'
  "$homes/flower/bin/python" - >"$homes/flower/requirements.txt" <<'P'
from importlib.metadata import requires

for line in requires("flwr"):
    need, _, marker = line.partition(";")
    if "extra" not in marker or "simulation" in marker:
        print("certifi" if need.startswith("certifi") else need.strip())
P
  "$homes/flower/bin/pip" install --quiet -r "$homes/flower/requirements.txt"
  touch "$homes/flower/.installed"
fi

if fresh tff; then
  # Its pins (jaxlib 0.4.14 and others) cannot be had any more; these versions run it.
  "$homes/tff/bin/pip" install --quiet 'tensorflow-cpu==2.14.1' 'jax==0.4.18' 'jaxlib==0.4.18' 'numpy==1.26.4' \
    'scipy==1.11.4' 'dp-accounting==0.4.3' 'google-vizier==0.1.11' 'attrs==23.1.0' 'cachetools==5.5.2' \
    'portpicker==1.6.0' 'scikit-learn==1.4.2' cloudpickle decorator tqdm
  "$homes/tff/bin/pip" install --quiet --no-deps 'tensorflow-federated==0.87.0' 'tensorflow-privacy==0.9.0' \
    'tensorflow-probability==0.22.1' 'tensorflow-model-optimization==0.7.5' 'farmhashpy==0.4.0' 'dm-tree==0.1.8'
  touch "$homes/tff/.installed"
fi
