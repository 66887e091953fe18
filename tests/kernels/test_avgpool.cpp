#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

struct AvgPoolCase {
    const char* name;
    Map x;
    int p, q;
};

const AvgPoolCase kCases[] = {
    {"ResNet, 7x7", {.n = 2, .c = 64, .h = 7, .w = 7}, 1, 1},
    {"ResNet, 2x2", {.n = 3, .c = 45, .h = 2, .w = 2}, 1, 1},
    {"VGG, the same size", {.n = 2, .c = 17, .h = 7, .w = 7}, 7, 7},
    {"VGG, from 2x2", {.n = 2, .c = 32, .h = 2, .w = 2}, 7, 7},
    {"VGG, from 10x9", {.n = 1, .c = 3, .h = 10, .w = 9}, 7, 7},
    {"uneven cells", {.n = 3, .c = 17, .h = 5, .w = 4}, 3, 2},
    {"ragged", {.n = 1, .c = 45, .h = 13, .w = 11}, 1, 1},
    {"two groups of packs", {.n = 2, .c = 270, .h = 3, .w = 3}, 1, 1},
    {"1x1", {.n = 1, .c = 1, .h = 1, .w = 1}, 1, 1},
};

AvgPoolShape shape_on(const Device& on, const AvgPoolCase& c) { return {.x = on.map(c.x), .p = c.p, .q = c.q}; }

Values forward(const Kernels& k, const AvgPoolCase& c, const Values& input) {
    const Device on{k};
    const AvgPoolShape s = shape_on(on, c);
    const Tensor x = on.act_in(s.x, input), y = on.act_out(s.y());
    k.avgpool.forward(s, {.x = x, .y = y}, {});
    return y.values();
}

Values backward(const Kernels& k, const AvgPoolCase& c, const Values& slope, Write write, const Values& before) {
    const Device on{k};
    const AvgPoolShape s = shape_on(on, c);
    const Tensor dy = on.act_in(s.y(), slope), dx = on.act_grad(s.x, write, before);
    k.avgpool.backward(s, {.dy = dy, .dx = dx, .write = write}, {});
    return dx.values();
}

TEST(AvgPool, ByHand) {
    const AvgPoolCase global{"", {.c = 2, .h = 2, .w = 2}, 1, 1};
    EXPECT_EQ(forward(exact(), global, {1, 2, 3, 6, -1, -1, -1, 1}), (Values{3, -0.5}));
    EXPECT_EQ(backward(exact(), global, {4, 8}, Write::add, Values(8, 1)), (Values{2, 2, 2, 2, 3, 3, 3, 3}));
    // 3 columns to 2 cells: columns 0-1 and 1-2, the middle one in both
    const AvgPoolCase overlapping{"", {.w = 3}, 1, 2};
    EXPECT_EQ(forward(exact(), overlapping, {1, 3, 7}), (Values{2, 5}));
    EXPECT_EQ(backward(exact(), overlapping, {2, 4}, Write::replace, {}), (Values{1, 3, 2}));
    // 2 columns to 3 cells: 0, 0-1, 1
    const AvgPoolCase upward{"", {.w = 2}, 1, 3};
    EXPECT_EQ(forward(exact(), upward, {1, 3}), (Values{1, 2, 3}));
}

class AvgPoolOn : public OnBackend {};
FP_ON_EVERY_BACKEND(AvgPoolOn);

TEST_P(AvgPoolOn, AgreesWithTheReference) {
    for (const AvgPoolCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const AvgPoolShape s = shape_on({exact()}, c);
        const Type type = table().activation;
        const Values x = random_values(s.x.logical(), 1, type);
        const Values dy = random_values(s.y().logical(), 2, type);
        const Values before = random_values(s.x.logical(), 3, type);
        expect_close(forward(table(), c, x), forward(exact(), c, x), tolerance(), "y");
        for (const Write write : {Write::replace, Write::add})
            expect_close(backward(table(), c, dy, write, before), backward(exact(), c, dy, write, before), tolerance(),
                         "dx");
    }
}

TEST(AvgPool, BackwardIsTheGradient) {
    for (const AvgPoolCase& c : {AvgPoolCase{"global", {.n = 2, .c = 3, .h = 3, .w = 2}, 1, 1},
                                 AvgPoolCase{"uneven", {.n = 1, .c = 2, .h = 5, .w = 4}, 3, 3},
                                 AvgPoolCase{"upward", {.n = 1, .c = 2, .h = 2, .w = 2}, 3, 5}}) {
        SCOPED_TRACE(c.name);
        expect_gradient(
            {random_values(c.x.logical(), 1)}, [&](const std::vector<Values>& v) { return forward(exact(), c, v[0]); },
            [&](const std::vector<Values>&, const Values& dy, const std::vector<Values>& before) {
                return std::vector<Values>{backward(exact(), c, dy, Write::add, before[0])};
            });
    }
}

}  // namespace
}  // namespace fp::testing
