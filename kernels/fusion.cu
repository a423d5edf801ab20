// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Streams resampled at target times and laid side by side (numerics rules 6 and 7).
//
// Parallel over: a block per row, which is one target of one sequence; in it a warp per strip,
// which is up to 128 columns of one stream. A small call is all latency, so the chain of loads
// that wait for each other is short: job and strip, target and times, samples. The lanes of a warp
// search the times together, and each then makes four columns.
//
// Values that are on the device already are first brought into the form of those that are sent:
// `take` checks and copies them, a warp per sample.
//
// Bytes: every sample that is used once for each target that uses it, mostly from the cache; the
// times of a stream once for each of its strips and targets; every result once.
//
// The specification is backends/numpy_resample.py, numpy_slerp.py and numpy_half.py.

#include "common.cuh"
#include "half.cuh"
#include "slerp.cuh"

enum Rule : i32 { LINEAR, SLERP, HOLD, NEAREST };  // as in resampling.RULES

#define NEVER_SEEN_AGE_SEC 3600.0f
#define AFTER_ALL 0x7fffffffffffffffll  // later than any time

// Some columns of one stream, and where they go.
struct Strip {
  u64 times;       // i64[B][samples] ns, rising
  u64 values;      // Format[B][samples][width]
  i64 max_gap_ns;
  i32 samples;     // of a sequence
  i32 width;       // columns of the stream
  i32 first;       // column of the stream that the strip begins with
  i32 columns;     // of the strip, at most 128
  i32 out_column;  // where it begins among the columns of the output
  i32 stream;
  i32 rule;        // Rule
  i32 format;      // Format
  i32 quads;       // 1: rows lie so, here and in the output, that four columns move at once
};

// The strips follow the job in memory, so that a warp finds its own without waiting for the job;
// there are at least as many as warps in a block.
struct FusionJob {
  u64 targets;  // i64[rows] ns
  u64 values;   // Format[rows][stride], out
  u64 valid;    // u8[rows][streams], out
  u64 age;      // float[rows][streams] s, out
  u64 lower;    // i64[rows][streams], out; 0: not asked for, as upper
  u64 upper;
  i64 stride;   // from row to row of the output, in values
  i32 rows;     // B * T
  i32 targets_each;  // T
  i32 strips;
  i32 streams;
  i32 format;   // Format of the output
};

// What a target finds in its stream: see _find_brackets and _settle of the specification.
struct Bracket {
  i32 lower;  // first sample used
  i32 upper;  // last sample used
  bool valid;
  i64 dt;   // ns since the sample at or before the target; negative before the first one
  i64 gap;  // ns from there to the next sample; 0 on an exact hit and outside the samples
};

// ---- times

// How many of the times are not after the target; the whole warp asks together.
static __device__ __forceinline__ i32 count_until(const i64* times, i32 samples, i64 target,
                                                  i32 lane) {
  i32 begin = 0, end = samples;  // the count lies in begin .. end
  while (end - begin > 256) {
    const i32 step = (end - begin + 31) / 32;
    const i32 probe = begin + (lane + 1) * step - 1;
    const bool until = probe < end && times[probe] <= target;
    begin += __popc(__ballot_sync(FULL_WARP, until)) * step;
    end = min(end, begin + step);
  }
  i64 seen[8];  // all on their way at once
#pragma unroll
  for (i32 k = 0; k < 8; ++k) {
    const i32 i = begin + 32 * k + lane;
    seen[k] = i < end ? times[i] : AFTER_ALL;
  }
#pragma unroll
  for (i32 k = 0; k < 8; ++k) begin += __popc(__ballot_sync(FULL_WARP, seen[k] <= target));
  return begin;
}

