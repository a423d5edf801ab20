// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Lets a C++20 compiler compile kernels/*.cu for the CPU: the part of CUDA that kernels may use,
// and nothing else, so that what compiles here asks for nothing that a reader has to look up.
// Included ahead of every file (-include). How threads run is in fibres.h (default) or threads.h
// (ROBOCACHE_OS_THREADS, for ThreadSanitizer); both define namespace shim's Block.

#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <source_location>

#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) alignas(n)

struct alignas(16) float4 {
  float x, y, z, w;
};

namespace shim {

using Where = std::source_location;

struct Index {
  unsigned x;
};

// A launch as Python gives it (ctypes struct Call of cpu_device.py).
struct Call {
  const void* job;
  unsigned long long shared_bytes;
  unsigned long long seed;
  char* report;  // where the text of a fault goes
  unsigned long long report_bytes;
  unsigned* gate;  // of threads.h; words at 0
  unsigned blocks;
  unsigned threads;
  int order;             // Order
  unsigned first_block;  // this call runs first_block, first_block + block_step, ...
  unsigned block_step;
};

struct Kernel {
  const char* name;
  void (*body)(const void* job);
  unsigned most_threads;  // its launch bounds
};

enum Order { FORWARD, REVERSE, SHUFFLED };

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kMostThreads = 1024;
inline constexpr unsigned char kPoison = 0xcd;

// Why a launch cannot be, on any device; nullptr if it can.
inline const char* refusal(const Kernel& kernel, const Call& call) {
  if (call.blocks == 0) return "a launch of no blocks";
  if (call.threads == 0 || call.threads % kWarp != 0) return "a block is of whole warps";
  if (call.threads > kernel.most_threads) return "more threads than the kernel's launch bounds";
  if (kernel.most_threads > kMostThreads) return "launch bounds beyond 1024 threads";
  return nullptr;
}

int run(const Kernel& kernel, const Call& call);  // 0, or 1 with a report
void sync_block(const char* what, const Where&);  // returns when all threads of the block came
// Gives `bits` to the warp; returns the bits of all lanes, valid until the lane's next exchange.
const unsigned long long* exchange(unsigned long long bits, const char* what, unsigned mask,
                                   const Where&);
void at_atomic();  // a schedule may go on with another thread here
void fence();
unsigned lane();
unsigned char* dynamic_shared();

template <class T>
unsigned long long bits_of(T value) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  unsigned long long bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

template <class T>
T of_bits(unsigned long long bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace shim

#ifdef ROBOCACHE_OS_THREADS
#include "threads.h"
#else
#include "fibres.h"
#endif

namespace shim {
constexpr unsigned first(unsigned threads, unsigned = 0) { return threads; }
}  // namespace shim

#define KERNEL(name, Job, ...)                                                              \
  static void name(const Job* __restrict__ job);                                            \
  extern "C" __attribute__((visibility("default"))) int shim_##name(const shim::Call* call) { \
    return shim::run({#name, [](const void* given) { name(static_cast<const Job*>(given)); }, \
                      shim::first(__VA_ARGS__)},                                            \
                     *call);                                                                \
  }                                                                                         \
  static void name([[maybe_unused]] const Job* __restrict__ job)

#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(shim::dynamic_shared())

// ---- barriers and warps

inline void __syncthreads(const shim::Where& where = shim::Where::current()) {
  shim::sync_block("__syncthreads", where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              const shim::Where& where = shim::Where::current()) {
  const unsigned long long* lanes = shim::exchange(predicate != 0, "__ballot_sync", mask, where);
  unsigned votes = 0;
  for (unsigned i = 0; i < shim::kWarp; ++i) votes |= static_cast<unsigned>(lanes[i]) << i;
  return votes;
}

inline int __any_sync(unsigned mask, int predicate,
                      const shim::Where& where = shim::Where::current()) {
  return __ballot_sync(mask, predicate, where) != 0;
}

inline int __all_sync(unsigned mask, int predicate,
                      const shim::Where& where = shim::Where::current()) {
  return __ballot_sync(mask, predicate, where) == 0xffffffffu;
}

template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          const shim::Where& where = shim::Where::current()) {
  const unsigned long long own = shim::bits_of(value);
  const unsigned long long* lanes = shim::exchange(own, "__match_any_sync", mask, where);
  unsigned same = 0;
  for (unsigned i = 0; i < shim::kWarp; ++i) same |= static_cast<unsigned>(lanes[i] == own) << i;
  return same;
}

// Source lanes as CUDA defines them: out of the segment of `width` lanes, a lane keeps its own.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              const shim::Where& where = shim::Where::current()) {
  const unsigned long long* lanes =
      shim::exchange(shim::bits_of(value), "__shfl_sync", mask, where);
  const unsigned size = static_cast<unsigned>(width);
  return shim::of_bits<T>(
      lanes[(shim::lane() & ~(size - 1)) + (static_cast<unsigned>(source) & (size - 1))]);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const shim::Where& where = shim::Where::current()) {
  const unsigned long long* lanes =
      shim::exchange(shim::bits_of(value), "__shfl_up_sync", mask, where);
  const unsigned in_segment = shim::lane() & (static_cast<unsigned>(width) - 1);
  return shim::of_bits<T>(lanes[shim::lane() - (delta <= in_segment ? delta : 0)]);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const shim::Where& where = shim::Where::current()) {
  const unsigned long long* lanes =
      shim::exchange(shim::bits_of(value), "__shfl_down_sync", mask, where);
  const unsigned size = static_cast<unsigned>(width);
  const unsigned in_segment = shim::lane() & (size - 1);
  return shim::of_bits<T>(lanes[shim::lane() + (delta < size - in_segment ? delta : 0)]);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int other, int width = 32,
                  const shim::Where& where = shim::Where::current()) {
  const unsigned long long* lanes =
      shim::exchange(shim::bits_of(value), "__shfl_xor_sync", mask, where);
  const unsigned size = static_cast<unsigned>(width);
  const unsigned source = shim::lane() ^ static_cast<unsigned>(other);
  // A lane of an earlier segment may be read, one of a later segment not.
  return shim::of_bits<T>(lanes[source < (shim::lane() & ~(size - 1)) + size ? source
                                                                             : shim::lane()]);
}

