// Convolutions of few pixels with sums split over clusters (conv_split.cuh), on the emulated machine and on a GPU.
#include "kernels/cuda/plan/conv_plan.h"
#include "tests/kernels/conv_wgmma_test.h"

namespace fp::testing {
namespace {

class ConvSplit : public ConvWgmma {};
INSTANTIATE_TEST_SUITE_P(Kernels,
                         ConvSplit,
                         ::testing::Values(Table{Backend::emulated, Precision::bf16},
                                           Table{Backend::cuda, Precision::bf16}),
                         table_name);

constexpr TileSize kTiles[] = {{64, 32}, {64, 64}};

TEST_P(ConvSplit, InEveryTileAndNumberOfParts) {
    for (const TileSize tile : kTiles)
        for (const int parts : {1, 2, 5, 8, 16}) {
            SCOPED_TRACE(text(tile.n, " outputs, ", parts, " parts"));
            conv_forced() = {.pixels = ConvKernel::split, .tile = tile, .parts = parts};
            expect_infer(ragged(72, tile.n + 8));                                // 9 whole chunks, 9 partial ones
            expect_infer({"", {.n = 1, .c = 13, .h = 5, .w = 5}, 21, 3, 2, 1});  // partial chunks alone
        }
}

// Layers of ResNet-18 and -50 with fewer outputs, at the parts that the plan chooses.
TEST_P(ConvSplit, LayersOfNetworks) {
    for (const int n : {1, 2, 3}) {
        SCOPED_TRACE(n);
        conv_forced() = {.pixels = ConvKernel::split, .tile = kTiles[n % 2]};
        for (const ConvCase& c : {ConvCase{"512 at 7", {.n = n, .c = 512, .h = 7, .w = 7}, 64, 3, 1, 1},
                                  ConvCase{"256 at 14, / 2", {.n = n, .c = 256, .h = 14, .w = 14}, 72, 3, 2, 1},
                                  ConvCase{"1x1, / 2", {.n = n, .c = 256, .h = 14, .w = 14}, 136, 1, 2, 0},
                                  ConvCase{"1x1", {.n = n, .c = 512, .h = 7, .w = 7}, 40, 1, 1, 0}})
            expect_infer(c);
    }
}

TEST_P(ConvSplit, AwkwardWidthsAndWindows) {
    for (const TileSize tile : kTiles) {
        conv_forced() = {.pixels = ConvKernel::split, .tile = tile, .parts = 3};
        for (const int width : {1, 8, 13, 21, 65}) {
            SCOPED_TRACE(width);
            expect_infer({"from", {.n = 2, .c = width, .h = 7, .w = 9}, 65, 3, 1, 1});
            expect_infer({"to", {.n = 1, .c = 65, .h = 7, .w = 9}, width, 3, 1, 1});
        }
        for (const ConvCase& c : {ConvCase{"no padding", {.n = 2, .c = 33, .h = 7, .w = 5}, 17, 3, 1, 0},
                                  ConvCase{"more padding than window", {.n = 1, .c = 24, .h = 4, .w = 5}, 40, 3, 1, 4},
                                  ConvCase{"5x5", {.n = 1, .c = 16, .h = 6, .w = 9}, 24, 5, 1, 2},
                                  ConvCase{"on one pixel", {.n = 5, .c = 48, .h = 1, .w = 1}, 100, 3, 1, 1}})
            expect_infer(c);
    }
}

TEST_P(ConvSplit, WithoutBiasResidualOrRelu) {
    conv_forced() = {.pixels = ConvKernel::split, .parts = 4};
    const ConvCase c = ragged(72, 40);
    const Inputs in = random_inputs(c, Type::bf16, Type::f32);
    for (const bool bias : {false, true})
        for (const bool residual : {false, true})
            for (const bool relu : {false, true})
                expect_close(infer(table(), c, in, bias, residual, relu), infer(exact(), c, in, bias, residual, relu),
                             tolerance(), text("bias ", bias, ", residual ", residual, ", relu ", relu));
}

TEST_P(ConvSplit, BitsAreTheSameInEveryOrder) {
    conv_forced() = {.pixels = ConvKernel::split, .tile = {64, 32}, .parts = 5};
    const ConvCase c{"", {.n = 2, .c = 72, .h = 9, .w = 7}, 72, 3, 1, 1};
    const Inputs in = random_inputs(c, Type::bf16, Type::f32);
    Values first;
    for (const uint64_t seed : {0, 1, 2, 3})
        for (const bool late : {true, false}) {
            emulated::settings().seed = seed;
            emulated::settings().late_copy = late;
            emulated::settings().os_threads = seed % 2 ? 2 : 1;
            const Values now = infer(table(), c, in, true, true, true);
            if (first.empty()) first = now;
            EXPECT_EQ(now, first) << "seed " << seed << ", late " << late;
        }
}

// A sample's bits do not depend on the samples beside it where the parts are the same.
TEST_P(ConvSplit, BitsOfASampleDoNotDependOnTheOthers) {
    conv_forced() = {.pixels = ConvKernel::split, .tile = {64, 64}, .parts = 6};
    const ConvCase three{"", {.n = 3, .c = 72, .h = 5, .w = 7}, 40, 3, 1, 1};
    ConvCase one = three;
    one.x.n = 1;
    const Inputs in = random_inputs(three, Type::bf16, Type::f32);
    Inputs of_first = in;
    of_first.x.resize(in.x.size() / 3);
    of_first.residual.resize(in.residual.size() / 3);
    Values all = infer(table(), three, in, true, true, true);
    all.resize(all.size() / 3);
    EXPECT_EQ(infer(table(), one, of_first, true, true, true), all);
}

// A chain of early kernels between two maps: each reads what the one in front wrote and overwrites what that one read,
// so that a wait that is missing or comes too late changes bits. Started one by one, then from a graph.
class Chain {
public:
    Chain(const Kernels& k, const ConvCase& c, int links)
        : k_(k), on_{k}, s_(shape_on(on_, c)), links_(links), in_(random_inputs(c, Type::bf16, Type::f32)) {
        for (double& w : in_.w) w /= 32;  // so that the maps neither grow nor vanish
        const Tensor w = on_.par_in(s_.w, in_.w);
        k_.conv.prepare(s_, {}, w, prepared_.data(), {});
        k_.memory.synchronize({});
    }
    void enqueue() const {
        k_.memory.copy(map_[0], first_, size_t(s_.x.stored()) * sizeof(uint16_t), {});
        for (int i = 0; i < links_; ++i)
            k_.conv.infer(s_,
                          {.x = map_[i % 2],
                           .prepared = prepared_.data(),
                           .bias = nullptr,
                           .residual = first_,
                           .relu = i % 3 == 0,
                           .y = map_[(i + 1) % 2]},
                          scratch_.data(), {});
    }
    Values last() const { return map_[links_ % 2].values(); }

private:
    const Kernels& k_;
    const Device on_;
    const ConvShape s_;
    const int links_;
    Inputs in_;
    const Buffer scratch_{k_, k_.conv.scratch_bytes(s_)}, prepared_{k_, k_.conv.prepared_bytes(s_, {})};
    const Tensor first_ = on_.act_in(s_.x, in_.x), map_[2] = {on_.act_out(s_.x), on_.act_out(s_.x)};
};

TEST_P(ConvSplit, AChainOfEarlyKernelsIsThatOfLateOnes) {
    conv_forced() = {.pixels = ConvKernel::split, .tile = {64, 32}, .parts = 4, .late = true};
    const Map map = emulates() ? Map{.n = 1, .c = 40, .h = 9, .w = 8} : Map{.n = 3, .c = 128, .h = 28, .w = 28};
    const int runs = emulates() ? 1 : 50;
    const Chain chain(table(), {"chain", map, map.c, 3, 1, 1}, 12);
    chain.enqueue();
    const Values late = chain.last();
    conv_forced().late = false;
    for (int run = 0; run < runs; ++run) {
        chain.enqueue();
        ASSERT_EQ(chain.last(), late) << "run " << run;
    }
    const Graph& graph = *table().graph;
    graph.begin({});
    chain.enqueue();
    void* const captured = graph.end({});
    for (int run = 0; run < runs; ++run) {
        graph.launch(captured, {});
        EXPECT_EQ(chain.last(), late) << "from a graph, run " << run;
    }
    graph.release(captured);
}

// What the head of the kernel states: pixels once per tap and tile of outputs, filters once per tile of pixels, residual
// and output once, whatever the number of parts.
TEST_P(ConvSplit, TrafficIsThatOfOneBlockPerTile) {
    if (!emulates()) GTEST_SKIP() << "a GPU does not count";
    const ConvCase c{"", {.n = 2, .c = 128, .h = 8, .w = 8}, 128, 3, 1, 1};
    const Device on{table()};
    const ConvShape s = shape_on(on, c);
    const Inputs in = random_inputs(c, Type::bf16, Type::f32);
    const Buffer scratch(table(), table().conv.scratch_bytes(s)), ready(table(), table().conv.prepared_bytes(s, {}));
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w), z = on.act_in(s.y(), in.residual),
                 y = on.act_out(s.y());
    table().conv.prepare(s, {}, w, ready.data(), {});
    table().memory.synchronize({});
    for (const TileSize tile : kTiles)
        for (const int parts : {1, 4, 8}) {
            conv_forced() = {.pixels = ConvKernel::split, .tile = tile, .parts = parts};
            emulated::reset_counters();
            table().conv.infer(s,
                               {.x = x, .prepared = ready.data(), .bias = nullptr, .residual = z, .relu = true, .y = y},
                               scratch.data(), {});
            const emulated::Counters seen = emulated::counters();
            const double across = 128.0 / tile.n, down = 2, on_map = 2.75 * 2.75;
            const double stated = 2 * (across * on_map * double(s.x.logical()) + down * double(s.w.logical()) +
                                       2 * double(s.y().logical()));
            const double got = double(seen.bytes_loaded + seen.bytes_stored);
            EXPECT_NEAR(got / stated, 1, 0.01) << got << " counted, " << stated << " stated";
            EXPECT_EQ(seen.matrix_flops, s.flops());
            EXPECT_EQ(seen.blocks, uint64_t(across * down * parts));
        }
}

}  // namespace
}  // namespace fp::testing
