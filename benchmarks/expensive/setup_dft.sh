#!/bin/sh
# Installs what the parts with density-functional theory need: PySCF by pip, Quantum ESPRESSO from Debian's
# packages.  Where that cannot be done it says why, and ends with exit code 1; the parts are skipped then.
#
#     sh benchmarks/expensive/setup_dft.sh [PYTHON]

python=${1:-python}
failed=0

if "$python" -c "import pyscf" 2>/dev/null; then
    echo "pyscf: installed"
elif "$python" -m pip install --quiet "pyscf==2.14.0"; then
    echo "pyscf: installed now"
else
    echo "pyscf: not installed, pip failed; dft-molecules is skipped" >&2
    failed=1
fi

packages="quantum-espresso quantum-espresso-data libopenblas0-serial"
if command -v pw.x >/dev/null && [ -d /usr/share/espresso/pseudo ]; then
    echo "quantum-espresso: installed"
elif ! command -v apt-get >/dev/null; then
    echo "quantum-espresso: not installed, there is no apt-get; dft-crystals are skipped" >&2
    failed=1
elif [ "$(id -u)" != 0 ]; then
    echo "quantum-espresso: not installed, that needs root: apt-get install $packages" >&2
    failed=1
elif apt-get install -y -qq --no-install-recommends $packages >/dev/null; then
    echo "quantum-espresso: installed now"
else
    echo "quantum-espresso: not installed, apt-get failed; dft-crystals are skipped" >&2
    failed=1
fi

exit $failed