static __device__ __forceinline__ Bracket bracket(const Strip& strip, const i64* times, i64 target,
                                                  i32 lane) {
  const i32 before = max(count_until(times, strip.samples, target, lane) - 1, 0);
  const i32 next = min(before + 1, strip.samples - 1);
  const i64 t0 = times[before], t1 = times[next];
  Bracket found;
  found.dt = target - t0;
  found.gap = found.dt > 0 ? t1 - t0 : 0;
  found.lower = before;
  found.upper = found.dt > 0 ? next : before;
  const bool inside = static_cast<u64>(found.dt) <= static_cast<u64>(found.gap);
  const bool close = found.gap <= strip.max_gap_ns;
  const i64 after = found.gap - found.dt;
  const i64 nearer = found.dt < after ? found.dt : after;
  const i32 nearest = found.dt > nearer ? found.upper : before;  // the earlier one when tied
  found.valid = inside && close;
  if (strip.rule == HOLD) {
    found.upper = before;
    found.valid = static_cast<u64>(found.dt) <= static_cast<u64>(strip.max_gap_ns);
  } else if (strip.rule == NEAREST) {
    found.lower = found.upper = nearest;
    found.valid = inside && nearer <= strip.max_gap_ns;
  } else if (!close) {
    found.lower = found.upper = nearest;
  }
  return found;
}

// Of the upper sample. A product and no choice: before the first sample it is -0.
static __device__ __forceinline__ float weight_of(const Bracket& found) {
  const double gap = static_cast<double>(found.gap > 1 ? found.gap : 1);
  return static_cast<float>(static_cast<double>(found.dt) / gap) * (found.valid ? 1.0f : 0.0f);
}

// ---- values

struct alignas(8) Words2 {
  u32 x, y;
};
struct alignas(16) Words4 {
  u32 x, y, z, w;
};

static __device__ __forceinline__ i64 size_of(i32 format) {
  return format == AS_FLOAT32 ? 4 : 2;
}

// Of the strip's columns, the k-th that a lane makes: neighbours share a transaction.
static __device__ __forceinline__ i32 column_of(const Strip& strip, i32 lane, i32 k) {
  return strip.quads ? 4 * lane + k : lane + 32 * k;
}

static __device__ __forceinline__ void unpack(Words2 words, u32 (&bits)[4]) {
  bits[0] = words.x & 0xffffu;
  bits[1] = words.x >> 16;
  bits[2] = words.y & 0xffffu;
  bits[3] = words.y >> 16;
}

static __device__ __forceinline__ void unpack(Words4 words, u32 (&bits)[4]) {
  bits[0] = words.x;
  bits[1] = words.y;
  bits[2] = words.z;
  bits[3] = words.w;
}

template <class Word>
static __device__ __forceinline__ Word load(const u8* row, i32 i) {
  return reinterpret_cast<const Word*>(row)[i];
}

// The bits of a lane's columns in the rows of both samples; every four lanes have a quaternion.
template <class Value, class Quad>
static __device__ __forceinline__ void load_pair(const Strip& strip, const u8* lower,
                                                 const u8* upper, i32 lane, u32 (&a)[4],
                                                 u32 (&b)[4]) {
  if (strip.quads) {
    lane = min(lane, strip.columns / 4 - 1);
    const Quad from = load<Quad>(lower, lane), to = load<Quad>(upper, lane);
    unpack(from, a);
    unpack(to, b);
    return;
  }
#pragma unroll
  for (i32 k = 0; k < 4; ++k) {
    const i32 column = strip.rule == SLERP ? lane % 4 : column_of(strip, lane, k);
    a[k] = load<Value>(lower, min(column, strip.columns - 1));
    b[k] = load<Value>(upper, min(column, strip.columns - 1));
  }
}

static __device__ __forceinline__ void blend(const Strip& strip, const u32 (&a)[4],
                                             const u32 (&b)[4], float weight, float (&out)[4]) {
  if (strip.rule == SLERP) {
    const float first = widen(a[0], strip.format), second = widen(b[0], strip.format);
    out[0] = static_cast<float>(slerp(first, second, weight));
    return;
  }
#pragma unroll
  for (i32 k = 0; k < 4; ++k) {
    out[k] = widen(a[k], strip.format);
    if (strip.rule == LINEAR) {
      const float difference = widen(b[k], strip.format) - out[k];
      out[k] = out[k] + difference * weight;
    }
  }
}

