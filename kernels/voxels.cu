// Copyright 2026 the robocache_ros authors
// SPDX-License-Identifier: Apache-2.0
//
// Sparse voxels: the occupied cells of a grid in ascending order of their linear index, and their
// values. Occupied cells are bits of a table; the number of bits below a cell is its rank, so the
// order comes without a sort and the voxels need no hash table.
//
//   what           parallel over        per element
//   mark           N points             find the cell, set its bit, count the tile's new bits
//   spread_0       tiles of the table   ranks of its bits; lists the cells; clears what comes next
//   refine_L       N points             rank of the coarse cell and bits of the fine one: next key
//   spread_L       tiles of the table
//   compete        N points             with a cap only: lowest hashes of the points of each voxel
//   drop           N points             with a cap only: points that have none of those go outside
//   accumulate     N points             add values to the record of the voxel
//   vote           N points             with a majority only: count each label of each voxel
//   finish         M voxels             record to row; totals
//
// A grid of up to 2^26 cells is one table: 4 launches after one clear of cells / 8 bytes. Larger
// ones, up to 2^36 cells, begin with blocks of cells and refine the occupied ones, twice at most:
// 6 or 8 launches; no table is larger than 2^26 or 32 bits per point.
//
// Bytes, with N points of S bytes, C cells, M voxels of R bytes and rows of W bytes (500 k points
// of 22 bytes, 42 M cells, count, centroid, a mean: message 11 MB, table 5 MB, 134 k x 40 bytes):
// clear C/8; mark reads N S, writes 12 N and touches the table at random; spread reads C/8 and
// writes C/64 + 8 M + R M; accumulate reads 12 N and fields from N S, and adds to M R at random,
// once per run of neighbours; finish reads R M and writes W M, across the bus where rows go to the
// host. A cap of K points writes 4 N and 4 K M more, reads 4 N twice, and lowers some of the M
// rows of K slots at random. All but the message and the rows stays in the L2 cache of larger GPUs.
// A majority clears 12 bytes for each of 2 N ballots, rounded up to a power of two, and adds to one
// per run of neighbours.
//
// Sums are of integers, least and greatest values of integers in the order of the floats: atomics
// in any order give the same bits. So do votes: the greatest of (points, lowest label) wins, and
// what a label has when its last point has voted is among the numbers that are compared.

#include "common.cuh"
#include "runs.cuh"

#define THREADS 256
#define BLOCKS 4        // on a multiprocessor at once: 1024 threads of 64 registers
#define MAX_LEVELS 3
#define MAX_FIELDS 13
#define MAX_COLUMNS 70  // all channels of all fields, centroid, occupancy and rgb
#define NONE (-1)       // a slot of a record that it does not have
#define NO_HASH 0xffffffffu
#define LABEL_BITS 16
#define MAX_LABEL 0xffffu
#define NO_COLOUR 0x80u  // grey

// 256 cells are a block, with one base rank; 256 blocks are a tile, which THREADS scan at once.
#define BLOCK_BITS 8
#define TILE_BITS 16
#define WORDS_PER_BLOCK 4
#define WORDS_PER_TILE 1024
#define COUNTED_TILES 1024  // that a block can count in shared memory: of tables up to 2^26 cells

struct __align__(16) Block {
  u64 words[WORDS_PER_BLOCK];  // a bit per cell
};

struct VoxelLevel {
  u64 blocks;  // Block[tiles * THREADS]
  u64 bases;   // u32[tiles * THREADS]: occupied cells before each block
  u64 sums;    // u32[tiles]: occupied cells in each tile
  u64 cells;   // i64[ranks]: the cells, ascending, as linear index in the grid >> shift
  i32 bits;    // a cell is a rank of the level before << bits | so many bits of the index
  i32 shift;   // bits of the index that levels to come add
};

// Slots of a record: sums in units of 8 bytes, all others of 4; all begin as 0.
struct VoxelField {
  double inverse;  // steps per unit
  i32 sum;
  i32 without;   // points without a value for the sum
  i32 least;     // complement of the ordered bits; 0: no value
  i32 greatest;  // ordered bits; 0: no value
  i32 elected;   // points << LABEL_BITS | complement of the label, 8 bytes; 0: no value
  i32 table;     // number of its ballots, where there is a majority
};

