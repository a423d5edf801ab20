# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The same work on a GPU by others: CuPy's primitives, and the plain scheme in CUDA.

The plain scheme is what one writes first and what others publish: a cleared grid, one thread per
point, a division, an atomic for every value, and a pass over the grid to normalise. Every function
takes device arrays, and clears what it needs to be clear: that is part of the work.
"""

from __future__ import annotations

from typing import Any

PLAIN = r"""
extern "C" {
__device__ long long cell_of(const float* p, float low, float size, int dims) {
  long long cell = 0;
  for (int axis = 2; axis >= 0; --axis) {
    const int i = static_cast<int>(floorf((p[axis] - low) / size));
    if (i < 0 || i >= dims) return -1;
    cell = cell * dims + i;
  }
  return cell;
}
__global__ void count(const float* points, int n, float low, float size, int dims, int* grid) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const long long cell = cell_of(points + 3 * i, low, size, dims);
  if (cell >= 0) atomicAdd(&grid[cell], 1);
}
__global__ void occupancy(const float* points, int n, float low, float size, int dims, int* grid) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const long long cell = cell_of(points + 3 * i, low, size, dims);
  if (cell >= 0) grid[cell] = 1;
}
__global__ void add(const float* points, const float* values, int n, int width, float low,
                    float size, int dims, float* sums, int* counts) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const long long cell = cell_of(points + 3 * i, low, size, dims);
  if (cell < 0) return;
  atomicAdd(&counts[cell], 1);
  for (int f = 0; f < width; ++f) atomicAdd(&sums[cell * width + f], values[i * width + f]);
}
__global__ void divide(float* sums, const int* counts, int cells, int width) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= cells * width || counts[i / width] == 0) return;
  sums[i] /= static_cast<float>(counts[i / width]);
}
}
"""

_THREADS = 256


def plain_kernels(cupy: Any) -> Any:
    """Compile the plain scheme with CuPy's own compiler, as its users would."""
    return cupy.RawModule(code=PLAIN, options=('-std=c++17',))


def _launch(kernel: Any, n: int, *arguments: Any) -> None:
    kernel((-(-n // _THREADS),), (_THREADS,), arguments)


def _scalars(cupy: Any, low: float, size: float, dims: int) -> tuple[Any, Any, Any]:
    return cupy.float32(low), cupy.float32(size), cupy.int32(dims)


def plain_grid(cupy, kernels, what, points, low, size, dims):
    """`count` or `occupancy` of each cell, int32 [dims, dims, dims], of float32 [N, 3]."""
    grid = cupy.zeros((dims, dims, dims), cupy.int32)
    n = len(points)
    scalars = _scalars(cupy, low, size, dims)
    _launch(kernels.get_function(what), n, points, cupy.int32(n), *scalars, grid)
    return grid


def plain_mean(cupy, kernels, points, values, low, size, dims):
    """Means of values [N, F] per cell, float32 [dims, dims, dims, F]; sums in any order."""
    n, width = values.shape
    sums = cupy.zeros((dims, dims, dims, width), cupy.float32)
    counts = cupy.zeros((dims, dims, dims), cupy.int32)
    scalars = _scalars(cupy, low, size, dims)
    _launch(
        kernels.get_function('add'),
        n,
        *(points, values, cupy.int32(n), cupy.int32(width)),
        *scalars,
        *(sums, counts),
    )
    cells = (cupy.int32(dims**3), cupy.int32(width))
    _launch(kernels.get_function('divide'), sums.size, sums, counts, *cells)
    return sums


def _cells(cupy: Any, points: Any, low: float, size: float, dims: int) -> Any:
    """Linear cell of each point, int32 [N], dims^3 for those outside."""
    cells = cupy.floor((points - cupy.float32(low)) / cupy.float32(size)).astype(cupy.int32)
    inside = ((cells >= 0) & (cells < dims)).all(axis=1)
    index = (cells[:, 2] * dims + cells[:, 1]) * dims + cells[:, 0]
    return cupy.where(inside, index, cupy.int32(dims**3))


def cupy_count(cupy, points, low, size, dims):
    """Points per cell with cupy.bincount."""
    cells = _cells(cupy, points, low, size, dims)
    return cupy.bincount(cells, minlength=dims**3 + 1)[:-1].reshape(dims, dims, dims)


def cupy_mean(cupy, points, values, low, size, dims):
    """Means of values [N, F] per cell with a weighted cupy.bincount for each."""
    cells = _cells(cupy, points, low, size, dims)
    counts = cupy.maximum(cupy.bincount(cells, minlength=dims**3 + 1), 1)[:-1]
    sums = [
        cupy.bincount(cells, weights=column, minlength=dims**3 + 1)[:-1] / counts
        for column in values.T
    ]
    return cupy.stack(sums, axis=1).reshape(dims, dims, dims, -1).astype(cupy.float32)


def cupy_sparse(cupy, points, values, size):
    """Occupied voxels with cupy.unique, then one weighted bincount for every column."""
    cells = cupy.floor(points / cupy.float32(size)).astype(cupy.int64)
    low = cells.min(axis=0)
    cells -= low
    span = cells.max(axis=0) + 1
    keys = (cells[:, 2] * span[1] + cells[:, 1]) * span[0] + cells[:, 0]
    unique, inverse, counts = cupy.unique(keys, return_inverse=True, return_counts=True)
    rows = cupy.concatenate([points, values], axis=1)
    sums = [cupy.bincount(inverse, weights=column, minlength=len(unique)) for column in rows.T]
    return unique, counts, cupy.stack(sums, axis=1) / counts[:, None]
