// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs every CUDA thread on an OS thread of its own, for ThreadSanitizer. What orders memory on a
// GPU orders it here, and nothing else does: __syncthreads and __threadfence, but not atomics and
// not warp operations, which therefore meet in code that the sanitizer does not see.
// Only for kernels that passed under fibres.h: a deadlock is not detected here, it is one.
//
// Shared memory is static, so one library runs one block at a time; blocks run beside one another
// when the library is loaded several times, each copy taking its share of the blocks.

#pragma once

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <thread>
#include <vector>

#define __shared__ static
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))

static shim::Index blockDim, gridDim;
static thread_local shim::Index threadIdx, blockIdx;

namespace shim {

inline constexpr size_t kStackBytes = 256 * 1024;

struct Warp {
  unsigned arrived;
  unsigned round;
  unsigned long long bits[2][kWarp];  // two, as a lane may be ahead of others by one exchange
};

struct Runner {
  const Kernel* kernel;
  const Call* call;
  pthread_barrier_t barrier;
  Warp warps[kMostThreads / kWarp];
  unsigned char* shared;
};

static Runner runner;

inline unsigned lane() { return threadIdx.x % kWarp; }
inline void at_atomic() {}
inline unsigned char* dynamic_shared() { return runner.shared; }

inline void sync_block(const char*, const Where&) { pthread_barrier_wait(&runner.barrier); }

UNSEEN inline const unsigned long long* exchange(unsigned long long bits, const char*, unsigned,
                                                 const Where&) {
  Warp& warp = runner.warps[threadIdx.x / kWarp];
  const unsigned round = __atomic_load_n(&warp.round, __ATOMIC_ACQUIRE);
  unsigned long long* lanes = warp.bits[round % 2];
  __atomic_store_n(&lanes[threadIdx.x % kWarp], bits, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&warp.arrived, 1, __ATOMIC_ACQ_REL) == kWarp) {
    __atomic_store_n(&warp.arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&warp.round, round + 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &warp.round, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  } else {
    while (__atomic_load_n(&warp.round, __ATOMIC_ACQUIRE) == round) {
      syscall(SYS_futex, &warp.round, FUTEX_WAIT_PRIVATE, round, nullptr, nullptr, 0);
    }
  }
  // A copy of this thread's own, as the sanitizer sees who reads it.
  static thread_local unsigned long long seen[kWarp];
  for (unsigned i = 0; i < kWarp; ++i) seen[i] = __atomic_load_n(&lanes[i], __ATOMIC_RELAXED);
  return seen;
}

// Weak and visible: one for all copies of all libraries.
inline __attribute__((visibility("default"))) unsigned fence_of_all = 0;

inline void fence() { __atomic_fetch_add(&fence_of_all, 1, __ATOMIC_ACQ_REL); }

// Waits until all threads of all copies are there. The sanitizer takes a thread that begins after
// another one ended for the same, and sees no race between them.
UNSEEN inline void pass_gate(unsigned* arrived, unsigned all) {
  unsigned count = __atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL);
  if (count == all) syscall(SYS_futex, arrived, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  while (count != all) {
    syscall(SYS_futex, arrived, FUTEX_WAIT_PRIVATE, count, nullptr, nullptr, 0);
    count = __atomic_load_n(arrived, __ATOMIC_ACQUIRE);
  }
}

inline void* run_thread(void* index) {
  const Call& call = *runner.call;
  threadIdx.x = static_cast<unsigned>(reinterpret_cast<uintptr_t>(index));
  pass_gate(call.gate, call.threads * call.block_step);
  for (unsigned block = call.first_block; block < call.blocks; block += call.block_step) {
    blockIdx.x = block;
    runner.kernel->body(call.job);
    pthread_barrier_wait(&runner.barrier);  // the next block has shared memory of its own
  }
  return nullptr;
}

// A thread with a small stack: the sanitizer clears its picture of all of it, twice.
inline pthread_t start_thread(unsigned index) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread;
  void* argument = reinterpret_cast<void*>(static_cast<uintptr_t>(index));
  if (pthread_create(&thread, &attributes, run_thread, argument) != 0) std::abort();
  pthread_attr_destroy(&attributes);
  return thread;
}

inline int run(const Kernel& kernel, const Call& call) {
  if (const char* reason = refusal(kernel, call)) {
    std::snprintf(call.report, call.report_bytes, "kernel %s: %s", kernel.name, reason);
    return 1;
  }
  runner.kernel = &kernel;
  runner.call = &call;
  runner.shared = static_cast<unsigned char*>(std::malloc(call.shared_bytes));
  blockDim.x = call.threads;
  gridDim.x = call.blocks;
  pthread_barrier_init(&runner.barrier, nullptr, call.threads);
  std::vector<pthread_t> threads;
  for (unsigned i = 0; i < call.threads; ++i) threads.push_back(start_thread(i));
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  pthread_barrier_destroy(&runner.barrier);
  std::free(runner.shared);
  return 0;
}

}  // namespace shim

// Runs one launch in several copies of a library at once.
extern "C" __attribute__((visibility("default"))) int shim_together(
    int (*const* kernels)(const shim::Call*), const shim::Call* calls, unsigned count) {
  std::vector<int> failed(count);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([=, &failed] { failed[i] = kernels[i](&calls[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (int one : failed) {
    if (one != 0) return one;
  }
  return 0;
}
