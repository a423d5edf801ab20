// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// What the kernels share: types, how a kernel is written, and how points are read from the bytes
// of messages. No CUDA header is included, so that NVRTC alone compiles every file, and a C++
// compiler does under the shim of the tests (ROBOCACHE_SHIM).
//
// A kernel gets one argument, its job: a struct in device memory that is uploaded ahead of the
// payload. All sizes, layouts and addresses come from there, so a recorded graph can be replayed
// for the next message. The host's side of every struct is a NumPy dtype of the same name in
// backends/cuda; a test compares them field by field.
//
// Bits: compiled with --fmad=false -ftz=false -prec-div=true -prec-sqrt=true; every float
// operation below is written in the order of the NumPy backend, which is the specification.

#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#ifndef ROBOCACHE_SHIM
// A kernel `name` with `job` in scope: KERNEL(name, Job, most threads a block), and where the
// assembler would rather spill than hold fewer, so many blocks at once on a multiprocessor.
#define KERNEL(name, Job, ...) \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const Job* __restrict__ job)
// Dynamic shared memory as an array; once in a kernel.
#define DYNAMIC_SHARED(type, name)                          \
  extern __shared__ __align__(16) u8 dynamic_shared_bytes[]; \
  type* name = reinterpret_cast<type*>(dynamic_shared_bytes)
#endif

// for (i64 i = FIRST; i < n; i += STRIDE): every element once, whatever the number of blocks.
#define FIRST (static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x)
#define STRIDE (static_cast<i64>(gridDim.x) * blockDim.x)

#define FULL_WARP 0xffffffffu
#define LANE (threadIdx.x & 31)

#define OUTSIDE 0xffffffffu       // cell of a point that is in none
#define STEPS_PER_CELL 1048576.0  // 2^20: resolution of a point within its cell, for centroids
#define MAX_STEPS 34359738368.0   // 2^35: values of this many steps are left out of sums
#define NO_VALUE_BITS 0x7fc00000u  // of a voxel without a valid value: a constant, never computed
#define SEGMENT_BITS 22           // a segment of a motion lasts 2^22 ns
#define PER_SEGMENT 2.384185791015625e-7f  // 2^-22

// What lies at an address of device memory. Told so, the compiler uses the instructions for that.
// In a kernel with shared memory it cannot know, and uses those for both kinds: atomic operations
// that wait for an answer which nobody asked for, those of 64 bits with a loop beside them.
// In files without shared memory the assembler finds out by itself; there it must not be told, as
// NVRTC 12.9 does not come to an end where a loop advances such a pointer. Those that use points
// define NO_SHARED_MEMORY.
template <class T>
static __device__ __forceinline__ T* global(u64 address) {
#if defined(ROBOCACHE_SHIM) || defined(NO_SHARED_MEMORY)
  return reinterpret_cast<T*>(address);
#else
  return static_cast<T*>(__cvta_global_to_generic(address));
#endif
}

// Element `index` of an array at an address. Where a loop counts the index, this keeps the compiler
// from advancing a pointer.
template <class T>
static __device__ __forceinline__ T& element(u64 address, i64 index) {
  return *global<T>(address + static_cast<u64>(index) * sizeof(T));
}

// Reads what other threads may change by atomics at the same time.
template <class T>
static __device__ __forceinline__ T load_relaxed(const T* at) {
#ifdef ROBOCACHE_SHIM
  return __atomic_load_n(at, __ATOMIC_RELAXED);
#else
  return *static_cast<const volatile T*>(at);
#endif
}

// ---- bytes of messages

// PointField datatypes, and 0 for a field that a cloud does not have. Those of 64 bits are times.
// A painted one is a float32 of ours, NO_VALUE_BITS where no camera saw the point.
enum Type : i32 {
  ABSENT, INT8, UINT8, INT16, UINT16, INT32, UINT32, FLOAT32, FLOAT64, INT64, UINT64, BOOL, PAINTED
};

