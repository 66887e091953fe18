#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

struct LinearCase {
    const char* name;
    Map x;
    int k;
};

const LinearCase kCases[] = {
    {"ResNet head", {.n = 8, .c = 512}, 8},
    {"ResNet head, pruned", {.n = 3, .c = 371}, 114},
    {"VGG classifier.0", {.n = 3, .c = 45, .h = 7, .w = 7}, 64},
    {"VGG hidden", {.n = 8, .c = 128}, 128},
    {"odd maps", {.n = 3, .c = 17, .h = 2, .w = 3}, 45},
    {"two outputs", {.n = 1, .c = 45}, 2},
    {"one of everything", {.n = 1, .c = 1}, 1},
    {"a map at batch 1", {.n = 1, .c = 90, .h = 7, .w = 7}, 13},  // a block per output
    {"a map at batch 4", {.n = 4, .c = 521, .h = 3, .w = 3}, 65},
    {"five samples", {.n = 5, .c = 72}, 40},
};

struct Inputs {
    Values x, w, bias, dy{}, dx_before{}, dw_before{}, dbias_before{};
};

LinearShape shape_on(const Device& on, const LinearCase& c) {
    const Map x = on.map(c.x);
    return {.x = x, .w = on.k.filter(c.k, x.c, x.h, x.w, x.block), .y_block = on.k.block(c.k)};
}

Inputs random_inputs(const LinearCase& c, Type activation, Type parameter) {
    const LinearShape s = shape_on({exact()}, c);
    return {.x = random_values(s.x.logical(), 1, activation),
            .w = random_values(s.w.logical(), 2, parameter),
            .bias = random_values(s.w.k, 3, parameter),
            .dy = random_values(s.y().logical(), 4, activation),
            .dx_before = random_values(s.x.logical(), 5, activation),
            .dw_before = random_values(s.w.logical(), 6, parameter),
            .dbias_before = random_values(s.w.k, 7, parameter)};
}