// ---- bits and numbers

inline int __popc(unsigned v) { return std::popcount(v); }
inline int __popcll(unsigned long long v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __clzll(long long v) { return std::countl_zero(static_cast<unsigned long long>(v)); }
inline int __ffs(int v) { return v == 0 ? 0 : std::countr_zero(static_cast<unsigned>(v)) + 1; }
inline int __ffsll(long long v) {
  return v == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(v)) + 1;
}
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline long long __double_as_longlong(double v) { return std::bit_cast<long long>(v); }
inline double __longlong_as_double(long long v) { return std::bit_cast<double>(v); }

// PTX min.f32 and max.f32: a NaN loses to a number, two make the canonical one, -0 is below +0.
// C's leave the last open. (The names of the C library are taken: hence the macros.)
namespace shim {
inline float least(float a, float b) {
  if (a != a) return b != b ? __uint_as_float(0x7fffffffu) : b;
  if (b != b) return a;
  if (a == b) return __uint_as_float(__float_as_uint(a) | __float_as_uint(b));
  return a < b ? a : b;
}
inline float greatest(float a, float b) {
  if (a != a) return b != b ? __uint_as_float(0x7fffffffu) : b;
  if (b != b) return a;
  if (a == b) return __uint_as_float(__float_as_uint(a) & __float_as_uint(b));
  return a > b ? a : b;
}
}  // namespace shim
#define fminf(a, b) shim::least(a, b)
#define fmaxf(a, b) shim::greatest(a, b)

#define ROBOCACHE_MIN_MAX(T)                            \
  inline T min(T a, T b) { return b < a ? b : a; }      \
  inline T max(T a, T b) { return a < b ? b : a; }
ROBOCACHE_MIN_MAX(int)
ROBOCACHE_MIN_MAX(unsigned)
ROBOCACHE_MIN_MAX(long long)
ROBOCACHE_MIN_MAX(unsigned long long)
#undef ROBOCACHE_MIN_MAX

template <class T>
T __ldg(const T* at) {
  return *at;
}

// ---- atomics: relaxed, as on the device

namespace shim {

template <class T, class F>
T update(T* at, F change) {
  at_atomic();
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (true) {
    T next = change(old);
    if (__atomic_compare_exchange(at, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return old;
    }
  }
}

template <class T>
T add(T* at, T value) {
  at_atomic();
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

template <class T>
T compare_and_swap(T* at, T expected, T value) {
  at_atomic();
  __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}

}  // namespace shim

inline int atomicAdd(int* at, int v) { return shim::add(at, v); }
inline unsigned atomicAdd(unsigned* at, unsigned v) { return shim::add(at, v); }
inline unsigned long long atomicAdd(unsigned long long* at, unsigned long long v) {
  return shim::add(at, v);
}
inline float atomicAdd(float* at, float v) {
  const unsigned old = shim::update(reinterpret_cast<unsigned*>(at), [v](unsigned bits) {
    return __float_as_uint(__uint_as_float(bits) + v);
  });
  return __uint_as_float(old);
}
inline unsigned atomicOr(unsigned* at, unsigned v) {
  shim::at_atomic();
  return __atomic_fetch_or(at, v, __ATOMIC_RELAXED);
}
inline unsigned atomicAnd(unsigned* at, unsigned v) {
  shim::at_atomic();
  return __atomic_fetch_and(at, v, __ATOMIC_RELAXED);
}
inline int atomicMin(int* at, int v) {
  return shim::update(at, [v](int old) { return min(old, v); });
}
inline unsigned atomicMin(unsigned* at, unsigned v) {
  return shim::update(at, [v](unsigned old) { return min(old, v); });
}
inline int atomicMax(int* at, int v) {
  return shim::update(at, [v](int old) { return max(old, v); });
}
inline unsigned atomicMax(unsigned* at, unsigned v) {
  return shim::update(at, [v](unsigned old) { return max(old, v); });
}
inline unsigned long long atomicMax(unsigned long long* at, unsigned long long v) {
  return shim::update(at, [v](unsigned long long old) { return max(old, v); });
}
inline unsigned atomicExch(unsigned* at, unsigned v) {
  shim::at_atomic();
  return __atomic_exchange_n(at, v, __ATOMIC_RELAXED);
}
inline unsigned atomicCAS(unsigned* at, unsigned expected, unsigned v) {
  return shim::compare_and_swap(at, expected, v);
}
inline unsigned long long atomicCAS(unsigned long long* at, unsigned long long expected,
                                    unsigned long long v) {
  return shim::compare_and_swap(at, expected, v);
}
inline void __threadfence() { shim::fence(); }