// Where one field of a cloud lies: a value every `point_stride` bytes, rows `row_stride` apart;
// both are 0 where all points have one value.
struct Field {
  u64 address;
  i64 point_stride;
  i64 row_stride;
  i32 type;     // Type
  i32 swapped;  // 1: big-endian
};

// What a cloud's points are moved by, into the frame of the grid.
enum Moved : i32 { NOT_MOVED, BY_TRANSFORM, BY_MOTION };

// How points move, each by its own time. A segment is nine float4, three for each coordinate that
// comes out: a row of M0 and the value of T0, a row of M1 and the value of dT, a row of M2 and 0.
struct Motion {
  Field time;
  u64 segments;  // float4[segments][3][3]
  double scale;  // ns per unit of the time
  double base;   // value of the time at the begin of the first segment
  double last;   // ns after that begin, of the end of the last one
};

// One cloud: points begin .. end - 1 of the call, row by row.
struct Cloud {
  i64 begin;
  i64 end;
  i64 width;         // points in a row
  double origin[3];  // subtracted from x, y, z in float64 before they become float32
  Motion motion;
  float rotation[9];
  float translation[3];
  i32 shifted;  // 1: origin is not zero
  i32 moved;    // Moved
};

// The clouds of one call, end to end, and the grid they fall into.
struct Points {
  u64 clouds;       // Cloud[cloud_count]
  u64 fields;       // Field[cloud_count][field_count]: x, y, z, then those of the channels
  u64 paint;        // Paint of paint.cu, which alone reads it
  i64 n;            // points looked at
  i64 dims[3];      // cells along x, y, z
  float origin[3];  // lower corner, metres
  float inv[3];     // cells per metre
  i32 cloud_count;
  i32 field_count;
  u64 plain_address[3];  // of x, y, z, where `plain`
  i64 plain_stride[3];
  i32 plain;  // 1: one cloud in one row, x, y, z are float32 in our byte order, origin zero
};

static __device__ __forceinline__ u32 load_u32_swapped(u32 v, i32 swapped) {
  return swapped ? (v >> 24) | ((v >> 8) & 0xff00u) | ((v << 8) & 0xff0000u) | (v << 24) : v;
}

// 16, 32 or 64 bits at any address: from aligned words, which never cross the end of the memory,
// as all of it is a multiple of 8 bytes.
static __device__ __forceinline__ u32 load_bits16(u64 address, i32 swapped) {
  const u8* at = global<const u8>(address);
  return swapped ? (static_cast<u32>(at[0]) << 8) | at[1]
                 : at[0] | (static_cast<u32>(at[1]) << 8);
}

static __device__ __forceinline__ u32 load_word32(u64 address) {
  const u32* words = global<const u32>(address & ~3ull);
  const u32 shift = static_cast<u32>(address & 3) * 8;
  const u32 low = __ldg(words), high = __ldg(words + (shift != 0));
  return static_cast<u32>(((static_cast<u64>(high) << 32) | low) >> shift);
}

static __device__ __forceinline__ u32 load_bits32(u64 address, i32 swapped) {
  return load_u32_swapped(load_word32(address), swapped);
}

static __device__ __forceinline__ u64 load_bits64(u64 address, i32 swapped) {
  const u32 first = load_bits32(address, swapped);
  const u32 second = load_bits32(address + 4, swapped);
  return swapped ? (static_cast<u64>(first) << 32) | second
                 : (static_cast<u64>(second) << 32) | first;
}

static __device__ __forceinline__ float float_of_bits(u32 bits) { return __uint_as_float(bits); }

