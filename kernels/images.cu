// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Images as a grid of area means (numerics rules 3, 4 and 10).
//
// Parallel over: first a warp per tile, which is up to 512 pixels of one cell in reading order;
// its sums are exact integers. Then a warp per cell adds up its tiles and divides. There are no
// atomics and there is nothing to clear, so the two launches are all there is.
//
// Bytes: every pixel once; 32 for each tile, written and read; 12 to 20 for each cell.
//
// The specification is backends/numpy_images.py.

#include "common.cuh"

#define TILE_PIXELS 512
#define STEPS 262144.0f  // of a 32FC1 value: its resolution is 2^-18
#define LIMIT 131072.0f  // from where on a value is left out

// What is summed of a pixel.
enum Look : i32 {
  BYTES,    // one value of 8 bits
  WORDS,    // of 16 bits
  GREY,     // made of r, g, b
  COLOURS,  // r, g, b
  MOSAIC,   // one value of 8 bits, which is r, g or b
  DEPTHS,   // a float32
};

struct ImageJob {
  u64 pixels;
  u64 tiles;        // TileSums[rows * cols][tiles_each], scratch
  u64 means;        // float[rows * cols][channels], out
  u64 left_out;     // i64[rows * cols] pixels, out
  i64 step;         // bytes from row to row
  i32 height;
  i32 width;
  i32 rows;         // of cells
  i32 cols;
  i32 tiles_each;   // enough for the largest cell
  i32 channels;     // 1, or 3: r, g, b
  i32 look;         // Look
  i32 pixel_bytes;
  i32 swapped;      // 1: big-endian
  i32 places[4];    // where r, g, b are among the bytes of a pixel; of MOSAIC which of them (0, 1,
                    // 2) are at (0,0) (0,1) (1,0) (1,1)
};

struct TileSums {
  i64 sums[3];  // of r, g, b, or only the first
  i64 left_out;
};

// One cell: pixels top .. bottom - 1, left .. right - 1.
struct Cell {
  i32 top, bottom, left, right;
};

static __device__ __forceinline__ Cell cell_at(const ImageJob& job, i32 cell) {
  const i64 r = cell / job.cols, c = cell % job.cols;
  return {static_cast<i32>(r * job.height / job.rows),
          static_cast<i32>((r + 1) * job.height / job.rows),
          static_cast<i32>(c * job.width / job.cols),
          static_cast<i32>((c + 1) * job.width / job.cols)};
}

static __device__ __forceinline__ void add(TileSums& total, const TileSums& more) {
#pragma unroll
  for (i32 k = 0; k < 3; ++k) total.sums[k] += more.sums[k];
  total.left_out += more.left_out;
}

static __device__ __forceinline__ i64 sum_of_warp(i64 value) {
#pragma unroll
  for (i32 step = 16; step > 0; step /= 2) value += __shfl_xor_sync(FULL_WARP, value, step);
  return value;
}

static __device__ __forceinline__ TileSums sum_of_warp(const TileSums& own) {
  return {{sum_of_warp(own.sums[0]), sum_of_warp(own.sums[1]), sum_of_warp(own.sums[2])},
          sum_of_warp(own.left_out)};
}

// ---- sums

// What the pixel at row y, column x adds.
template <Look look>
static __device__ __forceinline__ TileSums look_at(const ImageJob& job, i32 y, i32 x) {
  const i64 offset = y * job.step + static_cast<i64>(x) * job.pixel_bytes;
  const u64 at = job.pixels + static_cast<u64>(offset);
  const u8* pixel = reinterpret_cast<const u8*>(job.pixels) + offset;
  if (look == BYTES) return {{pixel[0], 0, 0}, 0};
  if (look == WORDS) return {{load_bits16(at, job.swapped), 0, 0}, 0};
  if (look == MOSAIC) {
    const i32 colour = job.places[2 * (y & 1) + (x & 1)];
    const i64 value = pixel[0];
    return {{colour == 0 ? value : 0, colour == 1 ? value : 0, colour == 2 ? value : 0}, 0};
  }
  if (look == DEPTHS) {
    const float value = float_of_bits(load_bits32(at, job.swapped));
    const bool usable = fabsf(value) < LIMIT;  // false for NaN as well
    return {{usable ? static_cast<i64>(rintf(value * STEPS)) : 0, 0, 0}, usable ? 0 : 1};
  }
  const u32 r = pixel[job.places[0]], g = pixel[job.places[1]], b = pixel[job.places[2]];
  if (look == COLOURS) return {{r, g, b}, 0};
  return {{(4899 * r + 9617 * g + 1868 * b + 8192) >> 14, 0, 0}, 0};
}

