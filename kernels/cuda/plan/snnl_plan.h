// Which kernel sums over the pairs of the soft nearest neighbour loss, and which block sums over which tiles of pairs.
// The choice depends on the shape, on the generation of the GPU and on the H200's constants, never on the device.
#pragma once

#include <optional>
#include <string_view>

#include "kernels/cuda/plan/tiling.h"
#include "kernels/shapes.h"

namespace fp {

enum class SnnlKernel {
    differences,  // snnl_sums.cu, euclidean: squares of differences in float32
    tensor,       // snnl_sums.cu, cosine on mma.sync
    wgmma,        // snnl_sums_sm90a.cu, cosine on wgmma, exponents that need no shift, on Hopper
};
std::string_view name_of(SnnlKernel);

// Override for tests and for tuning on a GPU. A forced kernel that cannot do a shape is an error.
struct SnnlForced {
    std::optional<SnnlKernel> kernel = {};
};
// One per process. Do not change it between scratch_bytes and the call.
SnnlForced& snnl_forced();

// log2(e) / T: exponents are powers of two.
double snnl_sharpness(const SnnlShape&);
// Whether no exponential of the cosines can underflow, so that the sums need no shift.
bool snnl_bounded(const SnnlShape&);

// The kernel to run; `hopper`: the GPU has wgmma and the build has code for it.
SnnlKernel snnl_kernel(const SnnlShape&, bool hopper);

// ---- the tiles of SnnlKernel::wgmma

constexpr int kSnnlSide = 128;  // samples on either side of a tile
constexpr int kSnnlDepth = 64;  // numbers of each sample in a step
constexpr int kSnnlSlots = 6;   // in shared memory, for a step of one side of a tile each
constexpr int kSnnlFlush = 16;  // tiles of a strip after which the sums of its columns leave the registers, at most

// The groups that share a channel: `across` x `down`. Group g = a * down + b has the strips of columns a, a + across, ..,
// and of each strip the tiles in rows b, b + down, .. down to the diagonal. So the groups of a channel, which run at the
// same time, read neighbouring rows.
struct SnnlGroups {
    int across = 1, down = 1;
    constexpr int count() const { return across * down; }
};

// The tiles of one group in order. A tile is on or right of the diagonal.
struct SnnlWalk {
    int strips, across, down, first_strip, first_row;

    constexpr SnnlWalk(int n, SnnlGroups groups, int group)
        : strips(int(ceil_div(n, kSnnlSide))),
          across(groups.across),
          down(groups.down),
          first_strip(group / groups.down),
          first_row(group % groups.down) {}

    struct Tile {
        int strip, row;
        constexpr bool on_diagonal() const { return strip == row; }
    };
    constexpr bool exists(Tile t) const { return t.strip < strips; }
    constexpr bool begins_strip(Tile t) const { return t.row == first_row; }
    constexpr bool ends_strip(Tile t) const { return t.row + down > t.strip; }
    // Whether the sums of the strip's columns leave the registers behind this tile.
    constexpr bool leaves_behind(Tile t) const { return ends_strip(t) || t.row / down % kSnnlFlush == kSnnlFlush - 1; }
    constexpr Tile first() const { return top_of(first_strip); }
    constexpr Tile behind(Tile t) const {
        return ends_strip(t) ? top_of(t.strip + across) : Tile{t.strip, t.row + down};
    }
    constexpr int64_t tiles() const {
        int64_t count = 0;
        for (int strip = first_strip; strip < strips; strip += across)
            if (strip >= first_row) count += (strip - first_row) / down + 1;
        return count;
    }

private:
    constexpr Tile top_of(
        int strip) const {  // of this strip, or of the first one behind it that has a row for the group
        while (strip < first_row) strip += across;
        return {strip, first_row};
    }
};

// The steps of 64 numbers in a sum over D, and how shared memory is divided. A strip of a few steps stays in shared
// memory while the rows pass by; a longer one comes again with every tile.
struct SnnlSteps {
    int steps, last;  // `last`: 16s of D in the last step
    bool resident;
    int column_slots, row_slots;
    constexpr explicit SnnlSteps(int64_t d)
        : steps(int(ceil_div(d, kSnnlDepth))),
          last(int(ceil_div(d - int64_t(steps - 1) * kSnnlDepth, 16))),
          resident(steps <= kSnnlSlots - 2),
          column_slots(resident ? std::max(steps, 2) : kSnnlSlots / 2),
          row_slots(kSnnlSlots - column_slots) {}
};

SnnlGroups snnl_groups(const SnnlShape&);

// ---- the model

// In seconds on an H200; the parts of the sums overlap.
struct SnnlCost {
    double start = 0;  // of the kernels, and of the first block
    double turn = 0;   // from the map to rows
    double sums = 0;   // over the pairs: of the following, by how much they overlap
    double products = 0, load = 0, memory = 0, adding = 0;  // load: from L2
    double seconds() const { return start + turn + sums; }
    std::string_view limiter() const;  // start, memory, matrix, L2 or adding
};
// Of the scores by cosine, from maps of elements of so many bytes.
SnnlCost snnl_cost(const Device&, const SnnlShape&, SnnlKernel, int element_bytes);

}  // namespace fp
