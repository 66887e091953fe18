#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

constexpr uint64_t kKey = 0x0123456789ABCDEF;

const Map kMaps[] = {{.n = 8, .c = 128},
                     {.n = 3, .c = 45},
                     {.n = 1, .c = 17, .h = 5, .w = 3},
                     {.n = 3, .c = 3, .h = 2, .w = 2},
                     {.n = 1, .c = 1}};

Values forward(const Kernels& k, const Map& m, double p, uint64_t key, const Values& input) {
    const Device on{k};
    const Map map = on.map(m);
    const Tensor x = on.act_in(map, input), y = on.act_out(map);
    k.dropout.forward(map, {.p = p, .key = key, .x = x, .y = y}, {});
    return y.values();
}

Values backward(
    const Kernels& k, const Map& m, double p, uint64_t key, const Values& slope, Write write, const Values& before) {
    const Device on{k};
    const Map map = on.map(m);
    const Tensor dy = on.act_in(map, slope), dx = on.act_grad(map, write, before);
    k.dropout.backward(map, {.p = p, .key = key, .dy = dy, .dx = dx, .write = write}, {});
    return dx.values();
}

TEST(Dropout, KeepsWhatTheKeySays) {
    const Map m{.n = 5, .c = 50, .h = 2, .w = 3};
    const Values x = random_values(m.logical(), 1);
    const Values y = forward(exact(), m, 0.25, kKey, x);
    for (size_t i = 0; i < x.size(); ++i)
        EXPECT_DOUBLE_EQ(y[i], uniform(kKey, i) >= 0.25f ? x[i] / 0.75 : 0.0) << "element " << i;
    EXPECT_EQ(forward(exact(), m, 0, kKey, x), x);
    EXPECT_NE(forward(exact(), m, 0.25, kKey + 1, x), y);
}

TEST(Dropout, KeepsTheMean) {
    const Map m{.c = 20000};
    const Values y = forward(exact(), m, 0.5, kKey, Values(20000, 1.0));
    double sum = 0;
    for (const double v : y) sum += v;
    EXPECT_NEAR(sum / 20000, 1, 4 / std::sqrt(20000.0));
}

class DropoutOn : public OnBackend {};
FP_ON_EVERY_BACKEND(DropoutOn);

TEST_P(DropoutOn, AgreesWithTheReference) {
    for (const Map& m : kMaps)
        for (const double p : {0.0, 0.2, 0.5}) {
            SCOPED_TRACE(text("map ", m.n, "x", m.c, "x", m.h, "x", m.w, ", p ", p));
            const Type type = table().activation;
            const Values x = random_values(m.logical(), 1, type);
            const Values before = random_values(m.logical(), 2, type);
            expect_close(forward(table(), m, p, kKey, x), forward(exact(), m, p, kKey, x), tolerance(), "y");
            for (const Write write : {Write::replace, Write::add})
                expect_close(backward(table(), m, p, kKey, x, write, before),
                             backward(exact(), m, p, kKey, x, write, before), tolerance(), "dx");
        }
}

TEST(Dropout, BackwardIsTheGradient) {
    const Map m{.n = 2, .c = 17};
    expect_gradient(
        {random_values(m.logical(), 1)},
        [&](const std::vector<Values>& v) { return forward(exact(), m, 0.4, kKey, v[0]); },
        [&](const std::vector<Values>&, const Values& dy, const std::vector<Values>& before) {
            return std::vector<Values>{backward(exact(), m, 0.4, kKey, dy, Write::add, before[0])};
        });
}

}  // namespace
}  // namespace fp::testing
