// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Colours, labels and the like for points, from the pixels that they fall on (numerics rule 10):
// columns of floats that the kernels after these read like the fields of a message.
//
//   what    parallel over   per element
//   splat   N points        in every image with an occlusion test: raise the nearness of its cell
//   paint   N points        inside the grid: the values of the first image that sees the point
//
// They run in the programs of voxels.cu and dense.cu, ahead of their kernels and after a clear of
// the cells; their job is Points, which the jobs of those begin with.
//
// Bytes, with N points of S bytes, V images and F fields: both read N S; splat raises 4 bytes for
// N V at random, where that is nearer; paint reads them again, a pixel each, and writes 4 N F.
//
// Nearness is positive, so its bits have its order: atomics in any order give the same bits.
//
// The specification is backends/numpy_paint.py.

#define NO_SHARED_MEMORY
#include "common.cuh"

#define MAX_FIELDS 13
#define NEAREST_Z 0.05f  // metres; what is nearer to a camera is on no pixel of it

enum Model : i32 { PINHOLE, DISTORTED, FISHEYE };

// How a pixel is stored.
enum Stored : i32 {
  BYTES,    // one value of 8 bits
  WORDS,    // of 16 bits
  COLOURS,  // r, g, b
  MOSAIC,   // one value of 8 bits, which is r, g or b
  DEPTHS,   // a float32
};

// What a field takes of a pixel.
enum Taken : i32 { RED, GREEN, BLUE, VALUE };

// One image, and how it sees the points of a cloud.
struct View {
  u64 pixels;
  u64 nearest;           // u32[], bits of the greatest nearness of each cell, row by row
  i64 step;              // bytes from row to row
  i32 height;
  i32 width;
  i32 pixel_bytes;
  i32 swapped;           // 1: big-endian
  i32 stored;            // Stored
  i32 places[4];         // of COLOURS where r, g, b are in a pixel; of MOSAIC where r, g, g, b are
                         // in a quad: 0 .. 3 for (0,0) (0,1) (1,0) (1,1)
  i32 cell;              // edge of a cell of the occlusion test, in pixels; 0: no test
  i32 cells_across;
  u32 fields;            // bit k: it paints column k
  i32 taken[MAX_FIELDS];  // Taken, of each column
  i32 model;             // Model
  float rotation[9];     // from the frame of the grid into that of the camera
  float translation[3];
  float focal[2];        // along u and v, pixels
  float centre[2];
  float distortion[8];   // k1 k2 p1 p2 k3 k4 k5 k6, of a FISHEYE k1 k2 k3 k4
  float limit;           // of r2, of a FISHEYE of theta
  float tolerance;       // of the occlusion test, 1 / m
};

// The views of one cloud.
struct Canvas {
  i32 first;
  i32 views;
  u32 fields;  // bit k: some of them paint column k
};

struct Paint {
  u64 canvases;  // Canvas[cloud_count]
  u64 views;     // View[]
  u64 columns;   // float[fields][stride], out; of points outside the grid nothing is written
  i64 stride;
};

// A pixel that a point falls on.
struct Pixel {
  i32 row;
  i32 column;
  bool inside;
  float nearness;  // 1 / m
};

// ---- from points to pixels

struct Place {
  float u, v;  // pixels
  bool seen;   // else they are nothing
};

static __device__ __forceinline__ Place of_pinhole(const View& view, float x, float y, float z) {
  return {(view.focal[0] * x) / z + view.centre[0], (view.focal[1] * y) / z + view.centre[1],
          z > NEAREST_Z};
}

static __device__ __forceinline__ Place of_distorted(const View& view, float ahead_x,
                                                     float ahead_y, float z) {
  const float* k = view.distortion;
  const float x = ahead_x / z, y = ahead_y / z;
  const float r2 = x * x + y * y;
  const float radial = (1.0f + r2 * (k[0] + r2 * (k[1] + r2 * k[4]))) /
                       (1.0f + r2 * (k[5] + r2 * (k[6] + r2 * k[7])));
  const float p1 = k[2], p2 = k[3];
  const float a = (x + x) * y;
  const float bent_x = x * radial + (p1 * a + p2 * (r2 + (x + x) * x));
  const float bent_y = y * radial + (p1 * (r2 + (y + y) * y) + p2 * a);
  return {view.focal[0] * bent_x + view.centre[0], view.focal[1] * bent_y + view.centre[1],
          z > NEAREST_Z && r2 <= view.limit};
}

