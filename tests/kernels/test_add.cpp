#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

const Map kMaps[] = {{.n = 2, .c = 64, .h = 8, .w = 8},
                     {.n = 3, .c = 17, .h = 5, .w = 7},
                     {.n = 1, .c = 45, .h = 1, .w = 1},
                     {.n = 1, .c = 1, .h = 1, .w = 1}};

Values forward(const Kernels& k, const Map& m, const Values& first, const Values& second) {
    const Device on{k};
    const Map map = on.map(m);
    const Tensor a = on.act_in(map, first), b = on.act_in(map, second), y = on.act_out(map);
    k.add.forward(map, {.a = a, .b = b, .y = y}, {});
    return y.values();
}

Values accumulate(const Kernels& k, const Map& m, const Values& slope, Write write, const Values& before) {
    const Device on{k};
    const Map map = on.map(m);
    const Tensor dy = on.act_in(map, slope), dx = on.act_grad(map, write, before);
    k.add.accumulate(map, {.dy = dy, .dx = dx, .write = write}, {});
    return dx.values();
}

TEST(Add, ByHand) {
    const Map m{.c = 3};
    EXPECT_EQ(forward(exact(), m, {1, 2, 3}, {0.5, -2, 10}), (Values{1.5, 0, 13}));
    EXPECT_EQ(accumulate(exact(), m, {1, 2, 3}, Write::replace, {}), (Values{1, 2, 3}));
    EXPECT_EQ(accumulate(exact(), m, {1, 2, 3}, Write::add, {1, 1, 1}), (Values{2, 3, 4}));
}

class AddOn : public OnBackend {};
FP_ON_EVERY_BACKEND(AddOn);

TEST_P(AddOn, AgreesWithTheReference) {
    for (const Map& m : kMaps) {
        SCOPED_TRACE(text("map ", m.n, "x", m.c, "x", m.h, "x", m.w));
        const Type type = table().activation;
        const Values a = random_values(m.logical(), 1, type), b = random_values(m.logical(), 2, type);
        expect_close(forward(table(), m, a, b), forward(exact(), m, a, b), tolerance(), "y");
        EXPECT_EQ(accumulate(table(), m, a, Write::replace, b), a);
        expect_close(accumulate(table(), m, a, Write::add, b), accumulate(exact(), m, a, Write::add, b), tolerance(),
                     "dx");
    }
}

TEST(Add, BackwardIsTheGradient) {
    const Map m{.n = 2, .c = 3, .h = 2, .w = 3};
    expect_gradient(
        {random_values(m.logical(), 1), random_values(m.logical(), 2)},
        [&](const std::vector<Values>& v) { return forward(exact(), m, v[0], v[1]); },
        [&](const std::vector<Values>&, const Values& dy, const std::vector<Values>& before) {
            return std::vector<Values>{accumulate(exact(), m, dy, Write::add, before[0]),
                                       accumulate(exact(), m, dy, Write::add, before[1])};
        });
}

}  // namespace
}  // namespace fp::testing
