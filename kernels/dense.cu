// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Dense grids of point clouds: every cell is written, in one array [nz][ny][nx][columns].
//
// Count and occupancy touch each cell at most a few times, so they go straight to the output:
//   clear, count                      reads N points, writes 4 bytes a cell, one add a point
//   clear, occupy_bytes               the same with 1 byte a cell
//   clear, occupy_bits                the same with 1 bit a cell
// All other columns need sums, which are larger than what is made of them and would have to be
// cleared, added to and read all over memory. So the points are sorted by the block that will own
// their cell, whose sums then lie in shared memory, and every cell of the output is written once,
// in order, without a clear:
//   clear 4 bytes a share, sort_count, sort_place, sort_move, reduce
//   reads N points two or three times and moves 48 bytes a point between launches, mostly within
//   L2; writes 4 bytes a cell and column
// `copy` brings a grid to memory of the host.
//
// The cells of one block are its share: of 2^share_bits shares each has one chunk of 32 cells from
// every run of 2^share_bits chunks, another one in each run. Neighbours are in different shares, so
// a ground plane or a wall is spread over all blocks, and a chunk is still whole lines of memory.
//
// The specification is backends/numpy_voxels.py, numpy_channels.py and numpy_occupancy.py.

#include "common.cuh"
#include "runs.cuh"

#define CHUNK 32                  // cells of a chunk: a lane each
#define MAX_FIELDS 13
#define MAX_COLUMNS 57            // all channels of all fields, count, occupancy and centroid

// What a column of the output is made of.
enum Kind : i32 { COUNT, OCCUPANCY, MEAN, SUM, MIN, MAX, CENTROID_X, CENTROID_Y, CENTROID_Z };

// Shared memory holds for each cell of a share some words, numbered from 0: word w of local cell k
// is words[w * cells_each + k]. Word 0 is the number of points.
struct DenseColumn {
  double resolution;  // of a mean or a sum: what one step is
  i32 kind;           // Kind
  i32 word;           // its first one: low and high half of a sum, number of values; or an extreme
};

// One field of the points and the words that its values go to; 0: none.
struct DenseValue {
  double steps;  // in a value of 1
  i32 field;     // of Points
  i32 sum;       // three words: low and high half, number of values
  i32 least;
  i32 greatest;
};

struct DenseJob {
  Points points;
  double size[3];   // of a cell, metres
  double lower[3];  // corner of the grid, metres
  i64 cells;
  u64 grid;         // out: float[cells][column_count], u8[cells] or u32[ceil(cells / 32)]
  u64 places;       // Place[n]
  u64 sorted;       // Sorted[n]
  u64 counts;       // u32[shares + 1]: points of each share; last, of all shares placed so far
  u64 starts;       // u32[shares]: where the points of each share begin in `sorted`
  u64 copy_from;    // multiples of 16, as copy_bytes
  u64 copy_to;
  i64 copy_bytes;
  i32 column_count;
  i32 value_count;
  i32 word_count;   // of a cell
  i32 centroid;     // six words: halves of the sums along x, y, z; 0: none
  i32 share_bits;
  i32 chunks_each;  // chunks in a share
  i32 shared_counts;  // 1: a block can count the points of each share in its shared memory
  DenseValue values[MAX_FIELDS];
  DenseColumn columns[MAX_COLUMNS];
};

// Where a point goes: its cell (OUTSIDE: nowhere), and how many of its share are before it.
struct Place {
  u32 cell;
  u32 rank;
};

// A point among those of its share.
struct alignas(8) Sorted {
  u32 point;
  u32 local;  // its cell, counted within the share
};

struct alignas(16) Quad {
  u32 word[4];
};

// Writes 1 where other threads may do the same at the same time; the shim has to know it is meant.
static __device__ __forceinline__ void store_1(u8* at) {
#ifdef ROBOCACHE_SHIM
  __atomic_store_n(at, static_cast<u8>(1), __ATOMIC_RELAXED);
#else
  *at = 1;
#endif
}