#define ONE_OVER(n) static_cast<float>(1.0 / n)

// Angle between the axis and a direction: 8 atan(h), with h the tangent of its eighth.
static __device__ __forceinline__ float angle_of(float r, float z, float distance) {
  float h = r / (distance + z);
  h = h / (1.0f + sqrtf(1.0f + h * h));
  h = h / (1.0f + sqrtf(1.0f + h * h));
  const float s = h * h;
  float series = s * ONE_OVER(17.0) - ONE_OVER(15.0);
  series = s * series + ONE_OVER(13.0);
  series = s * series - ONE_OVER(11.0);
  series = s * series + ONE_OVER(9.0);
  series = s * series - ONE_OVER(7.0);
  series = s * series + ONE_OVER(5.0);
  series = s * series - ONE_OVER(3.0);
  return 8.0f * (h * (1.0f + s * series));
}

static __device__ __forceinline__ Place of_fisheye(const View& view, float x, float y, float z) {
  const float* k = view.distortion;
  const float rr = x * x + y * y;
  const float r = sqrtf(rr), distance = sqrtf(rr + z * z);
  const float theta = angle_of(r, z, distance);
  const float q = theta * theta;
  const float bent = theta * (1.0f + q * (k[0] + q * (k[1] + q * (k[2] + q * k[3]))));
  const float m = r > 0.0f ? bent / r : 0.0f;
  return {view.focal[0] * (m * x) + view.centre[0], view.focal[1] * (m * y) + view.centre[1],
          distance > NEAREST_Z && theta <= view.limit};
}

// The pixel of a point in the frame of the grid.
static __device__ __forceinline__ Pixel pixel_of(const View& view, const float* p) {
  float q[3];
  for (i32 axis = 0; axis < 3; ++axis) {
    const float* r = view.rotation + 3 * axis;
    q[axis] = ((r[0] * p[0] + r[1] * p[1]) + r[2] * p[2]) + view.translation[axis];
  }
  const Place place = view.model == PINHOLE     ? of_pinhole(view, q[0], q[1], q[2])
                      : view.model == DISTORTED ? of_distorted(view, q[0], q[1], q[2])
                                                : of_fisheye(view, q[0], q[1], q[2]);
  // As floats, before any cast to an integer; a NaN is nowhere.
  const float column = floorf(place.u + 0.5f), row = floorf(place.v + 0.5f);
  Pixel pixel = {0, 0, false, 0.0f};
  if (!(place.seen && column >= 0.0f && column < static_cast<float>(view.width) &&
        row >= 0.0f && row < static_cast<float>(view.height))) {
    return pixel;
  }
  pixel.row = static_cast<i32>(row);
  pixel.column = static_cast<i32>(column);
  pixel.inside = true;
  pixel.nearness = 1.0f / sqrtf((q[0] * q[0] + q[1] * q[1]) + q[2] * q[2]);
  return pixel;
}

// ---- which points hide others

static __device__ __forceinline__ u32* nearest_at(const View& view, const Pixel& pixel) {
  const i64 cell = static_cast<i64>(pixel.row / view.cell) * view.cells_across +
                   pixel.column / view.cell;
  return global<u32>(view.nearest) + cell;
}

KERNEL(splat, Points, 256) {
  const Paint* paint = global<const Paint>(job->paint);
  const Canvas* canvases = global<const Canvas>(paint->canvases);
  const View* views = global<const View>(paint->views);
  for (i64 i = FIRST; i < job->n; i += STRIDE) {
    const Canvas canvas = canvases[cloud_of(*job, i)];
    if (canvas.views == 0) continue;
    const Located found = locate(*job, i);
    for (i32 k = 0; k < canvas.views; ++k) {
      const View& view = views[canvas.first + k];
      if (view.cell == 0) continue;
      const Pixel pixel = pixel_of(view, found.p);
      if (!pixel.inside) continue;
      u32* nearest = nearest_at(view, pixel);
      const u32 bits = __float_as_uint(pixel.nearness);
      if (load_relaxed(nearest) < bits) atomicMax(nearest, bits);
    }
  }
}

