// Every pack of a map is one thread's, whatever the shape; and what 32 bits cannot count is refused.
#include "kernels/cuda/plan/walks.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/cuda/plan/layout.h"
#include "kernels/kernels.h"

namespace fp {
namespace {

Map map(int n, int c, int h, int w) { return {.n = n, .c = c, .h = h, .w = w, .block = nhwc_block(c)}; }

// Small network shapes, odd widths, one pixel, more packs than the width of a block, fewer rows than blocks, and more
// steps than a block processes at once.
const Map kMaps[] = {map(4, 64, 16, 16),  map(3, 45, 5, 7),    map(1, 3, 1, 1),   map(8, 17, 1, 1),
                     map(2, 270, 3, 5),   map(1, 2048, 3, 3),  map(2, 8, 90, 90), map(3, 45, 67, 67),
                     map(5, 24, 211, 97), map(3, 264, 41, 29), map(1, 8, 1, 129)};

std::string name(const Map& m) { return text(m.n, "x", m.c, "x", m.h, "x", m.w); }

TEST(Walks, SwathsCoverEveryPackOnce) {
    for (const Map& m : kMaps)
        for (const int pack : {4, 8})
            for (const Swath& s : {swath_of_map(m, pack), swath_of_sums(m, pack), swath_of_moments(m, pack)})
                for (const bool from_end : {false, true}) {
                    SCOPED_TRACE(text(name(m), " pack ", pack, " from end ", from_end));
                    std::vector<int> seen(size_t(m.stored() / pack));
                    for (int block = 0; block < s.blocks(); ++block)
                        for (int thread = 0; thread < Swath::kThreads; ++thread) {
                            const SwathPlace at = s.place(block, thread, from_end);
                            ASSERT_LT(at.chunk, s.chunks());
                            ASSERT_LE(at.count, s.run);
                            for (int i = 0; i < at.count; ++i) {
                                ASSERT_EQ(at.at(i) % s.packs, at.pack);
                                ++seen.at(size_t(at.at(i)));
                            }
                        }
                    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
                }
}

// A block's chunk has the same pixels in both directions, so that sums have the same bits.
TEST(Walks, TheEndIsTheBeginReversed) {
    const Swath s = swath_of_sums(map(5, 24, 211, 97), 8);
    ASSERT_GT(s.run, 2);
    for (const int block : {0, 1, int(s.blocks()) - 1})
        for (const int thread : {0, 7, 200}) {
            const SwathPlace begin = s.place(block, thread, false),
                             end = s.place(int(s.blocks()) - 1 - block, thread, true);
            ASSERT_EQ(begin.chunk, end.chunk);
            ASSERT_EQ(begin.count, end.count);
            for (int i = 0; i < begin.count; ++i) EXPECT_EQ(begin.at(i), end.at(begin.count - 1 - i));
        }
}

TEST(Walks, ChunksOfMomentsAreConsecutiveRows) {
    for (const Map& m : kMaps) {
        SCOPED_TRACE(name(m));
        const Swath s = swath_of_moments(m, 8);
        EXPECT_EQ(s.chunks(), ceil_div(int64_t(m.n) * m.pixels(), s.rows_of_chunk()));
        for (int block = 0; block < s.blocks(); ++block)
            for (int thread = 0; thread < Swath::kThreads; ++thread) {
                const SwathPlace at = s.place(block, thread, false);
                for (int i = 0; i < at.count; ++i) ASSERT_EQ(at.at(i) / s.packs / s.rows_of_chunk(), at.chunk);
            }
    }
}

TEST(Walks, SumsHaveFewChunks) {
    for (const Map& m : {map(256, 64, 112, 112), map(4096, 8, 224, 224), map(256, 2048, 7, 7)})
        EXPECT_LE(swath_of_sums(m, 8).chunks() * swath_of_sums(m, 8).groups, kSwathBlocks);
}

// 32 bits count the places of the largest map, and of what its last blocks would have behind its end: an overflow
// would wrap them into the map.
TEST(Walks, TheLargestMapIsCounted) {
    const Map largest = map(254, 8, 2048, 4096), larger = map(255, 8, 2048, 4096);
    for (const Swath& s : {swath_of_map(largest, 8), swath_of_sums(largest, 8), swath_of_moments(largest, 8)})
        for (const int64_t block : {int64_t(0), s.blocks() / 2, s.blocks() - 1}) {
            const int64_t chunk = block / s.groups, stretch = chunk / s.abreast,
                          row = (stretch * s.abreast * s.run + chunk % s.abreast) * s.down;
            ASSERT_LT(row + s.down, int64_t(1) << 31);
            const SwathPlace at = s.place(int(block), 0, false);
            EXPECT_EQ(at.first, row);
            if (at.count > 0) {
                EXPECT_LT(row + int64_t(at.count - 1) * at.stride, largest.stored() / 8);
            }
        }
    EXPECT_THROW(swath_of_map(larger, 8), Error);
    EXPECT_THROW(swath_of_sums(larger, 8), Error);
    EXPECT_THROW(swath_of_moments(larger, 8), Error);
    EXPECT_NO_THROW(swath_of_map(map(1024, 64, 112, 112), 8));
}

TEST(Walks, ColumnsCoverEveryElementOnce) {
    for (const Map& m : kMaps)
        for (const int most_run : {1, 4, 14}) {
            SCOPED_TRACE(text(name(m), " run ", most_run));
            const Columns c = Columns::of(m, 8, most_run);
            std::vector<int> seen(size_t(m.stored() / 8));
            for (uint32_t block = 0; block < c.blocks(); ++block)
                for (uint32_t thread = 0; thread < Columns::kThreads; ++thread) {
                    const ColumnPlace at = c.place(block, thread);
                    ASSERT_LT(at.chunk, c.chunks());
                    if (!at.inside) continue;
                    ASSERT_LE(at.end - at.first, most_run);
                    for (int row = at.first; row < at.end; ++row)
                        ++seen.at(size_t(m.at(at.sample, 0, row, at.column) / m.block * c.packs + at.pack));
                }
            EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
        }
}

TEST(Walks, ColumnsHoldWhat32BitsCount) {
    EXPECT_TRUE(Columns::hold(map(256, 64, 112, 112)));
    EXPECT_TRUE(Columns::hold(map(2674, 64, 112, 112)));
    EXPECT_FALSE(Columns::hold(map(2675, 64, 112, 112)));
}

TEST(Walks, DividersDivide) {
    for (const uint32_t by : {1u, 2u, 3u, 7u, 32u, 112u, 641u, 65537u, 2147483647u}) {
        const Divider divider = Divider::of(by);
        for (const uint32_t n : {0u, 1u, by - 1, by, by + 1, 3 * by, 123456789u, 2147483646u, 2147483647u}) {
            if (n > 2147483647u) continue;
            uint32_t quotient = n;
            EXPECT_EQ(divider.take(quotient), int(n % by)) << n << " / " << by;
            EXPECT_EQ(quotient, n / by) << n << " / " << by;
        }
    }
}

}  // namespace
}  // namespace fp
