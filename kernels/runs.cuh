// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs: lanes side by side of a warp with the same key. A scan has runs of points in one cell:
// they sum up first and add once, as points in one cell wait for each other at every addition.
// Whole warps call.

#pragma once

#include "common.cuh"

// The run that a lane is in.
struct Run {
  u32 first;      // lane
  u32 length;
  u32 doublings;  // of 1 that reach the length of the longest run of the warp
};

template <class T>
static __device__ __forceinline__ Run run_of(T key) {
  const T before = __shfl_up_sync(FULL_WARP, key, 1);
  const u32 firsts = __ballot_sync(FULL_WARP, LANE == 0 || key != before);
  const u32 up_to_here = FULL_WARP >> (31 - LANE);
  const u32 later = firsts & ~up_to_here;
  Run run;
  run.first = 31 - __clz(static_cast<i32>(firsts & up_to_here));
  run.length = (later ? __ffs(static_cast<i32>(later)) - 1 : 32) - run.first;
  run.doublings = 0;
  for (u32 joined = ~firsts, step = 1; joined != 0; joined &= joined >> step, step <<= 1) {
    ++run.doublings;
  }
  return run;
}

// In the first lane of a run: the sum over its lanes.
template <class T>
static __device__ __forceinline__ T sum_of_run(const Run& run, T value) {
  for (u32 k = 0; k < run.doublings; ++k) {
    const T later = __shfl_down_sync(FULL_WARP, value, 1u << k);
    if (LANE + (1u << k) < run.first + run.length) value += later;
  }
  return value;
}

// In the first lane of a run: the greatest value of its lanes.
static __device__ __forceinline__ u32 greatest_of_run(const Run& run, u32 value) {
  for (u32 k = 0; k < run.doublings; ++k) {
    const u32 later = __shfl_down_sync(FULL_WARP, value, 1u << k);
    if (LANE + (1u << k) < run.first + run.length) value = max(value, later);
  }
  return value;
}
