// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// The 16-bit floats: exact on the way in, rounded to nearest even by integers on the way out.
// The specification is backends/numpy_half.py.

#pragma once

#include "common.cuh"

#define TWO_TO_112 5192296858534827628530496329220096.0f

enum Format : i32 { AS_FLOAT32, AS_FLOAT16, AS_BFLOAT16 };  // as in resampling.DTYPES

static __device__ __forceinline__ float widen(u32 bits, i32 format) {
  if (format == AS_FLOAT32) return __uint_as_float(bits);
  if (format == AS_BFLOAT16) return __uint_as_float(bits << 16);
  // The exponent of a finite float16 is 112 too small; scaling is exact, for subnormals as well.
  const float size = __uint_as_float((bits & 0x7fffu) << 13) * TWO_TO_112;
  return __uint_as_float(__float_as_uint(size) | ((bits & 0x8000u) << 16));
}

// `bits` without its low `shift` bits, rounded to nearest even.
static __device__ __forceinline__ u32 round_off(u32 bits, u32 shift) {
  return (bits + ((1u << (shift - 1)) - 1) + ((bits >> shift) & 1)) >> shift;
}

static __device__ __forceinline__ u32 float16_bits(u32 bits) {
  const u32 size = bits & 0x7fffffffu;
  const u32 sign = (bits >> 16) & 0x8000u;
  const u32 exponent = size >> 23;
  if (exponent > 112) {
    const u32 normal = round_off(size, 13) - ((127 - 15) << 10);
    return min(normal, 0x7c00u) | sign;
  }
  // Below 2^-14 a float16 counts steps of 2^-24.
  return round_off((size & 0x7fffffu) | 0x800000u, min(126 - exponent, 31u)) | sign;
}

static __device__ __forceinline__ u32 narrow(float value, i32 format) {
  const u32 bits = __float_as_uint(value);
  if (format == AS_FLOAT32) return bits;
  return format == AS_BFLOAT16 ? round_off(bits, 16) : float16_bits(bits);
}