// ---- count and occupancy

// Cell of point i, OUTSIDE for those outside and past the last one.
static __device__ __forceinline__ u32 cell_at(const Points& points, i64 i) {
  if (i >= points.n) return OUTSIDE;
  const Located found = locate(points, i);
  return found.inside ? static_cast<u32>(cell_of(points, found)) : OUTSIDE;
}

// for each point i of whole warps; those past the last one are in no cell
#define EACH_POINT_OF_WARPS(i, n) (i64 i = FIRST; i - LANE < (n); i += STRIDE)

// Parallel over points. Adds to a cleared grid, float[cells]; exact up to 2^24 points.
KERNEL(count, DenseJob, 256) {
  float* grid = global<float>(job->grid);
  for EACH_POINT_OF_WARPS(i, job->points.n) {
    const u32 cell = cell_at(job->points, i);
    const Run run = run_of(cell);
    if (cell == OUTSIDE || run.first != LANE) continue;
    atomicAdd(grid + cell, static_cast<float>(run.length));
  }
}

// Parallel over points. Adds to a cleared grid, u32[cells], for any number of points.
KERNEL(count_integers, DenseJob, 256) {
  u32* grid = global<u32>(job->grid);
  for EACH_POINT_OF_WARPS(i, job->points.n) {
    const u32 cell = cell_at(job->points, i);
    const Run run = run_of(cell);
    if (cell != OUTSIDE && run.first == LANE) atomicAdd(grid + cell, run.length);
  }
}

// Parallel over cells. Makes float[cells] of u32[cells] in place, rounded to nearest.
KERNEL(integers_to_floats, DenseJob, 256) {
  u32* grid = global<u32>(job->grid);
  for (i64 i = FIRST; i < job->cells; i += STRIDE) {
    grid[i] = __float_as_uint(static_cast<float>(grid[i]));
  }
}

// Parallel over points. Writes 1 to a cleared grid, u8[cells].
KERNEL(occupy_bytes, DenseJob, 256) {
  u8* grid = global<u8>(job->grid);
  for EACH_POINT_OF_WARPS(i, job->points.n) {
    const u32 cell = cell_at(job->points, i);
    const Run run = run_of(cell);
    if (cell != OUTSIDE && run.first == LANE) store_1(grid + cell);
  }
}

// Parallel over points. Sets bits of a cleared grid, u32[ceil(cells / 32)], lowest bit first.
KERNEL(occupy_bits, DenseJob, 256) {
  u32* grid = global<u32>(job->grid);
  for EACH_POINT_OF_WARPS(i, job->points.n) {
    const u32 cell = cell_at(job->points, i);
    const Run run = run_of(cell);
    if (cell == OUTSIDE || run.first != LANE) continue;
    const u32 bit = 1u << (cell & 31);
    // Most bits are set already: a look costs less than an atomic operation.
    if ((load_relaxed(grid + (cell >> 5)) & bit) == 0) atomicOr(grid + (cell >> 5), bit);
  }
}

// ---- points by share

// The chunk of run `run` that a share has; and the other way round. Both ways by one rotation.
static __device__ __forceinline__ u32 rotation(u32 run) { return (run * 2654435769u) >> 12; }

static __device__ __forceinline__ u32 share_of(const DenseJob* job, u32 cell) {
  const u32 chunk = cell / CHUNK;
  return (chunk + rotation(chunk >> job->share_bits)) & ((1u << job->share_bits) - 1);
}

static __device__ __forceinline__ u32 chunk_of(const DenseJob* job, u32 share, u32 run) {
  return (run << job->share_bits) |
         ((share - rotation(run)) & ((1u << job->share_bits) - 1));
}

static __device__ __forceinline__ u32 local_of(const DenseJob* job, u32 cell) {
  return ((cell / CHUNK) >> job->share_bits) * CHUNK + cell % CHUNK;
}

