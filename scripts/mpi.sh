#!/bin/sh
# What the feature `mpi` is built and run with, on Debian and Ubuntu: Open MPI, and libclang, by which its headers are read. Where
# there is an MPI already, be it Open MPI or MPICH, none is installed.
#
#   sh scripts/mpi.sh          installs
#   sh scripts/mpi.sh test     also builds with the feature, and runs the tests that call mpirun, on 2 and 3 ranks
set -eu
cd "$(dirname "$0")/.."

command -v mpicc >/dev/null && command -v mpirun >/dev/null || sh scripts/apt_install.sh openmpi-bin libopenmpi-dev
[ -n "${LIBCLANG_PATH:-}" ] || ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 ||
    sh scripts/apt_install.sh clang libclang-dev
[ "${1:-}" != test ] || cargo test --features mpi --test mpi
