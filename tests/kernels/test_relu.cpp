#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

const Map kMaps[] = {{.n = 2, .c = 64, .h = 8, .w = 8},
                     {.n = 3, .c = 17, .h = 5, .w = 7},
                     {.n = 1, .c = 45, .h = 1, .w = 1},
                     {.n = 3, .c = 3, .h = 13, .w = 11},
                     {.n = 1, .c = 1, .h = 1, .w = 1}};

Values forward(const Kernels& k, const Map& m, const Values& values) {
    const Device on{k};
    const Map map = on.map(m);
    const Tensor x = on.act_in(map, values), y = on.act_out(map);
    k.relu.forward(map, {.x = x, .y = y}, {});
    return y.values();
}

Values backward(
    const Kernels& k, const Map& m, const Values& output, const Values& slope, Write write, const Values& before) {
    const Device on{k};
    const Map map = on.map(m);
    const Tensor y = on.act_in(map, output), dy = on.act_in(map, slope);
    const Tensor dx = on.act_grad(map, write, before);
    k.relu.backward(map, {.y = y, .dy = dy, .dx = dx, .write = write}, {});
    return dx.values();
}

TEST(Relu, ByHand) {
    const Map m{.c = 2, .w = 2};
    EXPECT_EQ(forward(exact(), m, {-1, 2, 0, 0.5}), (Values{0, 2, 0, 0.5}));
    EXPECT_TRUE(std::isnan(forward(exact(), m, {-1, 2, std::nan(""), 0.5})[2]));
    EXPECT_EQ(backward(exact(), m, {0, 2, 0, 0.5}, {5, 6, 7, 8}, Write::replace, {}), (Values{0, 6, 0, 8}));
    EXPECT_EQ(backward(exact(), m, {0, 2, 0, 0.5}, {5, 6, 7, 8}, Write::add, {1, 1, 1, 1}), (Values{1, 7, 1, 9}));
}

class ReluOn : public OnBackend {};
FP_ON_EVERY_BACKEND(ReluOn);

TEST_P(ReluOn, AgreesWithTheReference) {
    for (const Map& m : kMaps) {
        SCOPED_TRACE(text("map ", m.n, "x", m.c, "x", m.h, "x", m.w));
        const Type type = table().activation;
        const Values x = random_values(m.logical(), 1, type), dy = random_values(m.logical(), 2, type);
        const Values before = random_values(m.logical(), 3, type);
        const Values y = forward(exact(), m, x);
        EXPECT_EQ(forward(table(), m, x), y);
        for (const Write write : {Write::replace, Write::add})
            expect_close(backward(table(), m, y, dy, write, before), backward(exact(), m, y, dy, write, before),
                         tolerance(), "dx");
    }
}

// A network that diverges must show it: max(x, 0) may not turn a NaN into a zero.
TEST_P(ReluOn, NanStaysNan) {
    const Map m{.c = 17, .h = 3, .w = 3};
    Values x = random_values(m.logical(), 1, table().activation);
    x[5] = x[100] = std::nan("");
    const Values y = forward(table(), m, x);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(std::isnan(y[i]), std::isnan(x[i])) << "element " << i;
    if (GetParam().backend == Backend::cudnn) return;  // it decides for itself
    const Values dy = random_values(m.logical(), 2, table().activation);
    const Values dx = backward(table(), m, y, dy, Write::replace, {});
    EXPECT_EQ(dx, backward(exact(), m, y, dy, Write::replace, {}));
    EXPECT_EQ(dx[5], dy[5]) << "as in PyTorch";
}

TEST(Relu, BackwardIsTheGradient) {
    const Map m{.n = 2, .c = 3, .h = 3, .w = 5};
    expect_gradient(
        {random_values(m.logical(), 1)}, [&](const std::vector<Values>& v) { return forward(exact(), m, v[0]); },
        [&](const std::vector<Values>& v, const Values& dy, const std::vector<Values>& before) {
            return std::vector<Values>{backward(exact(), m, forward(exact(), m, v[0]), dy, Write::add, before[0])};
        });
}

}  // namespace
}  // namespace fp::testing
