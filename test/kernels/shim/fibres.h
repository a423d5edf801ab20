// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs the threads of a block one at a time on one OS thread. A thread runs until it has to wait;
// the order in which threads get their turns is the schedule. A fibre (a stack of its own) whose
// thread ended goes on with the next fresh thread, so a kernel without barriers costs plain calls.
// When nobody can go on but some have not ended, that is a deadlock on any schedule: reported.

#pragma once

#include <sys/mman.h>

#include <cstdarg>
#include <cstdlib>
#include <utility>
#include <vector>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

#ifdef __SANITIZE_ADDRESS__
#define __shared__ static  // left to AddressSanitizer, which puts red zones around it
#else
// One block runs at a time, so what is shared by its threads is static; gathered in one section,
// to be filled with poison before each block.
#define __shared__ static __attribute__((section("robocache_shared")))
extern "C" unsigned char __start_robocache_shared[] __attribute__((weak, visibility("hidden")));
extern "C" unsigned char __stop_robocache_shared[] __attribute__((weak, visibility("hidden")));
#endif

static shim::Index threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

#ifdef __SANITIZE_ADDRESS__
inline constexpr size_t kStackBytes = 512 * 1024;
#else
inline constexpr size_t kStackBytes = 128 * 1024;
#endif

// ---- switching stacks

#if defined(__x86_64__)
extern "C" void shim_switch(void** save, void* load) __attribute__((visibility("hidden")));
asm(R"(
.text
.hidden shim_switch
.globl shim_switch
.type shim_switch,@function
shim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size shim_switch,.-shim_switch
)");
struct Stack {
  void* pointer = nullptr;
  void start(unsigned char* low, size_t bytes, void (*entry)()) {
    void** top = reinterpret_cast<void**>(low + bytes);
    top[-2] = reinterpret_cast<void*>(entry);  // 8 below a multiple of 16 once it is popped
    for (int i = 3; i <= 8; ++i) top[-i] = nullptr;
    pointer = top - 8;
  }
};
inline void change(Stack& from, Stack& to) { shim_switch(&from.pointer, to.pointer); }
#elif defined(__aarch64__)
extern "C" void shim_switch(void** save, void* load) __attribute__((visibility("hidden")));
asm(R"(
.text
.hidden shim_switch
.globl shim_switch
.type shim_switch,%function
shim_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size shim_switch,.-shim_switch
)");
struct Stack {
  void* pointer = nullptr;
  void start(unsigned char* low, size_t bytes, void (*entry)()) {
    void** frame = reinterpret_cast<void**>(low + bytes - 160);
    std::memset(frame, 0, 160);
    frame[11] = reinterpret_cast<void*>(entry);  // x30
    pointer = frame;
  }
};
inline void change(Stack& from, Stack& to) { shim_switch(&from.pointer, to.pointer); }
#else
struct Stack {
  ucontext_t context;
  void start(unsigned char* low, size_t bytes, void (*entry)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = low;
    context.uc_stack.ss_size = bytes;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
  }
};
inline void change(Stack& from, Stack& to) { swapcontext(&from.context, &to.context); }
#endif

// ---- a block

enum State : unsigned char { FRESH, READY, WAITING, ENDED };

struct Thread {
  State state;
  bool in_warp;  // WAITING: for its warp, else for its block
  const char* what;
  const char* file;
  unsigned line;
  int fibre;  // -1: none
};

struct Warp {
  unsigned arrived;
  unsigned round;
  unsigned long long bits[2][kWarp];  // two, as a lane may be ahead of others by one exchange
};

struct Fibre {
  Stack stack;
  unsigned char* memory = nullptr;
};

struct Runner {
  const Kernel* kernel = nullptr;
  const Call* call = nullptr;
  Thread threads[kMostThreads];
  Warp warps[kMostThreads / kWarp];
  Fibre fibres[kMostThreads];
  int idle[kMostThreads];
  int idle_count = 0;
  unsigned order[kMostThreads];
  unsigned turn = 0;     // place in `order` of the thread that runs
  unsigned arrived = 0;  // at the barrier of the block
  unsigned ended = 0;
  bool failed = false;
  Stack scheduler;
  unsigned long long random = 0;
  unsigned char* shared = nullptr;
};

static Runner runner;