// A block per piece of the points, side by side. Finds the cell of each, and its rank among the
// points of its share: first within the piece, by counts in shared memory, u32[shares], then after
// the pieces that were quicker. Few counters would be crowded: all points of all blocks add to
// them. Where they are too many for shared memory (shared_counts 0), there is no such crowd.
KERNEL(sort_count, DenseJob, 512) {
  DYNAMIC_SHARED(u32, in_piece);
  Place* places = global<Place>(job->places);
  u32* counts = global<u32>(job->counts);
  const u32 shares = 1u << job->share_bits;
  const i64 turns = (job->points.n + STRIDE - 1) / STRIDE;
  const i64 begin = blockIdx.x * turns * blockDim.x;
  const i64 end = min(begin + turns * blockDim.x, job->points.n);
  if (job->shared_counts) {
    for (u32 share = threadIdx.x; share < shares; share += blockDim.x) in_piece[share] = 0;
    __syncthreads();
  }
  for (i64 i = begin + threadIdx.x; i - LANE < end; i += blockDim.x) {
    Place place;
    place.cell = cell_at(job->points, i);
    const u32 share = place.cell == OUTSIDE ? OUTSIDE : share_of(job, place.cell);
    const Run run = run_of(share);
    u32 before = 0;
    if (share != OUTSIDE && run.first == LANE) {
      before = job->shared_counts ? atomicAdd(in_piece + share, run.length)
                                  : atomicAdd(counts + share, run.length);
    }
    place.rank = __shfl_sync(FULL_WARP, before, run.first) + LANE - run.first;
    if (i < end) places[i] = place;
  }
  if (!job->shared_counts) return;
  __syncthreads();
  for (u32 share = threadIdx.x; share < shares; share += blockDim.x) {
    if (in_piece[share] != 0) in_piece[share] = atomicAdd(counts + share, in_piece[share]);
  }
  __syncthreads();
  for (i64 i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const u32 cell = places[i].cell;
    if (cell != OUTSIDE) places[i].rank += in_piece[share_of(job, cell)];
  }
}

// Parallel over shares. Gives each a place among the sorted points; in which order does not matter.
KERNEL(sort_place, DenseJob, 256) {
  u32* counts = global<u32>(job->counts);
  u32* starts = global<u32>(job->starts);
  const i64 shares = 1ll << job->share_bits;
  for EACH_POINT_OF_WARPS(share, shares) {
    const u32 own = share < shares ? counts[share] : 0;
    u32 end = own;
    for (u32 step = 1; step < 32; step *= 2) {
      const u32 before = __shfl_up_sync(FULL_WARP, end, step);
      if (LANE >= step) end += before;
    }
    u32 start = LANE == 31 ? atomicAdd(counts + shares, end) : 0;
    start = __shfl_sync(FULL_WARP, start, 31);
    if (share < shares) starts[share] = start + end - own;
  }
}

// Parallel over points. Puts each next to the others of its share.
KERNEL(sort_move, DenseJob, 256) {
  const Place* places = global<const Place>(job->places);
  const u32* starts = global<const u32>(job->starts);
  Sorted* sorted = global<Sorted>(job->sorted);
  for (i64 i = FIRST; i < job->points.n; i += STRIDE) {
    const Place place = places[i];
    if (place.cell == OUTSIDE) continue;
    Sorted point;
    point.point = static_cast<u32>(i);
    point.local = local_of(job, place.cell);
    sorted[starts[share_of(job, place.cell)] + place.rank] = point;
  }
}

// ---- sums in shared memory

// The cell that a run of lanes adds to, by its first lane. All lanes of a warp call these.
struct Target {
  Run run;
  u32* words;      // of the cell
  u32 cells_each;  // from one word of a cell to its next
  bool adds;       // this is the first lane of a run that has a cell
};

static __device__ __forceinline__ void add(const Target& target, i32 word, u32 value) {
  value = sum_of_run(target.run, value);
  if (target.adds && value != 0) atomicAdd(target.words + word * target.cells_each, value);
}