Values forward(const Kernels& k, const LinearCase& c, const Inputs& in, bool bias) {
    const Device on{k};
    const LinearShape s = shape_on(on, c);
    const Buffer scratch(k, k.linear.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
    const Tensor b = on.par_in(on.channels(s.w.k), in.bias), y = on.act_out(s.y());
    k.linear.forward(s, {.x = x, .w = w, .bias = b.if_given(bias), .y = y}, scratch.data(), {});
    return y.values();
}

Values backward_data(const Kernels& k, const LinearCase& c, const Inputs& in, Write write) {
    const Device on{k};
    const LinearShape s = shape_on(on, c);
    const Buffer scratch(k, k.linear.scratch_bytes(s));
    const Tensor dy = on.act_in(s.y(), in.dy), w = on.par_in(s.w, in.w);
    const Tensor dx = on.act_grad(s.x, write, in.dx_before);
    k.linear.backward_data(s, {.dy = dy, .w = w, .dx = dx, .write = write}, scratch.data(), {});
    return dx.values();
}

struct FilterGradient {
    Values dw, dbias;
};

FilterGradient backward_filter(const Kernels& k, const LinearCase& c, const Inputs& in, bool bias, Write write) {
    const Device on{k};
    const LinearShape s = shape_on(on, c);
    const Buffer scratch(k, k.linear.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), dy = on.act_in(s.y(), in.dy);
    const Tensor dw = on.par_grad(s.w, write, in.dw_before);
    const Tensor dbias = on.par_grad(on.channels(s.w.k), write, in.dbias_before);
    k.linear.backward_filter(s, {.x = x, .dy = dy, .dw = dw, .dbias = dbias.if_given(bias), .write = write},
                             scratch.data(), {});
    return {dw.values(), bias ? dbias.values() : Values()};
}

TEST(Linear, ByHand) {
    const LinearCase c{"", {.n = 2, .c = 2, .h = 1, .w = 2}, 2};
    const Inputs in{.x = {1, 2, 3, 4, 5, 6, 7, 8},
                    .w = {1, 10, 100, 1000, 1, 1, 1, 1},  // channel-major, as torchvision's rows
                    .bias = {0.5, -1},
                    .dy = {1, 0, 2, 3},
                    .dx_before = Values(8, 1),
                    .dw_before = Values(8, 1),
                    .dbias_before = {1, 1}};
    EXPECT_EQ(forward(exact(), c, in, true), (Values{4321.5, 9, 8765.5, 25}));
    EXPECT_EQ(forward(exact(), c, in, false), (Values{4321, 10, 8765, 26}));
    EXPECT_EQ(backward_data(exact(), c, in, Write::replace), (Values{1, 10, 100, 1000, 5, 23, 203, 2003}));
    EXPECT_EQ(backward_data(exact(), c, in, Write::add), (Values{2, 11, 101, 1001, 6, 24, 204, 2004}));
    const auto [dw, dbias] = backward_filter(exact(), c, in, true, Write::replace);
    EXPECT_EQ(dw, (Values{11, 14, 17, 20, 15, 18, 21, 24}));
    EXPECT_EQ(dbias, (Values{3, 3}));
    EXPECT_EQ(backward_filter(exact(), c, in, true, Write::add).dbias, (Values{4, 4}));
}

class LinearOn : public OnBackend {
protected:
    // What the reference is given.
    Inputs as_multiplied(Inputs in) const {
        for (Values* operand : {&in.x, &in.w, &in.dy}) *operand = OnBackend::as_multiplied(*operand);
        return in;
    }
    FilterGradient exact_backward_filter(const LinearCase& c, const Inputs& in, bool bias, Write write) const {
        FilterGradient want = backward_filter(exact(), c, as_multiplied(in), bias, write);
        // A sum, not a product: nothing is rounded.
        if (rounds_operands()) want.dbias = backward_filter(exact(), c, in, bias, write).dbias;
        return want;
    }
};
FP_ON_EVERY_PRECISION(LinearOn);

TEST_P(LinearOn, Forward) {
    for (const LinearCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        for (const bool bias : {true, false})
            expect_close(forward(table(), c, in, bias), forward(exact(), c, as_multiplied(in), bias), tolerance(),
                         bias ? "y" : "y without bias");
    }
}

TEST_P(LinearOn, AddedFilterGradientsAreRoundedFirst) {
    if (table().name.starts_with("cudnn") || table().name == "onednn") GTEST_SKIP() << "a baseline adds as it likes";
    for (const LinearCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        const auto sum = backward_filter(table(), c, in, true, Write::add),
                   added = backward_filter(table(), c, in, true, Write::replace);
        expect_sum(sum.dw, in.dw_before, added.dw, table().parameter, "dw");
        expect_sum(sum.dbias, in.dbias_before, added.dbias, table().parameter, "dbias");
    }
}

TEST_P(LinearOn, Backward) {
    for (const LinearCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        for (const Write write : {Write::replace, Write::add}) {
            SCOPED_TRACE(write == Write::add ? "added" : "replaced");
            expect_close(backward_data(table(), c, in, write), backward_data(exact(), c, as_multiplied(in), write),
                         tolerance(), "dx");
            for (const bool bias : {true, false}) {
                const auto got = backward_filter(table(), c, in, bias, write);
                const auto want = exact_backward_filter(c, in, bias, write);
                expect_close(got.dw, want.dw, tolerance(), "dw");
                expect_close(got.dbias, want.dbias, tolerance(), "dbias");
            }
        }
    }
}

TEST(Linear, BackwardIsTheGradient) {
    for (const LinearCase& c :
         {LinearCase{"maps", {.n = 2, .c = 3, .h = 2, .w = 3}, 5}, LinearCase{"many inputs", {.n = 2, .c = 515}, 2},
          LinearCase{"one", {.n = 1, .c = 1}, 1}}) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, Type::f64, Type::f64);
        expect_gradient(
            {in.x, in.w, in.bias},
            [&](const std::vector<Values>& v) {
                return forward(exact(), c, {.x = v[0], .w = v[1], .bias = v[2]}, true);
            },
            [&](const std::vector<Values>& v, const Values& dy, const std::vector<Values>& before) {
                const Inputs at{.x = v[0],
                                .w = v[1],
                                .bias = v[2],
                                .dy = dy,
                                .dx_before = before[0],
                                .dw_before = before[1],
                                .dbias_before = before[2]};
                const auto [dw, dbias] = backward_filter(exact(), c, at, true, Write::add);
                return std::vector<Values>{backward_data(exact(), c, at, Write::add), dw, dbias};
            });
    }
}

}  // namespace
}  // namespace fp::testing