// ---- values

static __device__ __forceinline__ const u8* pixel_at(const View& view, i32 row, i32 column) {
  return global<const u8>(view.pixels) + row * view.step +
         static_cast<i64>(column) * view.pixel_bytes;
}

// A colour of the quad of a mosaic that a pixel is in; at an odd edge of the one next to it.
static __device__ __forceinline__ u32 colour_of_quad(const View& view, const Pixel& pixel,
                                                     i32 colour) {
  const i32 row = min(pixel.row & ~1, (view.height - 2) & ~1);
  const i32 column = min(pixel.column & ~1, (view.width - 2) & ~1);
  u32 at_place[2];
  for (i32 k = 0; k < 2; ++k) {  // both greens, or the one red or blue twice
    const i32 place = view.places[colour == RED ? 0 : colour == BLUE ? 3 : 1 + k];
    at_place[k] = *pixel_at(view, row + place / 2, column + place % 2);
  }
  return (at_place[0] + at_place[1] + 1) >> 1;
}

// What a field takes of a pixel; not finite where the pixel has no value.
static __device__ __forceinline__ float value_of_pixel(const View& view, const Pixel& pixel,
                                                       i32 taken) {
  const u8* at = pixel_at(view, pixel.row, pixel.column);
  switch (view.stored) {
    case BYTES: return static_cast<float>(*at);
    case WORDS: {
      const u32 value = load_bits16(reinterpret_cast<u64>(at), view.swapped);
      return static_cast<float>(taken == VALUE ? value : value >> 8);
    }
    case DEPTHS:
      return float_of_bits(load_bits32(reinterpret_cast<u64>(at), view.swapped)) + 0.0f;
    case MOSAIC:
      return static_cast<float>(taken == VALUE ? *at : colour_of_quad(view, pixel, taken));
    default: break;
  }
  if (taken != VALUE) return static_cast<float>(at[view.places[taken]]);
  const u32 r = at[view.places[0]], g = at[view.places[1]], b = at[view.places[2]];
  return static_cast<float>((4899 * r + 9617 * g + 1868 * b + 8192) >> 14);
}

KERNEL(paint, Points, 256) {
  const Paint* paint = global<const Paint>(job->paint);
  const Canvas* canvases = global<const Canvas>(paint->canvases);
  const View* views = global<const View>(paint->views);
  u32* columns = global<u32>(paint->columns);
  const i64 stride = paint->stride;
  for (i64 i = FIRST; i < job->n; i += STRIDE) {
    const Canvas canvas = canvases[cloud_of(*job, i)];
    if (canvas.views == 0) continue;
    const Located found = locate(*job, i);
    if (!found.inside) continue;
    u32 open = canvas.fields;
    for (i32 k = 0; k < canvas.views && open != 0; ++k) {
      const View& view = views[canvas.first + k];
      if ((view.fields & open) == 0) continue;
      const Pixel pixel = pixel_of(view, found.p);
      if (!pixel.inside) continue;
      if (view.cell > 0) {
        const float nearest = __uint_as_float(*nearest_at(view, pixel));
        if (!(nearest - pixel.nearness <= view.tolerance)) continue;
      }
      for (u32 rest = view.fields & open; rest != 0; rest &= rest - 1) {
        const i32 field = __ffs(static_cast<i32>(rest)) - 1;
        const float value = value_of_pixel(view, pixel, view.taken[field]);
        if (!is_finite(value)) continue;
        columns[field * stride + i] = __float_as_uint(value);
        open &= ~(1u << field);
      }
    }
    for (; open != 0; open &= open - 1) {
      columns[(__ffs(static_cast<i32>(open)) - 1) * stride + i] = NO_VALUE_BITS;
    }
  }
}