enum ColumnKind : i32 { OCCUPANCY, CENTROID, MEAN, SUM, LEAST, GREATEST, MAJORITY, RGB };

struct VoxelColumn {
  u64 address;        // float[rows]
  double resolution;  // of sums
  i32 kind;           // ColumnKind
  i32 slot;           // in the record; of a centroid the axis
  i32 without;        // slot, of MEAN and SUM
};

// Counts of one call; those of a field are of points inside the grid.
struct VoxelTotals {
  u32 inside;
  u32 nonfinite;
  u32 over_cap;  // of those inside
  u32 ranks[MAX_LEVELS];
  u32 value_nonfinite[MAX_FIELDS];
  u32 sum_range[MAX_FIELDS];      // finite, 2^35 steps or more
  u32 extreme_range[MAX_FIELDS];  // finite, but not as float32
  u32 unseen[MAX_FIELDS];         // painted, but no camera saw the point
  u32 label_range[MAX_FIELDS];    // finite, but no label
};

struct VoxelJob {
  Points points;
  double corner[3];  // of the grid, metres
  double size[3];    // of a cell, metres
  VoxelLevel levels[MAX_LEVELS];
  u64 keys;     // u32[N]: cell of each point in the table of the level at hand, or OUTSIDE
  u64 lows;     // u32[N]: bits of its index that the first level leaves out
  u64 steps;    // u64[N]: place within its cell, 20 bits per axis
  u64 hashes;   // u32[N], where there is a cap
  u64 slots;    // u32[slot_rows][cap]: the lowest hashes of the points of a voxel, ascending
  u64 records;  // u64[rows * record_words]
  u64 ballots;  // u64[tables][ballot_mask + 1]: a voxel and a label that some of its points have
  u64 votes;    // u32[the same]: how many of them so far
  u64 counts;   // VoxelTotals, cleared ahead of mark
  u64 totals;   // VoxelTotals, where the host reads it
  u64 index;    // i64[rows]
  u64 count;    // u32[rows]
  i64 rows;     // at most so many voxels are kept, the lowest
  i64 slot_rows;
  i32 cap;      // points of a voxel that count, 0: all
  u32 seed;     // of the hashes
  u32 table;    // cells of the first level
  u32 ballot_mask;
  i32 level_count;
  i32 record_words;
  i32 count_slot;
  i32 centroid;  // 1: records begin with three sums of steps
  i32 field_count;
  i32 column_count;
  i32 colours[3];  // the fields r, g, b, where there is a column RGB
  VoxelField fields[MAX_FIELDS];
  VoxelColumn columns[MAX_COLUMNS];
};

// ---- what threads do together

template <class T>
static __device__ __forceinline__ T sum_of_warp(T value) {
  for (i32 other = 16; other > 0; other >>= 1) value += __shfl_xor_sync(FULL_WARP, value, other);
  return value;
}

// Sum over the threads before this one; `parts` [THREADS / 32] is shared.
static __device__ __forceinline__ u32 sum_before(u32 value, u32* parts) {
  u32 sum = value;
  for (u32 delta = 1; delta < 32; delta <<= 1) {
    const u32 lower = __shfl_up_sync(FULL_WARP, sum, delta);
    if (LANE >= delta) sum += lower;
  }
  __syncthreads();  // the last use of `parts` is over
  if (LANE == 31) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  for (u32 warp = 0; warp < threadIdx.x / 32; ++warp) sum += parts[warp];
  return sum - value;
}

