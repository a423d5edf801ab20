// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Spherical interpolation of quaternions in float64 and without a math library, four lanes to one:
// each has a component of its own.
// The specification is backends/numpy_slerp.py; the order of operations is part of the result.

#pragma once

#include "common.cuh"

static __device__ const double ATAN[11] = {
    1.0,         -1.0 / 3.0,  1.0 / 5.0,   -1.0 / 7.0,  1.0 / 9.0,  -1.0 / 11.0,
    1.0 / 13.0,  -1.0 / 15.0, 1.0 / 17.0,  -1.0 / 19.0, 1.0 / 21.0,
};
static __device__ const double SIN[11] = {
    1.0,
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5040.0,
    1.0 / 362880.0,
    -1.0 / 39916800.0,
    1.0 / 6227020800.0,
    -1.0 / 1307674368000.0,
    1.0 / 355687428096000.0,
    -1.0 / 121645100408832000.0,
    1.0 / 51090942171709440000.0,
};

static __device__ __forceinline__ double odd(double x, const double (&coefficients)[11]) {
  const double square = x * x;
  double total = square * coefficients[10];
#pragma unroll
  for (i32 k = 9; k > 0; --k) total = (total + coefficients[k]) * square;
  return (total + coefficients[0]) * x;
}

// (x + y) + (z + w) of the components of a quaternion, on each of its lanes.
static __device__ __forceinline__ double sum_of_four(double own) {
  own = own + __shfl_xor_sync(FULL_WARP, own, 1);
  return own + __shfl_xor_sync(FULL_WARP, own, 2);
}

static __device__ __forceinline__ double norm_of(double own) {
  return sqrt(sum_of_four(own * own));
}

// Unit quaternion between `first` and `second`, which have squared norms in 0.5 .. 2. All lanes of
// the warp come here.
static __device__ __forceinline__ double slerp(double first, double second, double weight) {
  second = second * (sum_of_four(first * second) < 0.0 ? -1.0 : 1.0);  // the short way round
  double ratio = norm_of(second - first) / norm_of(second + first);
#pragma unroll
  for (i32 k = 0; k < 2; ++k) ratio = ratio / (1.0 + sqrt(1.0 + ratio * ratio));
  const double theta = 2.0 * (4.0 * odd(ratio, ATAN));
  double part0 = 1.0 - weight, part1 = weight;
  if (theta != 0.0) {  // else sin(0) / sin(0): its limit is the weights themselves
    part0 = odd(part0 * theta, SIN);
    part1 = odd(part1 * theta, SIN);
  }
  const double mixed = part0 * first + part1 * second;
  return mixed / norm_of(mixed);
}
