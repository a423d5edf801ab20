# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Small kernels with one bug each, and their right twins: what the detectors are tried on.

A kernel is launched as two blocks of 64 threads, with 100 floats in and 100 words out, cleared.
"""

from __future__ import annotations

import numpy as np

from robocache_ros.backends.cuda.device import Clear, Launch, Program

N = 100
BLOCKS, THREADS = 2, 64

HEAD = r"""
#include "common.cuh"

struct PlantedJob {
  u64 input;   // float[n]
  u64 output;  // u32[n]
  i64 n;
};

#define IN reinterpret_cast<const float*>(job->input)
#define OUT reinterpret_cast<u32*>(job->output)
"""

# ---- every thread of a block reads what another one wrote

REVERSED = """
KERNEL(@, PlantedJob, 64) {
  __shared__ float tile[64];
  const u32 t = threadIdx.x;
  const i64 i = FIRST;
  tile[t] = i < job->n ? IN[i] : 0.0f;
  %s
  const float other = tile[63 - t];
  if (i < job->n) OUT[i] = __float_as_uint(other);
}
"""

# ---- every thread copies what is its own

COPIED = """
KERNEL(@, PlantedJob, 64) {
  for (i64 i = FIRST; i %s job->n; i += STRIDE) OUT[i] = __float_as_uint(IN[i]);
}
"""

READ = """
KERNEL(@, PlantedJob, 64) {
  for (i64 i = FIRST; i < job->n; i += STRIDE) OUT[i] = IN[i + %d] > 3.0f;
}
"""

SHARED = """
KERNEL(@, PlantedJob, 64) {
  __shared__ u32 tile[64];
  const u32 t = threadIdx.x;
  const i64 i = FIRST;
  tile[t] = 0;
  __syncthreads();
  if (i < job->n) OUT[i] = tile[t + %d];
}
"""

DYNAMIC = """
KERNEL(@, PlantedJob, 64) {
  DYNAMIC_SHARED(u32, tile);
  const i64 i = FIRST;
  tile[threadIdx.x] = 0;
  __syncthreads();
  if (i < job->n) OUT[i] = tile[threadIdx.x + %d];
}
"""

CAST = """
KERNEL(@, PlantedJob, 64) {
  for (i64 i = FIRST; i < job->n; i += STRIDE) {
    const float t = IN[i] * 1e9f;
    %s
  }
}
"""

# ---- ways to meet

MEETING = """
KERNEL(@, PlantedJob, 64) {
  [[maybe_unused]] const i64 i = FIRST;
  %s
}
"""

VOTED = """const u32 votes = __ballot_sync(0xffffffffu, i < job->n);
  if (i < job->n) OUT[i] = votes;"""

# ---- ways to count

COUNTED = """
KERNEL(@, PlantedJob, 64) {
  for (i64 i = FIRST; i < job->n; i += STRIDE) {
    const u32 bin = static_cast<u32>(i %% 3);
    %s
  }
}
"""

# ---- two blocks, and one thread in each that writes

BETWEEN_BLOCKS = """
KERNEL(@, PlantedJob, 64) {
  if (threadIdx.x == 0) { %s }
}
"""

# ---- the last block to come reads what all blocks wrote

LAST_BLOCK = """
KERNEL(@, PlantedJob, 64) {
  __shared__ u32 last;
  if (threadIdx.x == 0) {
    OUT[1 + blockIdx.x] = 7;
    %s
    last = atomicAdd(&OUT[0], 1u) == gridDim.x - 1;
    %s
  }
  __syncthreads();
  if (last && threadIdx.x == 1) OUT[3] = OUT[1] + OUT[2];
}
"""

# ---- places handed out in order of arrival, or by rank

PLACED = """
KERNEL(@, PlantedJob, 64) {
  for (i64 i = FIRST; i < job->n; i += STRIDE) {
    if (IN[i] < 0.0f) continue;
    %s
    OUT[place] = __float_as_uint(IN[i]);
  }
}
"""

UNCLEARED = """
KERNEL(@, PlantedJob, 64) {
  __shared__ u32 sum;
  %s
  __syncthreads();
  atomicAdd(&sum, 1u);
  __syncthreads();
  if (threadIdx.x == 0) OUT[blockIdx.x] = sum;
}
"""

ROUNDED = """
KERNEL(@, PlantedJob, 64) {
  for (i64 i = FIRST; i < job->n; i += STRIDE) {
    const float x = IN[i];
    OUT[i] = __float_as_uint(%s);
  }
}
"""

SOURCES = {
    'reversed': REVERSED % '__syncthreads();',
    'reversed without a barrier': REVERSED % '',
    'copied': COPIED % '<',
    'copied one too far': COPIED % '<=',
    'read': READ % 0,
    'read one too far': READ % 1,
    'shared': SHARED % 0,
    'shared one too far': SHARED % 1,
    'dynamic': DYNAMIC % 0,
    'dynamic one too far': DYNAMIC % 1,
    'cast': CAST % 'OUT[i] = t >= 0.0f && t < 2e9f ? static_cast<u32>(t) : 0;',
    'cast untested': CAST % 'OUT[i] = static_cast<u32>(t);',
    'met': MEETING % '__syncthreads();',
    'met by some': MEETING % 'if (i < job->n) __syncthreads();',
    'met at two places': MEETING % 'if (i % 2) { __syncthreads(); }\nelse { __syncthreads(); }',
    'voted': MEETING % VOTED,
    'voted by some': MEETING % 'if (i < job->n) OUT[0] = __ballot_sync(0xffffffffu, 1);',
    'voted under a mask': MEETING % 'if (i < 32) OUT[0] = __ballot_sync(0xffffu, 1);',
    'counted': COUNTED % 'atomicAdd(&OUT[bin], 1u);',
    'counted without atomics': COUNTED % 'OUT[bin] += 1;',
    'between blocks': BETWEEN_BLOCKS % 'OUT[blockIdx.x] = 1;',
    'between blocks without atomics': BETWEEN_BLOCKS % 'OUT[0] += 1;',
    'last block': LAST_BLOCK % ('__threadfence();', '__threadfence();'),
    'last block without a fence': LAST_BLOCK % ('', ''),
    'placed': PLACED % 'const u32 place = static_cast<u32>(i);',
    'placed as they come': PLACED % 'const u32 place = atomicAdd(&OUT[99], 1u);',
    'summed': UNCLEARED % 'if (threadIdx.x == 0) sum = 0;',
    'summed from anything': UNCLEARED % '',
    'rounded': ROUNDED % 'x * x + 0.1f',
    'rounded once': ROUNDED % '__builtin_fmaf(x, x, 0.1f)',
}


def values():
    """Return what goes in; two thirds of them are not negative."""
    x = np.arange(N, dtype=np.float32) * np.float32(0.37)
    x[::3] = -1.0
    return x


def kernel_of(name):
    """Name of the kernel in the file."""
    return name.replace(' ', '_')


def text():
    """The file with all of them: compiled once, whichever is run."""
    return HEAD + ''.join(body.replace('@', kernel_of(name)) for name, body in SOURCES.items())


def line_of(name, code):
    """Number of the first line of a kernel that has `code` in it."""
    lines = text().splitlines()
    begin = lines.index(f'KERNEL({kernel_of(name)}, PlantedJob, 64) {{')
    return next(n for n, line in enumerate(lines, 1) if n > begin and code in line)


def run(device, folder, name):
    """Run a planted kernel; returns uint32[N]. `device` has `folder` as its folder of kernels."""
    (folder / 'planted.cu').write_text(text())
    device.load(['planted'])
    source, result, job = (device.allocate(size) for size in (4 * N, 4 * N, 24))
    device.view(source, np.float32, (N,), 0)[:] = values()
    device.view(job, np.uint64, (3,), 0)[:] = (source.address, result.address, N)
    launch = Launch(f'planted.{kernel_of(name)}', BLOCKS, THREADS, 4 * THREADS)
    device.execute(Program(job.address, (Clear(result.address, 4 * N), launch)))
    return device.view(result, np.uint32, (N,), 0).copy()