inline unsigned long long next_random() {  // splitmix64
  unsigned long long z = (runner.random += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

inline void put_in_order(unsigned* list, unsigned n, int order) {
  for (unsigned i = 0; i < n; ++i) list[i] = order == REVERSE ? n - 1 - i : i;
  if (order != SHUFFLED) return;
  for (unsigned i = n; i > 1; --i) std::swap(list[i - 1], list[next_random() % i]);
}

__attribute__((format(printf, 1, 2))) inline void fail(const char* format, ...) {
  const Call& call = *runner.call;
  runner.failed = true;
  int used = std::snprintf(call.report, call.report_bytes, "kernel %s, block %u of %u: ",
                           runner.kernel->name, blockIdx.x, call.blocks);
  std::va_list values;
  va_start(values, format);
  std::vsnprintf(call.report + used, call.report_bytes - used, format, values);
  va_end(values);
}

inline Thread& self() { return runner.threads[threadIdx.x]; }

inline void to_scheduler() {
  change(runner.fibres[self().fibre].stack, runner.scheduler);
}

// Ends the launch from inside a thread: its stack is given up.
[[noreturn]] inline void abandon() {
  to_scheduler();
  std::abort();  // never resumed
}

inline void wait_at(const char* what, const Where& where, bool in_warp) {
  Thread& thread = self();
  thread.state = WAITING;
  thread.in_warp = in_warp;
  thread.what = what;
  thread.file = where.file_name();
  thread.line = where.line();
}

// All who wait in [first, first + count) must wait at the same place.
inline void check_same_place(unsigned first, unsigned count, const char* who) {
  const Thread& here = self();
  for (unsigned i = first; i < first + count; ++i) {
    const Thread& other = runner.threads[i];
    if (other.what != here.what || other.line != here.line) {
      fail("divergence: threads of one %s meet at different places: thread %u in %s at %s:%u, "
           "thread %u in %s at %s:%u",
           who, i, other.what, other.file, other.line, threadIdx.x, here.what, here.file,
           here.line);
      abandon();
    }
  }
}

inline void release(unsigned first, unsigned count) {
  for (unsigned i = first; i < first + count; ++i) runner.threads[i].state = READY;
}

inline void sync_block(const char* what, const Where& where) {
  wait_at(what, where, false);
  if (++runner.arrived < blockDim.x) {
    to_scheduler();
    return;
  }
  runner.arrived = 0;
  check_same_place(0, blockDim.x, "block");
  release(0, blockDim.x);
}

inline unsigned lane() { return threadIdx.x % kWarp; }

inline const unsigned long long* exchange(unsigned long long bits, const char* what,
                                          unsigned mask, const Where& where) {
  if (mask != 0xffffffffu) {
    fail("%s at %s:%u with mask 0x%08x: kernels use full warps", what, where.file_name(),
         where.line(), mask);
    abandon();
  }
  Warp& warp = runner.warps[threadIdx.x / kWarp];
  unsigned long long* lanes = warp.bits[warp.round % 2];
  lanes[lane()] = bits;
  wait_at(what, where, true);
  if (++warp.arrived < kWarp) {
    to_scheduler();
    return lanes;
  }
  warp.arrived = 0;
  ++warp.round;
  const unsigned first = threadIdx.x - lane();
  check_same_place(first, kWarp, "warp");
  release(first, kWarp);
  return lanes;
}

// In shuffled order one atomic in eight lets others go first.
inline void at_atomic() {
  if (runner.call->order == SHUFFLED && next_random() % 8 == 0) {
    self().state = READY;
    to_scheduler();
  }
}

inline void fence() {}  // one OS thread sees all in order

inline unsigned char* dynamic_shared() { return runner.shared; }

// Where a fibre begins: runs its thread, then fresh ones as long as they are next.
inline void fibre_main() {
  while (true) {
    runner.kernel->body(runner.call->job);
    const int fibre = self().fibre;
    self().state = ENDED;
    ++runner.ended;
    const unsigned next = runner.turn + 1;
    if (next < blockDim.x && runner.threads[runner.order[next]].state == FRESH) {
      runner.turn = next;
      threadIdx.x = runner.order[next];
      self().fibre = fibre;
      self().state = READY;
      continue;
    }
    runner.idle[runner.idle_count++] = fibre;
    change(runner.fibres[fibre].stack, runner.scheduler);
  }
}

inline bool take_fibre(Thread& thread) {
  if (runner.idle_count > 0) {
    thread.fibre = runner.idle[--runner.idle_count];
    return true;
  }
  for (unsigned i = 0; i < kMostThreads; ++i) {
    Fibre& fibre = runner.fibres[i];
    if (fibre.memory != nullptr) continue;
    void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    mprotect(memory, 4096, PROT_NONE);  // an overflow is a crash, not a silent error
    fibre.memory = static_cast<unsigned char*>(memory);
    fibre.stack.start(fibre.memory, kStackBytes, fibre_main);
    thread.fibre = static_cast<int>(i);
    return true;
  }
  return false;
}

// '0-30, 32': which threads a fault is about.
template <class Predicate>
void list_threads(char* text, size_t bytes, Predicate wanted) {
  size_t used = 0;
  text[0] = 0;
  for (unsigned i = 0; i < blockDim.x && used + 24 < bytes; ++i) {
    if (!wanted(runner.threads[i])) continue;
    unsigned last = i;
    while (last + 1 < blockDim.x && wanted(runner.threads[last + 1])) ++last;
    used += std::snprintf(text + used, bytes - used, used ? ", %u" : "%u", i);
    if (last > i) used += std::snprintf(text + used, bytes - used, "-%u", last);
    i = last;
  }
}

inline void report_deadlock() {
  char text[1024];
  size_t used = 0;
  char list[200];
  for (unsigned i = 0; i < blockDim.x && used + 300 < sizeof text; ++i) {
    const Thread& one = runner.threads[i];
    const auto alike = [&one](const Thread& other) {
      return other.state == one.state &&
             (one.state == ENDED || (other.what == one.what && other.line == one.line));
    };
    bool told = false;
    for (unsigned before = 0; before < i; ++before) told |= alike(runner.threads[before]);
    if (told) continue;
    list_threads(list, sizeof list, alike);
    if (one.state == ENDED) {
      used += std::snprintf(text + used, sizeof text - used, "; threads %s have ended", list);
    } else {
      used += std::snprintf(text + used, sizeof text - used, "; threads %s wait in %s at %s:%u",
                            list, one.what, one.file, one.line);
    }
  }
  fail("deadlock%s", text);
}

inline bool run_block() {
  runner.arrived = runner.ended = 0;
  for (unsigned i = 0; i < blockDim.x; ++i) runner.threads[i] = {FRESH, false, "", "", 0, -1};
  for (unsigned i = 0; i < blockDim.x / kWarp; ++i) runner.warps[i].arrived = 0;
#ifndef __SANITIZE_ADDRESS__
  if (__start_robocache_shared != nullptr) {
    std::memset(__start_robocache_shared, kPoison,
                __stop_robocache_shared - __start_robocache_shared);
  }
#endif
  if (runner.call->shared_bytes > 0) {
    std::memset(runner.shared, kPoison, runner.call->shared_bytes);
  }
  while (runner.ended < blockDim.x) {
    put_in_order(runner.order, blockDim.x, runner.call->order);
    bool moved = false;
    for (runner.turn = 0; runner.turn < blockDim.x; ++runner.turn) {
      threadIdx.x = runner.order[runner.turn];
      Thread& thread = self();
      if (thread.state != FRESH && thread.state != READY) continue;
      if (thread.state == FRESH && !take_fibre(thread)) {
        fail("no memory for the stack of a thread");
        return false;
      }
      thread.state = READY;
      moved = true;
      change(runner.scheduler, runner.fibres[thread.fibre].stack);
      if (runner.failed) return false;
    }
    if (!moved) {
      report_deadlock();
      return false;
    }
  }
  return true;
}

// After a fault: stacks hold half-run threads; all of them begin anew.
inline void reset_fibres() {
  runner.idle_count = 0;
  for (Fibre& fibre : runner.fibres) {
    if (fibre.memory == nullptr) continue;
    munmap(fibre.memory, kStackBytes);
    fibre.memory = nullptr;
  }
}

inline int run(const Kernel& kernel, const Call& call) {
  runner.kernel = &kernel;
  runner.call = &call;
  runner.failed = false;
  runner.random = call.seed;
  blockDim.x = call.threads;
  gridDim.x = call.blocks;
  blockIdx.x = 0;
  if (const char* reason = refusal(kernel, call)) {
    fail("%s (%u threads a block)", reason, call.threads);
    return 1;
  }
  // Exactly as long as asked for, so that AddressSanitizer sees what lies beyond.
  void* shared = nullptr;
  if (call.shared_bytes > 0 && posix_memalign(&shared, 16, call.shared_bytes) != 0) {
    fail("no memory for its shared memory");
    return 1;
  }
  runner.shared = static_cast<unsigned char*>(shared);
  std::vector<unsigned> order(call.blocks);
  put_in_order(order.data(), call.blocks, call.order);
  for (unsigned block : order) {
    if (block % call.block_step != call.first_block) continue;
    blockIdx.x = block;
    if (!run_block()) break;
  }
  std::free(shared);
  if (runner.failed) reset_fibres();
  return runner.failed ? 1 : 0;
}

}  // namespace shim