static __device__ __forceinline__ void store(const Strip& strip, u8* row, i32 format, i32 lane,
                                             const float (&values)[4]) {
  u32 bits[4];
#pragma unroll
  for (i32 k = 0; k < 4; ++k) bits[k] = narrow(values[k], format);
  if (strip.quads && format == AS_FLOAT32) {
    reinterpret_cast<Words4*>(row)[lane] = Words4{bits[0], bits[1], bits[2], bits[3]};
  } else if (strip.quads) {
    reinterpret_cast<Words2*>(row)[lane] =
        Words2{bits[0] | (bits[1] << 16), bits[2] | (bits[3] << 16)};
  } else {
#pragma unroll
    for (i32 k = 0; k < 4; ++k) {
      const i32 column = column_of(strip, lane, k);
      if (column >= strip.columns) break;
      if (format == AS_FLOAT32) {
        reinterpret_cast<u32*>(row)[column] = bits[k];
      } else {
        reinterpret_cast<u16*>(row)[column] = static_cast<u16>(bits[k]);
      }
    }
  }
}

// ---- rows

static __device__ __forceinline__ void report(const FusionJob& job, const Strip& strip, i32 row,
                                              const Bracket& found) {
  const i64 at = static_cast<i64>(row) * job.streams + strip.stream;
  const float age = static_cast<float>(static_cast<double>(found.dt) / 1e9);
  reinterpret_cast<u8*>(job.valid)[at] = found.valid ? 1 : 0;
  reinterpret_cast<float*>(job.age)[at] = strip.samples > 0 ? age : NEVER_SEEN_AGE_SEC;
  if (job.lower != 0) {
    reinterpret_cast<i64*>(job.lower)[at] = found.lower;
    reinterpret_cast<i64*>(job.upper)[at] = found.upper;
  }
}

static __device__ __forceinline__ void fuse_row(const FusionJob& job, const Strip& strip, i32 row,
                                                i32 lane) {
  const i64 target = reinterpret_cast<const i64*>(job.targets)[row];
  const i64 first = static_cast<i64>(row / job.targets_each) * strip.samples;
  Bracket found = {-1, -1, false, 0, 0};
  float values[4] = {strip.rule == SLERP && lane == 3 ? 1.0f : 0.0f, 0.0f, 0.0f, 0.0f};
  if (strip.samples > 0) {
    found = bracket(strip, reinterpret_cast<const i64*>(strip.times) + first, target, lane);
  }
  if (strip.samples > 0 && strip.columns > 0) {
    const i64 row_bytes = strip.width * size_of(strip.format);
    const u8* rows = reinterpret_cast<const u8*>(strip.values) + first * row_bytes +
                     strip.first * size_of(strip.format);
    const u8* lower = rows + found.lower * row_bytes;
    const u8* upper = rows + found.upper * row_bytes;
    u32 a[4], b[4];  // on their way while the weight is computed
    if (strip.format == AS_FLOAT32) {
      load_pair<u32, Words4>(strip, lower, upper, lane, a, b);
    } else {
      load_pair<u16, Words2>(strip, lower, upper, lane, a, b);
    }
    blend(strip, a, b, weight_of(found), values);
  }
  const i64 out = static_cast<i64>(row) * job.stride + strip.out_column;
  u8* out_row = reinterpret_cast<u8*>(job.values) + out * size_of(job.format);
  if (column_of(strip, lane, 0) < strip.columns) store(strip, out_row, job.format, lane, values);
  if (lane == 0 && strip.first == 0) report(job, strip, row, found);
}

KERNEL(fuse, FusionJob, 512) {
  const Strip* strips = reinterpret_cast<const Strip*>(job + 1);
  const i32 lane = threadIdx.x % 32, warps = blockDim.x / 32;
  i32 s = threadIdx.x / 32;
  Strip strip = strips[s];  // not behind a condition that waits for the job
  while (true) {
    for (i32 row = blockIdx.x; row < job->rows; row += gridDim.x) fuse_row(*job, strip, row, lane);
    s += warps;
    if (s >= job->strips) break;
    strip = strips[s];
  }
}

