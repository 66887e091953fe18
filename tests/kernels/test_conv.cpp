#include "tests/kernels/conv_calls.h"
#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

// ResNet's and VGG's, scaled small; then widths and maps that fit no block or tile.
const ConvCase kCases[] = {
    {"stem 7x7", {.n = 2, .c = 3, .h = 20, .w = 18}, 16, 7, 2, 3, true},
    {"stem 3x3", {.n = 1, .c = 3, .h = 9, .w = 9}, 17, 3, 1, 1, true},
    {"3x3", {.n = 2, .c = 32, .h = 8, .w = 8}, 32, 3, 1, 1},
    {"3x3 stride 2", {.n = 2, .c = 32, .h = 8, .w = 8}, 48, 3, 2, 1},
    {"1x1", {.n = 2, .c = 64, .h = 4, .w = 4}, 16, 1, 1, 0},
    {"1x1 stride 2", {.n = 2, .c = 32, .h = 8, .w = 8}, 64, 1, 2, 0},
    {"3x3 on 2x2", {.n = 3, .c = 48, .h = 2, .w = 2}, 48, 3, 1, 1},
    {"3x3 on 1x1", {.n = 3, .c = 45, .h = 1, .w = 1}, 17, 3, 1, 1},
    {"odd widths", {.n = 1, .c = 17, .h = 5, .w = 6}, 45, 3, 1, 1},
    {"odd maps, stride 2", {.n = 3, .c = 3, .h = 9, .w = 7}, 17, 3, 2, 1},
    {"one channel", {.n = 1, .c = 1, .h = 13, .w = 11}, 1, 3, 1, 1},
    {"no padding", {.n = 3, .c = 16, .h = 7, .w = 5}, 3, 3, 1, 0},
    {"7x7", {.n = 1, .c = 17, .h = 9, .w = 11}, 3, 7, 1, 3},
    {"1x1 odd, stride 2", {.n = 3, .c = 45, .h = 5, .w = 3}, 1, 1, 2, 0},
};

// One 3x3 window over a 2x3 map: every tap that falls on padding matters.
TEST(Conv, ByHand) {
    const ConvCase c{"", {.c = 1, .h = 2, .w = 3}, 1, 3, 1, 1};
    const Inputs in{.x = {1, 2, 3, 4, 5, 6},
                    .w = {1, 0, 0, 0, 10, 0, 0, 0, 100},  // up-left, here, down-right
                    .bias = {0.5},
                    .residual = {0, 0, 0, 0, 0, -100},
                    .dy = {1, 0, 0, 0, 1, 0},
                    .dx_before = {1, 1, 1, 1, 1, 1},
                    .dw_before = Values(9, 1),
                    .dbias_before = {1}};
    EXPECT_EQ(forward(exact(), c, in, true), (Values{510.5, 620.5, 30.5, 40.5, 51.5, 62.5}));
    EXPECT_EQ(forward(exact(), c, in, false), (Values{510, 620, 30, 40, 51, 62}));
    EXPECT_EQ(infer(exact(), c, in, true, true, true), (Values{510.5, 620.5, 30.5, 40.5, 51.5, 0}));
    // dy at (0,0) and (1,1): up-left of (1,1) is (0,0), down-right of (0,0) is (1,1)
    EXPECT_EQ(backward_data(exact(), c, in, Write::replace), (Values{10 + 1, 0, 0, 0, 100 + 10, 0}));
    EXPECT_EQ(backward_data(exact(), c, in, Write::add), (Values{12, 1, 1, 1, 111, 1}));
    const auto [dw, dbias] = backward_filter(exact(), c, in, true, Write::replace);
    EXPECT_EQ(dw, (Values{1, 2, 3, 4, 1 + 5, 2 + 6, 0, 4, 5}));
    EXPECT_EQ(dbias, (Values{2}));
    EXPECT_EQ(backward_filter(exact(), c, in, true, Write::add).dbias, (Values{3}));
}

TEST(Conv, StrideSkipsInputs) {
    const ConvCase c{"", {.c = 2, .h = 1, .w = 4}, 2, 1, 2, 0};
    const Inputs in{.x = {1, 2, 3, 4, 10, 20, 30, 40}, .w = {1, 2, 3, 4}, .bias = {0, 0}};  // w[k,c]
    EXPECT_EQ(forward(exact(), c, in, false), (Values{21, 63, 43, 129}));
}

class ConvOn : public OnBackend {
protected:
    // What the reference is given.
    Inputs as_multiplied(Inputs in) const {
        for (Values* operand : {&in.x, &in.w, &in.dy}) *operand = OnBackend::as_multiplied(*operand);
        return in;
    }
    FilterGradient exact_backward_filter(const ConvCase& c, const Inputs& in, bool bias, Write write) const {
        FilterGradient want = backward_filter(exact(), c, as_multiplied(in), bias, write);
        // A sum, not a product: nothing is rounded.
        if (rounds_operands()) want.dbias = backward_filter(exact(), c, in, bias, write).dbias;
        return want;
    }
};
FP_ON_EVERY_PRECISION(ConvOn);

TEST_P(ConvOn, Forward) {
    for (const ConvCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        for (const bool bias : {true, false})
            expect_close(forward(table(), c, in, bias), forward(exact(), c, as_multiplied(in), bias), tolerance(),
                         bias ? "y" : "y without bias");
    }
}

TEST_P(ConvOn, Infer) {
    for (const ConvCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        const bool every = c.name == std::string_view("3x3") || c.name == std::string_view("odd widths");
        for (const bool bias : {true, false})
            for (const bool residual : {true, false})
                for (const bool relu : {true, false}) {
                    if (!every && !(bias && residual && relu)) continue;
                    expect_close(infer(table(), c, in, bias, residual, relu),
                                 infer(exact(), c, as_multiplied(in), bias, residual, relu), tolerance(),
                                 text("bias ", bias, ", residual ", residual, ", relu ", relu));
                }
    }
}