// A value as float64, which holds all but large times exactly. -0 becomes +0; a field that is absent is
// a NaN, as everything is that is not a number in the message.
static __device__ __forceinline__ double load_double(const Field& field, u64 at) {
  switch (field.type) {
    case INT8: return static_cast<double>(*global<const i8>(at));
    case UINT8: return static_cast<double>(*global<const u8>(at));
    case INT16: return static_cast<double>(static_cast<i16>(load_bits16(at, field.swapped)));
    case UINT16: return static_cast<double>(load_bits16(at, field.swapped));
    case INT32: return static_cast<double>(static_cast<i32>(load_bits32(at, field.swapped)));
    case UINT32: return static_cast<double>(load_bits32(at, field.swapped));
    case FLOAT32:
    case PAINTED: return static_cast<double>(float_of_bits(load_bits32(at, field.swapped))) + 0.0;
    case FLOAT64:
      return __longlong_as_double(static_cast<i64>(load_bits64(at, field.swapped))) + 0.0;
    case INT64: return static_cast<double>(static_cast<i64>(load_bits64(at, field.swapped)));
    case UINT64: return static_cast<double>(load_bits64(at, field.swapped));
    case BOOL: return *global<const u8>(at) != 0 ? 1.0 : 0.0;
    default: return static_cast<double>(float_of_bits(NO_VALUE_BITS));
  }
}

// The cloud that point i is of; there are few.
static __device__ __forceinline__ i32 cloud_of(const Points& points, i64 i) {
  i32 c = 0;
  while (c + 1 < points.cloud_count && i >= element<const Cloud>(points.clouds, c).end) ++c;
  return c;
}

// Address of the value of a field of point i.
static __device__ __forceinline__ u64 address_of(const Cloud& cloud, const Field& field, i64 i) {
  const i64 k = i - cloud.begin;
  if (cloud.width >= cloud.end - cloud.begin) {  // one row
    return field.address + static_cast<u64>(k * field.point_stride);
  }
  const i64 row = k / cloud.width;
  return field.address +
         static_cast<u64>(row * field.row_stride + (k - row * cloud.width) * field.point_stride);
}

static __device__ __forceinline__ const Field& field_of(const Points& points, i32 cloud, i32 f) {
  return element<const Field>(points.fields, cloud * points.field_count + f);
}

// Value of field `f` (3 and up) of point i as float64.
static __device__ __forceinline__ double value_of(const Points& points, i64 i, i32 f) {
  const i32 c = cloud_of(points, i);
  const Cloud& cloud = global<const Cloud>(points.clouds)[c];
  const Field& field = field_of(points, c, f);
  return load_double(field, address_of(cloud, field, i));
}

// ---- points to cells (numerics rules 2, 4, 5 and 8)

struct Located {
  float p[3];  // x, y, z in the frame of the grid, metres
  float t[3];  // cell coordinates; inside if 0 <= t < dims
  bool inside;
  bool finite;  // x, y, z
};

static __device__ __forceinline__ bool is_finite(float v) {
  return (__float_as_uint(v) & 0x7f800000u) != 0x7f800000u;
}

// One coordinate as float32, relative to the origin of the cloud.
static __device__ __forceinline__ float coordinate(const Cloud& cloud, const Field& field, i64 i,
                                                   i32 axis) {
  const u64 at = address_of(cloud, field, i);
  if (field.type == FLOAT32 && !cloud.shifted) {
    return float_of_bits(load_bits32(at, field.swapped)) + 0.0f;
  }
  const double exact = load_double(field, at);
  return static_cast<float>(cloud.shifted ? exact - cloud.origin[axis] : exact) + 0.0f;
}

// Moves a point as its whole cloud does.
static __device__ __forceinline__ void transform(const Cloud& cloud, float* p) {
  const float* r = cloud.rotation;
  const float x = p[0], y = p[1], z = p[2];
  for (i32 axis = 0; axis < 3; ++axis) {
    p[axis] = ((r[3 * axis] * x + r[3 * axis + 1] * y) + r[3 * axis + 2] * z) +
              cloud.translation[axis];
  }
}

