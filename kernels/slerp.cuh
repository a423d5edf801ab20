// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Spherical interpolation of quaternions in float64 and without a math library.
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

static __device__ __forceinline__ double dot(const double (&p)[4], const double (&q)[4]) {
  return (p[0] * q[0] + p[1] * q[1]) + (p[2] * q[2] + p[3] * q[3]);
}

// Unit quaternion between `first` and `second`, which have squared norms in 0.5 .. 2.
static __device__ __forceinline__ void slerp(const double (&first)[4], const double (&second)[4],
                                             double weight, double (&mixed)[4]) {
  const double side = dot(first, second) < 0.0 ? -1.0 : 1.0;  // the short way round
  double to[4], difference[4], sum[4];
#pragma unroll
  for (i32 k = 0; k < 4; ++k) {
    to[k] = second[k] * side;
    difference[k] = to[k] - first[k];
    sum[k] = to[k] + first[k];
  }
  double ratio = sqrt(dot(difference, difference)) / sqrt(dot(sum, sum));
#pragma unroll
  for (i32 k = 0; k < 2; ++k) ratio = ratio / (1.0 + sqrt(1.0 + ratio * ratio));
  const double theta = 2.0 * (4.0 * odd(ratio, ATAN));
  double part0 = 1.0 - weight, part1 = weight;
  if (theta != 0.0) {  // else sin(0) / sin(0): its limit is the weights themselves
    part0 = odd(part0 * theta, SIN);
    part1 = odd(part1 * theta, SIN);
  }
#pragma unroll
  for (i32 k = 0; k < 4; ++k) mixed[k] = part0 * first[k] + part1 * to[k];
  const double norm = sqrt(dot(mixed, mixed));
#pragma unroll
  for (i32 k = 0; k < 4; ++k) mixed[k] = mixed[k] / norm;
}