// The part of a lane in the sums of a tile, which begins with pixel `begin` of its cell.
template <Look look>
static __device__ __forceinline__ TileSums sum_of_lane(const ImageJob& job, const Cell& cell,
                                                       i32 begin, i32 lane) {
  const i32 width = cell.right - cell.left;
  const i32 end = min(begin + TILE_PIXELS, (cell.bottom - cell.top) * width);
  // The lanes go on by 32 pixels: some rows down, and the rest to the right.
  const i32 down = 32 / width, right = 32 % width;
  i32 y = (begin + lane) / width, x = (begin + lane) % width;
  TileSums total = {};
#pragma unroll 4
  for (i32 i = begin + lane; i < end; i += 32) {
    add(total, look_at<look>(job, cell.top + y, cell.left + x));
    y += down;
    x += right;
    if (x >= width) {
      x -= width;
      ++y;
    }
  }
  return total;
}

static __device__ __forceinline__ TileSums sum_of_lane(const ImageJob& job, const Cell& cell,
                                                       i32 begin, i32 lane) {
  switch (job.look) {
    case BYTES: return sum_of_lane<BYTES>(job, cell, begin, lane);
    case WORDS: return sum_of_lane<WORDS>(job, cell, begin, lane);
    case GREY: return sum_of_lane<GREY>(job, cell, begin, lane);
    case COLOURS: return sum_of_lane<COLOURS>(job, cell, begin, lane);
    case MOSAIC: return sum_of_lane<MOSAIC>(job, cell, begin, lane);
    default: return sum_of_lane<DEPTHS>(job, cell, begin, lane);
  }
}

KERNEL(sum_tiles, ImageJob, 256) {
  const i32 lane = threadIdx.x % 32;
  const i32 tiles = job->rows * job->cols * job->tiles_each;
  for (i32 tile = static_cast<i32>(FIRST / 32); tile < tiles; tile += STRIDE / 32) {
    const Cell cell = cell_at(*job, tile / job->tiles_each);
    const i32 begin = tile % job->tiles_each * TILE_PIXELS;
    const TileSums total = sum_of_warp(sum_of_lane(*job, cell, begin, lane));
    if (lane == 0) reinterpret_cast<TileSums*>(job->tiles)[tile] = total;
  }
}

// ---- means

// Pixels of a cell that have a colour.
static __device__ __forceinline__ i64 pixels_of(const ImageJob& job, const Cell& cell,
                                                i32 colour) {
  i64 count = 0;
#pragma unroll
  for (i32 place = 0; place < 4; ++place) {
    const i32 y = place / 2, x = place % 2;
    const i64 down = (cell.bottom + 1 - y) / 2 - (cell.top + 1 - y) / 2;
    const i64 across = (cell.right + 1 - x) / 2 - (cell.left + 1 - x) / 2;
    count += job.places[place] == colour ? down * across : 0;
  }
  return count;
}

static __device__ __forceinline__ float mean_of(const ImageJob& job, const Cell& cell,
                                                const TileSums& total, i32 channel) {
  const i32 k = job.look == COLOURS || job.look == MOSAIC ? channel : 0;  // else one for all
  const i64 sum = k == 0 ? total.sums[0] : k == 1 ? total.sums[1] : total.sums[2];
  const i64 area = static_cast<i64>(cell.bottom - cell.top) * (cell.right - cell.left);
  const i64 used = job.look == MOSAIC ? pixels_of(job, cell, k) : area - total.left_out;
  const double mean = static_cast<double>(sum) / static_cast<double>(used > 0 ? used : 1);
  // Dividing by a power of two is exact: rounded once, to float32.
  return static_cast<float>(job.look == DEPTHS ? mean / static_cast<double>(STEPS) : mean);
}

KERNEL(mean_cells, ImageJob, 256) {
  const i32 lane = threadIdx.x % 32;
  const i32 cells = job->rows * job->cols;
  for (i32 cell = static_cast<i32>(FIRST / 32); cell < cells; cell += STRIDE / 32) {
    const TileSums* tiles = reinterpret_cast<const TileSums*>(job->tiles) +
                            static_cast<i64>(cell) * job->tiles_each;
    TileSums total = {};
    for (i32 t = lane; t < job->tiles_each; t += 32) add(total, tiles[t]);
    total = sum_of_warp(total);
    if (lane < job->channels) {
      reinterpret_cast<float*>(job->means)[static_cast<i64>(cell) * job->channels + lane] =
          mean_of(*job, cell_at(*job, cell), total, lane);
    }
    if (lane == 0) reinterpret_cast<i64*>(job->left_out)[cell] = total.left_out;
  }
}