static __device__ __forceinline__ float product(const float4& m, float x, float y, float z) {
  return (m.x * x + m.y * y) + m.z * z;
}

// Moves a point as it moves at its own time, which lies at an address.
static __device__ __forceinline__ void deskew(const Motion& motion, u64 time_at, float* p) {
  double u = (load_double(motion.time, time_at) - motion.base) * motion.scale;
  if (!(u >= 0.0)) u = 0.0;  // a NaN as well
  if (u > motion.last) u = motion.last;
  const i64 ns = static_cast<i64>(rint(u));
  const float w = static_cast<float>(ns & ((1ll << SEGMENT_BITS) - 1)) * PER_SEGMENT;
  const float ww = w * w;
  const float4* rows =
      reinterpret_cast<const float4*>(motion.segments) + 9 * (ns >> SEGMENT_BITS);
  const float x = p[0], y = p[1], z = p[2];
#pragma unroll 1  // twelve registers at a time, not 36 that no point without a motion has use for
  for (i32 axis = 0; axis < 3; ++axis) {
    const float4 m0 = __ldg(rows + 3 * axis);
    const float4 m1 = __ldg(rows + 3 * axis + 1);
    const float4 m2 = __ldg(rows + 3 * axis + 2);
    p[0] = p[1];
    p[1] = p[2];
    p[2] = ((product(m0, x, y, z) + w * product(m1, x, y, z)) + ww * product(m2, x, y, z)) +
           (m0.w + w * m1.w);
  }
}

// Reads point i, moves it into the frame of the grid and finds its cell coordinates.
static __device__ __forceinline__ Located locate(const Points& points, i64 i) {
  const i32 c = cloud_of(points, i);
  const Cloud& cloud = global<const Cloud>(points.clouds)[c];
  const i32 moved = cloud.moved;
  Located found;
  float* p = found.p;
  if (points.plain) {  // nearly always: the loads wait for the job only, not for each other
    for (i32 axis = 0; axis < 3; ++axis) {
      const i64 at = i * points.plain_stride[axis];
      p[axis] = float_of_bits(load_word32(points.plain_address[axis] + at)) + 0.0f;
    }
  } else {
    for (i32 axis = 0; axis < 3; ++axis) {
      p[axis] = coordinate(cloud, field_of(points, c, axis), i, axis);
    }
  }
  if (moved == BY_TRANSFORM) transform(cloud, p);
  if (moved == BY_MOTION) deskew(cloud.motion, address_of(cloud, cloud.motion.time, i), p);
  found.inside = true;
  found.finite = true;
  for (i32 axis = 0; axis < 3; ++axis) {
    found.t[axis] = (p[axis] - points.origin[axis]) * points.inv[axis];
    // As floats, before any cast to an integer: a cast of NaN or 1e30 has no defined result.
    found.inside = found.inside && found.t[axis] >= 0.0f &&
                   found.t[axis] < static_cast<float>(points.dims[axis]);
    found.finite = found.finite && is_finite(p[axis]);
  }
  return found;
}

// Linear index of a point inside: z-major, x fastest.
static __device__ __forceinline__ i64 cell_of(const Points& points, const Located& found) {
  return (static_cast<i64>(found.t[2]) * points.dims[1] + static_cast<i64>(found.t[1])) *
             points.dims[0] +
         static_cast<i64>(found.t[0]);
}

// Where in its cell a point is along an axis: 0 .. 2^20 - 1.
static __device__ __forceinline__ u32 steps_in_cell(float t) {
  const float part = t - floorf(t);
  // floor, not rint, which could reach the next cell
  return static_cast<u32>(floorf(part * static_cast<float>(STEPS_PER_CELL)));
}

// ---- floats in integers

// Integers of the same order; no finite float gives 0, nor does its complement.
static __device__ __forceinline__ u32 ordered_of(float value) {
  const u32 bits = __float_as_uint(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ u32 bits_of_ordered(u32 ordered) {
  return ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered;
}
