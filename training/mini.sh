#!/usr/bin/env bash
# Retrains models/mini from nothing: worlds by the simulator, every training step, measured on worlds of seeds it never saw.
# usage: training/mini.sh [WORK_DIR]     about 25 minutes on two cores; a run that was stopped goes on where it was.
set -eu -o pipefail
work=${1:+$(realpath -m "$1")}
cd "$(dirname "$0")/.."
work=${work:-$PWD/training/out/mini}
python=${PYTHON:-/usr/bin/python3}
threads=${OMP_NUM_THREADS:-$(nproc)}

# Worlds that lie there already are taken only if this simulator made them; steps know by themselves which data they were made from.
simulator=$(find tools/Simulator contracts libs/Mesh.Contracts libs/Mesh.Numerics -name '*.cs' -o -name '*.proto' | LC_ALL=C sort | xargs cat | sha256sum | cut -c 1-16)
if [ -f "$work/simulator" ] && [ "$(cat "$work/simulator")" != "$simulator" ]; then
    echo "$work holds worlds of another version of the simulator: delete it, or give another folder." >&2
    exit 1
elif [ ! -f "$work/simulator" ] && [ -d "$work/data" ]; then
    echo "$work does not say which simulator made its worlds; they are taken as they are." >&2
fi
mkdir -p "$work"
[ -d "$work/data" ] || echo "$simulator" > "$work/simulator"

dotnet build tools/Simulator -c Release -v q --nologo
world() { [ -f "$work/$2/seed-$1/rows.jsonl" ] || dotnet run --no-build -c Release --project tools/Simulator -- world --seeds "$1" --requests 3000 --out "$work/$2/seed-$1"; }
for seed in $(seq 1 32); do world "$seed" data; done
for seed in $(seq 100 105); do world "$seed" new; done

# tcmalloc and AVX-512 make a step 1.5 to 2 times faster; both are used only where they are.
tcmalloc=$(ldconfig -p 2>/dev/null | awk '/libtcmalloc_minimal.so.4/ { print $NF; exit }') || true
export OMP_NUM_THREADS="$threads" LD_PRELOAD="${tcmalloc:-}"
if grep -q avx512f /proc/cpuinfo 2>/dev/null; then export ATEN_CPU_CAPABILITY=avx512; fi
cd training
"$python" -m feedmesh.all --config configs/mini.json --data "$work/data" --out "$work/run"
"$python" -m feedmesh.measure --run "$work/run" --data "$work/new"
cp "$work"/run/package/* ../models/mini/
echo "models/mini is $(sed -n 's/.*"version": "\(.*\)".*/\1/p' ../models/mini/manifest.json)"