static __device__ __forceinline__ void raise(const Target& target, i32 word, u32 value) {
  value = greatest_of_run(target.run, value);
  if (target.adds && value != 0) atomicMax(target.words + word * target.cells_each, value);
}

// Adds to a 64-bit sum in two words: shared memory adds 32 bits natively, and 64 in a loop. Every
// time the low word wraps, exactly one thread sees it, so the halves are right in any order.
static __device__ __forceinline__ void add_wide(const Target& target, i32 word, i64 value) {
  value = sum_of_run(target.run, value);
  if (!target.adds || value == 0) return;
  u32* low = target.words + word * target.cells_each;
  const u32 part = static_cast<u32>(value);
  const u32 carry = atomicAdd(low, part) + part < part ? 1 : 0;
  const u32 rest = static_cast<u32>(static_cast<u64>(value) >> 32) + carry;
  if (rest != 0) atomicAdd(low + target.cells_each, rest);
}

// Adds the value of one field (numerics rules 3 and 4).
static __device__ __forceinline__ void add_value(const Target& target, const DenseValue& value,
                                                 double v) {
  if (value.least || value.greatest) {
    const float rounded = static_cast<float>(v) + 0.0f;  // a tiny negative one becomes -0
    const u32 order = is_finite(rounded) ? ordered_of(rounded) : 0;
    if (value.least) raise(target, value.least, order ? ~order : 0);
    if (value.greatest) raise(target, value.greatest, order);
  }
  if (value.sum) {
    const double steps = rint(v * value.steps);
    const bool summed = fabs(steps) < MAX_STEPS;  // not if NaN
    add_wide(target, value.sum, summed ? static_cast<i64>(steps) : 0);
    add(target, value.sum + 2, summed ? 1 : 0);
  }
}

// Adds where in its cell a point is.
static __device__ __forceinline__ void add_position(const Target& target, i32 word,
                                                    const Points& points, i64 i) {
  const Located found = locate(points, i);
  for (i32 axis = 0; axis < 3; ++axis) {
    add_wide(target, word + 2 * axis, steps_in_cell(found.t[axis]));
  }
}

// Where the centroid lies along an axis, from the mean place of the points within their cell.
static __device__ __forceinline__ float centroid(const DenseJob* job, double steps, i32 axis,
                                                 u32 cell) {
  const u32 nx = static_cast<u32>(job->points.dims[0]), ny = static_cast<u32>(job->points.dims[1]);
  const u32 row = cell / nx;
  const u32 coord = axis == 0 ? cell - row * nx : axis == 1 ? row % ny : row / ny;
  const double within = (steps + 0.5) / STEPS_PER_CELL;
  return static_cast<float>((within + static_cast<double>(coord)) * job->size[axis] +
                            job->lower[axis]);
}

// Value of a column of an occupied cell; 0 where the cell has points but no value.
static __device__ __forceinline__ float value_of_column(const DenseJob* job, const u32* words,
                                                        u32 cells_each, const DenseColumn& column,
                                                        u32 cell) {
  const u32* own = words + column.word * cells_each;
  switch (column.kind) {
    case COUNT: return static_cast<float>(own[0]);
    case OCCUPANCY: return 1.0f;
    case MIN: return own[0] ? float_of_bits(bits_of_ordered(~own[0])) : 0.0f;
    case MAX: return own[0] ? float_of_bits(bits_of_ordered(own[0])) : 0.0f;
    default: break;
  }
  const bool of_field = column.kind == MEAN || column.kind == SUM;
  const u32 n = of_field ? own[2 * cells_each] : words[0];
  if (n == 0) return 0.0f;
  const u64 bits = (static_cast<u64>(own[cells_each]) << 32) | own[0];
  double sum = static_cast<double>(static_cast<i64>(bits));
  if (column.kind != SUM) sum /= static_cast<double>(n);
  return of_field ? static_cast<float>(sum * column.resolution)
                  : centroid(job, sum, column.kind - CENTROID_X, cell);
}