// Tiles are chosen so that small maps fill the device with small ones: these are large enough for each of the
// large ones (kernels/cuda/plan/tiling.h), forward and backward.
TEST_P(ConvOn, LargeTiles) {
    if (GetParam().backend != Backend::emulated && GetParam().backend != Backend::cuda)
        GTEST_SKIP() << "no tiles of that kind";
    for (const ConvCase& c : {ConvCase{"256 or 128 x 128", {.n = 2, .c = 8, .h = 93, .w = 95}, 125, 1, 1, 0},
                              ConvCase{"256 or 128 x 64", {.n = 2, .c = 8, .h = 93, .w = 95}, 61, 1, 1, 0},
                              ConvCase{"128 x 96", {.n = 2, .c = 24, .h = 65, .w = 67}, 93, 1, 1, 0},
                              ConvCase{"128 x 128 or 64", {.n = 2, .c = 8, .h = 65, .w = 67}, 122, 1, 1, 0},
                              ConvCase{"128 x 64 or 64 x 64", {.n = 2, .c = 8, .h = 65, .w = 67}, 60, 3, 1, 1}}) {
        SCOPED_TRACE(c.name);
        // The others have no tile but these two that small maps would not choose.
        if (table().activation != Type::bf16 && c.k < 125 && c.x.h < 93) continue;
        Inputs in = random_inputs(c, table().activation, table().parameter);
        expect_close(infer(table(), c, in, true, true, true), infer(exact(), c, as_multiplied(in), true, true, true),
                     tolerance(), "y");
        // The same product the other way round: as many channels as there were filters.
        ConvCase back = c;
        std::swap(back.x.c, back.k);
        if (c.window > 1) continue;
        in = random_inputs(back, table().activation, table().parameter);
        expect_close(backward_data(table(), back, in, Write::replace),
                     backward_data(exact(), back, as_multiplied(in), Write::replace), tolerance(), "dx");
    }
    const ConvCase wide{"", {.n = 1, .c = 128, .h = 5, .w = 5}, 125, 1, 1, 0};
    const Inputs in = random_inputs(wide, table().activation, table().parameter);
    expect_close(backward_filter(table(), wide, in, false, Write::replace).dw,
                 exact_backward_filter(wide, in, false, Write::replace).dw, tolerance(), "dw");
}

TEST_P(ConvOn, BackwardData) {
    for (const ConvCase& c : kCases) {
        if (c.image) continue;
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        for (const Write write : {Write::replace, Write::add})
            expect_close(backward_data(table(), c, in, write), backward_data(exact(), c, as_multiplied(in), write),
                         tolerance(), write == Write::add ? "dx added" : "dx");
    }
}

TEST_P(ConvOn, BackwardFilter) {
    for (const ConvCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        for (const bool bias : {true, false})
            for (const Write write : {Write::replace, Write::add}) {
                const auto got = backward_filter(table(), c, in, bias, write);
                const auto want = exact_backward_filter(c, in, bias, write);
                const char* how = write == Write::add ? " added" : "";
                expect_close(got.dw, want.dw, tolerance(), text("dw", how));
                expect_close(got.dbias, want.dbias, tolerance(), text("dbias", how));
            }
    }
}

// cuDNN's libraries round as they like.
TEST_P(ConvOn, AddedFilterGradientsAreRoundedFirst) {
    if (table().name.starts_with("cudnn") || table().name == "onednn") GTEST_SKIP() << "a baseline adds as it likes";
    for (const ConvCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        const auto sum = backward_filter(table(), c, in, true, Write::add),
                   added = backward_filter(table(), c, in, true, Write::replace);
        expect_sum(sum.dw, in.dw_before, added.dw, table().parameter, "dw");
        expect_sum(sum.dbias, in.dbias_before, added.dbias, table().parameter, "dbias");
    }
}

TEST(Conv, BackwardIsTheGradient) {
    for (const ConvCase& c : {ConvCase{"3x3", {.n = 2, .c = 3, .h = 4, .w = 5}, 2, 3, 1, 1},
                              ConvCase{"stride 2", {.n = 3, .c = 1, .h = 5, .w = 4}, 3, 3, 2, 1},
                              ConvCase{"1x1", {.n = 1, .c = 3, .h = 3, .w = 3}, 2, 1, 2, 0},
                              ConvCase{"7x7", {.n = 1, .c = 2, .h = 5, .w = 4}, 1, 7, 2, 3},
                              ConvCase{"on 1x1", {.n = 2, .c = 3, .h = 1, .w = 1}, 3, 3, 1, 1},
                              ConvCase{"over 16 channels", {.c = 17, .h = 2, .w = 1}, 18, 3, 1, 1}}) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, Type::f64, Type::f64);
        const auto at = [&](const std::vector<Values>& v) {
            Inputs moved = in;
            moved.x = v[0], moved.w = v[1], moved.bias = v[2];
            return moved;
        };
        expect_gradient(
            {in.x, in.w, in.bias}, [&](const std::vector<Values>& v) { return forward(exact(), c, at(v), true); },
            [&](const std::vector<Values>& v, const Values& dy, const std::vector<Values>& before) {
                Inputs inputs = at(v);
                inputs.dy = dy;
                inputs.dx_before = before[0];
                inputs.dw_before = before[1];
                inputs.dbias_before = before[2];
                const auto dx = backward_data(exact(), c, inputs, Write::add);
                const auto [dw, dbias] = backward_filter(exact(), c, inputs, true, Write::add);
                return std::vector<Values>{dx, dw, dbias};
            });
    }
}

}  // namespace
}  // namespace fp::testing