// ---- samples that are on the device already

// Values of one stream where they lie, and where `fuse` is to read them.
struct Source {
  u64 from;        // [B][samples][width], any strides
  u64 to;          // Format[B][samples][width]
  i64 strides[3];  // bytes
  i64 begin;       // samples begin .. end - 1 of the call
  i64 end;
  i32 samples;     // of a sequence
  i32 width;
  i32 rule;        // Rule
  i32 format;      // Format
  i32 wide;        // 1: from float64
};

struct SamplesJob {
  u64 sources;   // Source[], one for each stream
  u64 unusable;  // u32 of the device, 0 before: whether a sample has to be left out
  u64 told;      // u32 of the host, out: the same
  i64 samples;   // of all sequences of all streams
};

// A value as it is stored, without -0.
static __device__ __forceinline__ u32 canonical_bits(const Source& source, u64 at) {
  if (source.wide) {
    return __float_as_uint(static_cast<float>(*reinterpret_cast<const double*>(at)) + 0.0f);
  }
  if (source.format != AS_FLOAT32) return *reinterpret_cast<const u16*>(at);
  return __float_as_uint(*reinterpret_cast<const float*>(at) + 0.0f);
}

// Finite and below 2^126; the rules are those of batch.py.
static __device__ __forceinline__ bool is_usable(u32 bits, i32 format) {
  if (format == AS_FLOAT16) return (bits & 0x7fffu) < 0x7c00u;
  return (__float_as_uint(widen(bits, format)) & 0x7fffffffu) < 0x7e800000u;
}

static __device__ __forceinline__ bool is_near_unit(const Source& source, u64 row) {
  double squares[4];
#pragma unroll
  for (i32 k = 0; k < 4; ++k) {
    const u32 bits = canonical_bits(source, row + static_cast<u64>(k * source.strides[2]));
    const double component = static_cast<double>(widen(bits, source.format));
    squares[k] = component * component;
  }
  const double norm2 = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  return norm2 >= 0.5 && norm2 <= 2.0;
}

// Copies sample k of a stream; false if a lane has found that it is to be left out.
static __device__ __forceinline__ bool take_sample(const Source& source, i64 k, i32 lane) {
  const i64 b = k / source.samples;
  const i64 offset = b * source.strides[0] + (k - b * source.samples) * source.strides[1];
  const u64 row = source.from + static_cast<u64>(offset);
  const u64 to = source.to + static_cast<u64>(k * source.width * size_of(source.format));
  const bool quaternion = source.rule == SLERP;
  bool usable = !quaternion || lane > 0 || is_near_unit(source, row);
  for (i32 c = lane; c < source.width; c += 32) {
    const u32 bits = canonical_bits(source, row + static_cast<u64>(c * source.strides[2]));
    usable = usable && (quaternion || is_usable(bits, source.format));
    if (source.format == AS_FLOAT32) {
      reinterpret_cast<u32*>(to)[c] = bits;
    } else {
      reinterpret_cast<u16*>(to)[c] = static_cast<u16>(bits);
    }
  }
  return usable;
}

// Parallel over: a warp per sample, a lane per value.
KERNEL(take, SamplesJob, 256) {
  const Source* sources = reinterpret_cast<const Source*>(job->sources);
  for (i64 i = FIRST / 32; i < job->samples; i += STRIDE / 32) {
    const Source* source = sources;
    while (i >= source->end) ++source;
    if (!take_sample(*source, i - source->begin, threadIdx.x % 32)) {
      atomicOr(reinterpret_cast<u32*>(job->unusable), 1u);
    }
  }
}

KERNEL(tell, SamplesJob, 32) {
  if (FIRST == 0) *reinterpret_cast<u32*>(job->told) = *reinterpret_cast<u32*>(job->unusable);
}