// Writes the 32 cells of a chunk. For a whole warp, whose lanes write neighbouring floats.
static __device__ __forceinline__ void write_chunk(const DenseJob* job, const u32* words,
                                                   u32 cells_each, u32 chunk, bool used) {
  const i32 width = job->column_count;
  const i64 first = static_cast<i64>(chunk) * CHUNK;
  const i32 cells = static_cast<i32>(min(static_cast<i64>(CHUNK), job->cells - first));
  float* out = global<float>(job->grid) + first * width;
  used = __any_sync(FULL_WARP, used && words[LANE] != 0);
  const i32 lane = static_cast<i32>(LANE), more_cells = 32 / width, more = 32 % width;
  i32 k = lane / width, c = lane % width;  // cell and column of number i of the chunk
  for (i32 i = lane; i < cells * width; i += 32) {
    out[i] = used && words[k] != 0
                 ? value_of_column(job, words + k, cells_each, job->columns[c],
                                   static_cast<u32>(first + k))
                 : 0.0f;
    k += more_cells;
    c += more;
    if (c >= width) {
      c -= width;
      ++k;
    }
  }
}

// Adds the points of a share to its words. For all threads of a block.
static __device__ __forceinline__ void add_points(const DenseJob* job, u32* words, u32 cells_each,
                                                  const Sorted* sorted, u32 n) {
  const Points& points = job->points;
  for (u32 i = threadIdx.x; i - LANE < n; i += blockDim.x) {
    const Sorted point = sorted[min(i, n - 1)];  // lanes past the last one read it and do not add
    Target target;
    target.run = run_of(i < n ? point.local : OUTSIDE);
    target.words = words + point.local;
    target.cells_each = cells_each;
    target.adds = i < n && target.run.first == LANE;
    if (target.adds) atomicAdd(target.words, target.run.length);
    if (job->centroid) add_position(target, job->centroid, points, point.point);
    for (i32 k = 0; k < job->value_count; ++k) {
      const DenseValue& value = job->values[k];
      add_value(target, value, value_of(points, point.point, value.field));
    }
  }
}

// A block per share: adds its points up in shared memory, u32[word_count][chunks_each * 32], and
// writes its cells, empty ones too.
KERNEL(reduce, DenseJob, 512, 2) {
  DYNAMIC_SHARED(u32, words);
  const u32 cells_each = static_cast<u32>(job->chunks_each) * CHUNK;
  const u32 chunks = static_cast<u32>((job->cells + CHUNK - 1) / CHUNK);
  const u32 shares = 1u << job->share_bits;
  for (u32 share = blockIdx.x; share < shares; share += gridDim.x) {
    const u32 n = global<const u32>(job->counts)[share];
    if (n != 0) {
      Quad* quads = reinterpret_cast<Quad*>(words);
      for (u32 i = threadIdx.x; i < job->word_count * cells_each / 4; i += blockDim.x) {
        quads[i] = Quad{{0, 0, 0, 0}};
      }
      __syncthreads();
      add_points(job, words, cells_each,
                 global<const Sorted>(job->sorted) +
                     global<const u32>(job->starts)[share],
                 n);
      __syncthreads();
    }
    const u32 runs = static_cast<u32>(job->chunks_each), warps = blockDim.x / 32;
    for (u32 run = threadIdx.x / 32; run < runs; run += warps) {
      const u32 chunk = chunk_of(job, share, run);
      if (chunk < chunks) write_chunk(job, words + run * CHUNK, cells_each, chunk, n != 0);
    }
    __syncthreads();  // before the next share clears
  }
}

// ---- results

// Parallel over 16 bytes each: from a grid to pinned memory of the host, a whole line per warp.
KERNEL(copy, DenseJob, 256) {
  const Quad* from = global<const Quad>(job->copy_from);
  Quad* to = global<Quad>(job->copy_to);
  for (i64 i = FIRST; i < job->copy_bytes / 16; i += STRIDE) to[i] = from[i];
}