// Sum over the block, for all its threads.
static __device__ __forceinline__ u32 sum_of_block(u32 value, u32* parts) {
  value = sum_of_warp(value);
  __syncthreads();
  if (LANE == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  u32 sum = 0;
  for (u32 warp = 0; warp < THREADS / 32; ++warp) sum += parts[warp];
  return sum;
}

// ---- tables

// Tables have at most 2^31 cells.
static __device__ __forceinline__ u32 tiles_of(u32 cells) {
  return (cells + (1u << TILE_BITS) - 1) >> TILE_BITS;
}

// Counts the bits that are set in each tile of a table. A block counts its own first, in shared
// memory: the counters of few tiles lie in few lines, where the atomics of all blocks would queue.
struct TileCounts {
  u32* sums;    // u32[tiles], of all blocks
  u32* own;     // shared, u32[COUNTED_TILES]
  u32 counted;  // tiles in `own`: all or none
};

// All threads of a block call, as the next.
static __device__ __forceinline__ TileCounts start_counts(const VoxelLevel& level, u32 cells,
                                                          u32* own) {
  const u32 tiles = tiles_of(cells);
  const TileCounts counts{global<u32>(level.sums), own,
                          tiles <= COUNTED_TILES ? tiles : 0};
  for (u32 tile = threadIdx.x; tile < counts.counted; tile += THREADS) own[tile] = 0;
  __syncthreads();
  return counts;
}

static __device__ __forceinline__ void finish_counts(const TileCounts& counts) {
  __syncthreads();
  for (u32 tile = threadIdx.x; tile < counts.counted; tile += THREADS) {
    if (counts.own[tile] != 0) atomicAdd(counts.sums + tile, counts.own[tile]);
  }
}

static __device__ __forceinline__ void mark_cell(const VoxelLevel& level, u32 key,
                                                 const TileCounts& counts) {
  u32* word = global<u32>(level.blocks) + (key >> 5);
  const u32 bit = 1u << (key & 31);
  if (load_relaxed(word) & bit) return;  // most points are not the first of their cell
  if ((atomicOr(word, bit) & bit) != 0) return;
  if (counts.counted != 0) {
    atomicAdd(counts.own + (key >> TILE_BITS), 1u);
  } else {
    atomicAdd(counts.sums + (key >> TILE_BITS), 1u);
  }
}

static __device__ __forceinline__ u32 rank_of(const VoxelLevel& level, u32 key) {
  const Block& block = global<const Block>(level.blocks)[key >> BLOCK_BITS];
  const u32 at = (key >> 6) & (WORDS_PER_BLOCK - 1);
  u32 rank = global<const u32>(level.bases)[key >> BLOCK_BITS];
  for (u32 k = 0; k < at; ++k) rank += __popcll(block.words[k]);
  return rank + __popcll(block.words[at] & ((1ull << (key & 63)) - 1));
}

static __device__ __forceinline__ u32 mixed(u32 h) {
  h = (h ^ h >> 16) * 0x7feb352du;
  h = (h ^ h >> 15) * 0x846ca68bu;
  return h ^ h >> 16;
}

// What decides whether a cap keeps a point: only where it is, whenever it came.
static __device__ __forceinline__ u32 hash_of(u32 seed, const float* p) {
  u32 h = mixed(seed + 0x9e3779b9u);
  for (i32 axis = 0; axis < 3; ++axis) h = mixed(h ^ __float_as_uint(p[axis]));
  return h;
}

KERNEL(mark, VoxelJob, THREADS, BLOCKS) {
  __shared__ u32 parts[THREADS / 32];
  const Points& points = job->points;
  const VoxelLevel& level = job->levels[0];
  const bool centroid = job->centroid;
  u32* keys = global<u32>(job->keys);
  u32* lows = global<u32>(job->lows);
  u64* steps = global<u64>(job->steps);
  u32* hashes = global<u32>(job->hashes);
  const bool capped = job->cap > 0;
  __shared__ u32 own[COUNTED_TILES];
  const TileCounts tiles = start_counts(level, job->table, own);
  u32 inside = 0, nonfinite = 0;
  for (i64 i = FIRST; i < points.n; i += STRIDE) {
    const Located found = locate(points, i);
    u32 key = OUTSIDE;
    if (found.inside) {
      ++inside;
      const u64 cell = static_cast<u64>(cell_of(points, found));
      key = static_cast<u32>(cell >> level.shift);
      mark_cell(level, key, tiles);
      if (level.shift > 0) lows[i] = static_cast<u32>(cell & ((1ull << level.shift) - 1));
      if (centroid) {
        u64 packed = 0;
        for (i32 axis = 0; axis < 3; ++axis) {
          packed |= static_cast<u64>(steps_in_cell(found.t[axis])) << (20 * axis);
        }
        steps[i] = packed;
      }
      if (capped) hashes[i] = hash_of(job->seed, found.p);
    } else if (!found.finite) {
      ++nonfinite;
    }
    keys[i] = key;
  }
  finish_counts(tiles);
  inside = sum_of_block(inside, parts);
  nonfinite = sum_of_block(nonfinite, parts);
  VoxelTotals* counts = global<VoxelTotals>(job->counts);
  if (threadIdx.x == 0 && inside > 0) atomicAdd(&counts->inside, inside);
  if (threadIdx.x == 0 && nonfinite > 0) atomicAdd(&counts->nonfinite, nonfinite);
}

static __device__ __forceinline__ void fill_words(u64 address, i64 words, u64 value) {
  u64* target = global<u64>(address);
  for (i64 i = FIRST; i < words; i += STRIDE) target[i] = value;
}

// Makes room for what the next kernels add to: the records and slots, or the table of the next
// level.
static __device__ __forceinline__ void clear_next(const VoxelJob* job, i32 number, u32 ranks) {
  if (number + 1 == MAX_LEVELS || number + 1 == job->level_count) {
    fill_words(job->records, min(static_cast<i64>(ranks), job->rows) * job->record_words, 0);
    const i64 slots = min(static_cast<i64>(ranks), job->slot_rows) * job->cap;
    fill_words(job->slots, (slots + 1) / 2, ~0ull);  // NO_HASH
    return;
  }
  const VoxelLevel& next = job->levels[number + 1];
  const u32 tiles = tiles_of(ranks << next.bits);
  fill_words(next.blocks, static_cast<i64>(tiles) * WORDS_PER_TILE, 0);
  u32* sums = global<u32>(next.sums);
  for (i64 i = FIRST; i < tiles; i += STRIDE) sums[i] = 0;
}

// Index of a cell >> the shift of its level, from that of the coarse cell of its rank.
static __device__ __forceinline__ i64 index_of(const VoxelJob* job, i32 number, u32 key) {
  if (number == 0) return key;
  const i64* coarse = global<const i64>(job->levels[number - 1].cells);
  const i32 bits = job->levels[number].bits;
  return (coarse[key >> bits] << bits) | (key & ((1u << bits) - 1));
}

// A block takes tiles side by side; the bits before them it sums up from the counts of all tiles,
// instead of waiting for other blocks.
static __device__ __forceinline__ void spread(const VoxelJob* job, i32 number) {
  __shared__ u32 parts[THREADS / 32];
  const VoxelLevel level = job->levels[number];
  i64* cells = global<i64>(level.cells);
  VoxelTotals* counts = global<VoxelTotals>(job->counts);
  const u32 tiles = tiles_of(number == 0 ? job->table
                                         : counts->ranks[number - 1] << level.bits);
  const u32 share = (tiles + gridDim.x - 1) / gridDim.x;
  const u32 first = min(blockIdx.x * share, tiles), end = min(first + share, tiles);
  const u32* sums = global<const u32>(level.sums);
  u32 before = 0, all = 0;
  for (u32 tile = threadIdx.x; tile < tiles; tile += THREADS) {
    const u32 sum = sums[tile];
    all += sum;
    if (tile < first) before += sum;
  }
  before = sum_of_block(before, parts);
  all = sum_of_block(all, parts);
  if (blockIdx.x == 0 && threadIdx.x == 0) counts->ranks[number] = all;

  for (u32 tile = first; tile < end; ++tile) {
    const u32 in_tile = sums[tile];
    if (in_tile == 0) continue;  // nobody asks for a rank in there
    const u32 block = tile * THREADS + threadIdx.x;
    const Block bits = global<const Block>(level.blocks)[block];
    u32 own = 0;
    for (i32 k = 0; k < WORDS_PER_BLOCK; ++k) own += __popcll(bits.words[k]);
    u32 rank = before + sum_before(own, parts);
    global<u32>(level.bases)[block] = rank;
    for (i32 k = 0; k < WORDS_PER_BLOCK; ++k) {
      for (u64 rest = bits.words[k]; rest != 0; rest &= rest - 1) {
        const u32 key = (block << BLOCK_BITS) + 64 * k + __ffsll(static_cast<i64>(rest)) - 1;
        cells[rank++] = index_of(job, number, key);
      }
    }
    before += in_tile;
  }
  clear_next(job, number, all);
}

KERNEL(spread_0, VoxelJob, THREADS, BLOCKS) { spread(job, 0); }
KERNEL(spread_1, VoxelJob, THREADS, BLOCKS) { spread(job, 1); }
KERNEL(spread_2, VoxelJob, THREADS, BLOCKS) { spread(job, 2); }

static __device__ __forceinline__ void refine(const VoxelJob* job, i32 number) {
  const VoxelLevel coarse = job->levels[number - 1], level = job->levels[number];
  u32* keys = global<u32>(job->keys);
  const u32* lows = global<const u32>(job->lows);
  __shared__ u32 own[COUNTED_TILES];
  const u32 ranks = global<const VoxelTotals>(job->counts)->ranks[number - 1];
  const TileCounts tiles = start_counts(level, ranks << level.bits, own);
  for (i64 i = FIRST; i < job->points.n; i += STRIDE) {
    if (keys[i] == OUTSIDE) continue;
    const u32 low = (lows[i] >> level.shift) & ((1u << level.bits) - 1);
    const u32 key = (rank_of(coarse, keys[i]) << level.bits) | low;
    mark_cell(level, key, tiles);
    keys[i] = key;
  }
  finish_counts(tiles);
}

KERNEL(refine_1, VoxelJob, THREADS, BLOCKS) { refine(job, 1); }
KERNEL(refine_2, VoxelJob, THREADS, BLOCKS) { refine(job, 2); }

// ---- which points a cap keeps: those with the lowest hashes of their voxel

// Slot k ends as number k of the hashes that enter, ascending, in whatever order they do: the
// first keeps the lowest of all and hands on all others, each once; so does the next with those.
static __device__ __forceinline__ void enter(u32* slots, i32 cap, u32 hash) {
  if (load_relaxed(slots + cap - 1) <= hash) return;  // most, where many points share a voxel
  for (i32 k = 0; k < cap; ++k) {
    if (load_relaxed(slots + k) <= hash) continue;  // slots only fall
    const u32 before = atomicMin(slots + k, hash);
    if (before == NO_HASH) return;
    hash = max(before, hash);
  }
}

KERNEL(compete, VoxelJob, THREADS, BLOCKS) {
  const VoxelLevel level = job->levels[job->level_count - 1];
  const u32* keys = global<const u32>(job->keys);
  const u32* hashes = global<const u32>(job->hashes);
  u32* slots = global<u32>(job->slots);
  const i64 rows = job->slot_rows;
  const i32 cap = job->cap;
  for (i64 i = FIRST; i < job->points.n; i += STRIDE) {
    if (keys[i] == OUTSIDE) continue;
    const i64 rank = rank_of(level, keys[i]);
    if (rank < rows) enter(slots + rank * cap, cap, hashes[i]);
  }
}

KERNEL(drop, VoxelJob, THREADS, BLOCKS) {
  __shared__ u32 parts[THREADS / 32];
  const VoxelLevel level = job->levels[job->level_count - 1];
  u32* keys = global<u32>(job->keys);
  const u32* hashes = global<const u32>(job->hashes);
  const u32* slots = global<const u32>(job->slots);
  const i64 rows = job->slot_rows;
  const i32 cap = job->cap;
  u32 dropped = 0;
  for (i64 i = FIRST; i < job->points.n; i += STRIDE) {
    if (keys[i] == OUTSIDE) continue;
    const i64 rank = rank_of(level, keys[i]);
    if (rank >= rows || hashes[i] <= slots[rank * cap + cap - 1]) continue;
    keys[i] = OUTSIDE;
    ++dropped;
  }
  dropped = sum_of_block(dropped, parts);
  if (threadIdx.x == 0 && dropped > 0) {
    atomicAdd(&global<VoxelTotals>(job->counts)->over_cap, dropped);
  }
}

// ---- values

// The record that a run of lanes adds to, by its first lane. All of a warp call these.
struct Target {
  Run run;
  u64* record;
  bool adds;  // there is a record, and this is the first lane
};

template <class T>
static __device__ __forceinline__ void add_wide(const Target& target, i32 slot, T value) {
  value = sum_of_run(target.run, value);
  if (target.adds && value != 0) {
    atomicAdd(target.record + slot, static_cast<u64>(static_cast<i64>(value)));
  }
}

static __device__ __forceinline__ void add(const Target& target, i32 slot, u32 value) {
  value = sum_of_run(target.run, value);
  if (target.adds && value != 0) {
    atomicAdd(reinterpret_cast<u32*>(target.record) + slot, value);
  }
}

static __device__ __forceinline__ void raise(const Target& target, i32 slot, u32 value) {
  value = greatest_of_run(target.run, value);
  if (target.adds && value != 0) {
    atomicMax(reinterpret_cast<u32*>(target.record) + slot, value);
  }
}

// Value of a field of a point, if it has one.
struct Value {
  double number;
  bool present;
  bool unseen;  // it would have one if a camera had seen it
};

static __device__ __forceinline__ Value value_at(const Points& points, i32 c, i64 i, i32 f) {
  const Field& field = field_of(points, c, 3 + f);
  Value value = {0.0, field.type != ABSENT, false};
  if (value.present) {
    const Cloud& cloud = global<const Cloud>(points.clouds)[c];
    value.number = load_double(field, address_of(cloud, field, i));
    value.unseen = field.type == PAINTED && value.number != value.number;
    value.present = !value.unseen;
  }
  return value;
}

// Adds the value of one field of a point. `present`: the point is inside, and its cloud has the
// field. `left_out` is shared: [MAX_FIELDS] of each of the first three counts.
static __device__ __forceinline__ void add_value(const VoxelField& field, const Target& target,
                                                 bool present, double value, u32* left_out) {
  const bool finite = fabs(value) <= 1.7976931348623157e308;
  if (present && !finite) atomicAdd(left_out, 1u);
  if (field.sum != NONE) {
    const double steps = rint(value * field.inverse);  // exact before rint: a power of two
    const bool summed = present && fabs(steps) < MAX_STEPS;
    if (present && finite && !summed) atomicAdd(left_out + MAX_FIELDS, 1u);
    add_wide(target, field.sum, summed ? static_cast<i64>(steps) : 0ll);
    add(target, field.without, summed ? 0u : 1u);
  }
  if (field.least != NONE || field.greatest != NONE) {
    const float narrow = static_cast<float>(value) + 0.0f;  // a tiny negative one became -0
    const bool compared = present && is_finite(narrow);
    if (present && finite && !compared) atomicAdd(left_out + 2 * MAX_FIELDS, 1u);
    if (field.least != NONE) raise(target, field.least, compared ? ~ordered_of(narrow) : 0);
    if (field.greatest != NONE) raise(target, field.greatest, compared ? ordered_of(narrow) : 0);
  }
}

#define COUNTS 4  // of each field, from value_nonfinite to unseen

KERNEL(accumulate, VoxelJob, THREADS, BLOCKS) {
  __shared__ u32 left_out[COUNTS * MAX_FIELDS];
  if (threadIdx.x < COUNTS * MAX_FIELDS) left_out[threadIdx.x] = 0;
  __syncthreads();
  const Points points = job->points;
  const VoxelLevel level = job->levels[job->level_count - 1];
  const i64 rows = job->rows;
  const u32* keys = global<const u32>(job->keys);
  const u64* packed = global<const u64>(job->steps);
  u64* records = global<u64>(job->records);
  const i32 record_words = job->record_words, count_slot = job->count_slot;
  const i32 field_count = job->field_count;
  const bool centroid = job->centroid;
  // Whole warps stay in the loop, for what they do together.
  for (i64 start = FIRST - threadIdx.x; start < points.n; start += STRIDE) {
    const i64 i = start + threadIdx.x;
    const u32 key = i < points.n ? keys[i] : OUTSIDE;
    const bool inside = key != OUTSIDE;
    const u32 rank = inside ? rank_of(level, key) : OUTSIDE;
    const u32 row = rank < rows ? rank : OUTSIDE;
    Target target;
    target.run = run_of(row);
    target.adds = row != OUTSIDE && target.run.first == LANE;
    target.record = records + static_cast<u64>(target.adds ? row : 0) * record_words;
    if (target.adds) {
      u32* count = reinterpret_cast<u32*>(target.record) + count_slot;
      atomicAdd(count, target.run.length);
    }
    if (centroid) {
      const u64 steps = inside ? packed[i] : 0;
      for (i32 axis = 0; axis < 3; ++axis) {
        add_wide(target, axis, static_cast<u32>(steps >> (20 * axis)) & 0xfffffu);
      }
    }
    const i32 c = inside ? cloud_of(points, i) : 0;
    for (i32 f = 0; f < field_count; ++f) {
      Value value = {0.0, false, false};
      if (inside) value = value_at(points, c, i, f);
      if (value.unseen) atomicAdd(left_out + 3 * MAX_FIELDS + f, 1u);
      add_value(job->fields[f], target, value.present, value.number, left_out + f);
    }
  }
  __syncthreads();
  u32* counts = global<VoxelTotals>(job->counts)->value_nonfinite;
  if (threadIdx.x < COUNTS * MAX_FIELDS && left_out[threadIdx.x] > 0) {
    atomicAdd(counts + threadIdx.x, left_out[threadIdx.x]);
  }
}

// ---- majorities

// Adds to the points of a voxel that have a label. There are twice as many ballots as points.
static __device__ __forceinline__ void cast_votes(const VoxelJob* job, const VoxelField& field,
                                                  u32 row, u32 label, u32 points) {
  const u64 ballot = (static_cast<u64>(row) + 1) << LABEL_BITS | label;  // never 0: that is free
  const u32 mask = job->ballot_mask;
  const i64 first = static_cast<i64>(field.table) * (static_cast<i64>(mask) + 1);
  u64* ballots = global<u64>(job->ballots) + first;
  u32 at = mixed(mixed(row) ^ label) & mask;
  while (true) {
    u64 found = load_relaxed(ballots + at);
    if (found == 0) found = atomicCAS(ballots + at, 0ull, ballot);
    if (found == 0 || found == ballot) break;
    at = (at + 1) & mask;
  }
  const u32 votes = atomicAdd(global<u32>(job->votes) + first + at, points) + points;
  const u64 standing = static_cast<u64>(votes) << LABEL_BITS | (MAX_LABEL - label);
  u64* elected = global<u64>(job->records) + static_cast<u64>(row) * job->record_words +
                 field.elected;
  if (load_relaxed(elected) < standing) atomicMax(elected, standing);
}

KERNEL(vote, VoxelJob, THREADS, BLOCKS) {
  __shared__ u32 left_out[MAX_FIELDS];
  if (threadIdx.x < MAX_FIELDS) left_out[threadIdx.x] = 0;
  __syncthreads();
  const Points& points = job->points;
  const VoxelLevel level = job->levels[job->level_count - 1];
  const i64 rows = job->rows;
  const u32* keys = global<const u32>(job->keys);
  // Whole warps stay in the loop, for what they do together.
  for (i64 start = FIRST - threadIdx.x; start < points.n; start += STRIDE) {
    const i64 i = start + threadIdx.x;
    const u32 key = i < points.n ? keys[i] : OUTSIDE;
    const u32 rank = key != OUTSIDE ? rank_of(level, key) : OUTSIDE;
    const i32 c = key != OUTSIDE ? cloud_of(points, i) : 0;
    for (i32 f = 0; f < job->field_count; ++f) {
      if (job->fields[f].elected == NONE) continue;
      u64 choice = ~0ull;  // of those that do not vote
      if (key != OUTSIDE) {
        const Value value = value_at(points, c, i, f);
        const float label = rintf(static_cast<float>(value.number));
        const bool valid = label >= 0.0f && label <= static_cast<float>(MAX_LABEL);
        const bool finite = fabs(value.number) <= 1.7976931348623157e308;
        if (value.present && finite && !valid) atomicAdd(left_out + f, 1u);
        if (value.present && valid && rank < rows) {
          choice = static_cast<u64>(rank) << LABEL_BITS | static_cast<u32>(label);
        }
      }
      const Run run = run_of(choice);
      if (choice == ~0ull || run.first != LANE) continue;
      cast_votes(job, job->fields[f], static_cast<u32>(choice >> LABEL_BITS),
                 static_cast<u32>(choice) & MAX_LABEL, run.length);
    }
  }
  __syncthreads();
  u32* counts = global<VoxelTotals>(job->counts)->label_range;
  if (threadIdx.x < MAX_FIELDS && left_out[threadIdx.x] > 0) {
    atomicAdd(counts + threadIdx.x, left_out[threadIdx.x]);
  }
}

// ---- rows

// a / b of numbers that are not negative; several times cheaper where 32 bits hold them.
static __device__ __forceinline__ i64 quotient(i64 a, i64 b) {
  if ((a | b) >> 32 == 0) return static_cast<u32>(a) / static_cast<u32>(b);
  return a / b;
}

static __device__ __forceinline__ double centroid_of(const VoxelJob* job, const u64* record,
                                                     u32 count, i64 cell, i32 axis) {
  const i64 row = quotient(cell, job->points.dims[0]);
  const i64 layer = quotient(row, job->points.dims[1]);
  const i64 at = axis == 0   ? cell - row * job->points.dims[0]
                 : axis == 1 ? row - layer * job->points.dims[1]
                             : layer;
  double center = static_cast<double>(static_cast<i64>(record[axis])) / static_cast<double>(count);
  center = (center + 0.5) / STEPS_PER_CELL;
  center = (center + static_cast<double>(at)) * job->size[axis];
  return center + job->corner[axis];
}

// Mean of a field as a byte.
static __device__ __forceinline__ u32 colour_of(const VoxelField& field, const u64* record,
                                                u32 count) {
  const u32 valid = count - reinterpret_cast<const u32*>(record)[field.without];
  if (valid == 0) return NO_COLOUR;
  double mean = static_cast<double>(static_cast<i64>(record[field.sum]));
  mean /= static_cast<double>(valid);
  mean = floor(mean * (1.0 / field.inverse) + 0.5);
  return mean > 0.0 ? mean < 255.0 ? static_cast<u32>(mean) : 255u : 0u;
}

static __device__ __forceinline__ float value_of_column(const VoxelJob* job,
                                                        const VoxelColumn& column,
                                                        const u64* record, u32 count, i64 cell) {
  const u32* small = reinterpret_cast<const u32*>(record);
  if (column.kind == OCCUPANCY) return 1.0f;
  if (column.kind == CENTROID) {
    return static_cast<float>(centroid_of(job, record, count, cell, column.slot));
  }
  if (column.kind == LEAST || column.kind == GREATEST) {
    const u32 found = small[column.slot];
    if (found == 0) return __uint_as_float(NO_VALUE_BITS);
    return __uint_as_float(bits_of_ordered(column.kind == LEAST ? ~found : found));
  }
  if (column.kind == MAJORITY) {
    const u64 elected = record[column.slot];
    if (elected == 0) return __uint_as_float(NO_VALUE_BITS);
    return static_cast<float>(MAX_LABEL - (static_cast<u32>(elected) & MAX_LABEL));
  }
  if (column.kind == RGB) {
    u32 packed = 0;
    for (i32 k = 0; k < 3; ++k) {
      packed = packed << 8 | colour_of(job->fields[job->colours[k]], record, count);
    }
    return __uint_as_float(packed);
  }
  const u32 valid = count - small[column.without];
  if (valid == 0) return __uint_as_float(NO_VALUE_BITS);
  double total = static_cast<double>(static_cast<i64>(record[column.slot]));
  if (column.kind == MEAN) total /= static_cast<double>(valid);
  return static_cast<float>(total * column.resolution);
}

KERNEL(finish, VoxelJob, THREADS, BLOCKS) {
  const VoxelTotals* counts = global<const VoxelTotals>(job->counts);
  const i32 last = job->level_count - 1;
  const i64 rows = min(static_cast<i64>(counts->ranks[last]), job->rows);
  const i64* cells = global<const i64>(job->levels[last].cells);
  const u64* records = global<const u64>(job->records);
  const i32 record_words = job->record_words, count_slot = job->count_slot;
  const i32 column_count = job->column_count;
  i64* index_out = global<i64>(job->index);
  u32* count_out = global<u32>(job->count);
  for (i64 row = FIRST; row < rows; row += STRIDE) {
    const u64* record = records + row * record_words;
    const i64 cell = cells[row];
    const u32 count = reinterpret_cast<const u32*>(record)[count_slot];
    index_out[row] = cell;
    count_out[row] = count;
    for (i32 c = 0; c < column_count; ++c) {
      const VoxelColumn& column = job->columns[c];
      global<float>(column.address)[row] =
          value_of_column(job, column, record, count, cell);
    }
  }
  if (blockIdx.x == 0 && threadIdx.x < sizeof(VoxelTotals) / sizeof(u32)) {
    global<u32>(job->totals)[threadIdx.x] =
        reinterpret_cast<const u32*>(counts)[threadIdx.x];
  }
}
