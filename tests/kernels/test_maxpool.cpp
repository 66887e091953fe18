#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

struct MaxPoolCase {
    const char* name;
    Map x;
    int window, stride, pad;
};

const MaxPoolCase kCases[] = {
    {"ResNet stem", {.n = 2, .c = 64, .h = 16, .w = 16}, 3, 2, 1},
    {"VGG", {.n = 2, .c = 64, .h = 8, .w = 8}, 2, 2, 0},
    {"VGG, odd map", {.n = 3, .c = 17, .h = 7, .w = 5}, 2, 2, 0},
    {"odd map, padded", {.n = 1, .c = 45, .h = 9, .w = 7}, 3, 2, 1},
    {"several runs of rows", {.n = 2, .c = 24, .h = 61, .w = 13}, 3, 2, 1},
    {"VGG, several runs of rows", {.n = 1, .c = 8, .h = 59, .w = 4}, 2, 2, 0},
    {"two groups of packs", {.n = 1, .c = 270, .h = 5, .w = 3}, 3, 2, 1},
    {"not padded", {.n = 2, .c = 17, .h = 9, .w = 8}, 3, 2, 0},
    {"2x2, padded", {.n = 2, .c = 17, .h = 5, .w = 8}, 2, 2, 1},
    {"overlapping", {.n = 3, .c = 3, .h = 6, .w = 5}, 3, 1, 1},
    {"window 7", {.n = 1, .c = 17, .h = 11, .w = 13}, 7, 2, 3},
    {"window 1", {.n = 1, .c = 3, .h = 5, .w = 4}, 1, 2, 0},
    {"1x1 maps", {.n = 3, .c = 1, .h = 1, .w = 1}, 3, 2, 1},
};

MaxPoolShape shape_on(const Device& on, const MaxPoolCase& c) {
    return {.x = on.map(c.x), .window = c.window, .stride = c.stride, .pad = c.pad};
}

struct Result {
    Values y, dx;
};

// Forward, then backward with the winners of that forward.
Result run(const Kernels& k,
           const MaxPoolCase& c,
           const Values& input,
           const Values& slope,
           Write write,
           const Values& before) {
    const Device on{k};
    const MaxPoolShape s = shape_on(on, c);
    const Tensor x = on.act_in(s.x, input), y = on.act_out(s.y());
    const Array<uint8_t> argmax(k, size_t(s.y().stored()));
    k.maxpool.forward(s, {.x = x, .y = y, .argmax = argmax}, {});
    const Tensor dy = on.act_in(s.y(), slope), dx = on.act_grad(s.x, write, before);
    k.maxpool.backward(s, {.dy = dy, .argmax = argmax, .dx = dx, .write = write}, {});
    return {y.values(), dx.values()};
}

Values infer(const Kernels& k, const MaxPoolCase& c, const Values& input) {
    const Device on{k};
    const MaxPoolShape s = shape_on(on, c);
    const Tensor x = on.act_in(s.x, input), y = on.act_out(s.y());
    k.maxpool.forward(s, {.x = x, .y = y, .argmax = nullptr}, {});
    return y.values();
}

// Few distinct numbers, negative ones most: equal maxima in many windows, and padding that must not win.
Values values_with_ties(int64_t count) {
    Values values = random_values(count, 1);
    for (double& v : values) v = std::round(2 * v) / 2 - 3;
    return values;
}

TEST(MaxPool, ByHand) {
    const MaxPoolCase c{"", {.c = 1, .h = 3, .w = 4}, 3, 2, 1};
    const Values x{-1, -2, -9, -5,  //
                   -3, -1, -9, -4,  //
                   -8, -7, -6, -4};
    const auto [y, dx] = run(exact(), c, x, {1, 20, 300, 4000}, Write::add, Values(12, 0.5));
    EXPECT_EQ(y, (Values{-1, -1, -1, -1}));
    // (0,0) ties with (1,1) in the first window and comes first; (1,1) wins the others, the last alone
    EXPECT_EQ(dx, (Values{1.5, 0.5, 0.5, 0.5, 0.5, 4320.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}));
}

TEST(MaxPool, ArgmaxIsTheTapOfTheFirstMaximum) {
    const MaxPoolShape s{.x = {.h = 2, .w = 4}, .window = 2, .stride = 2};
    const Device on{exact()};
    const Tensor x = on.act_in(s.x, {1, 3, 5, 5, 3, 2, 5, 5}), y = on.act_out(s.y());
    const Array<uint8_t> argmax(exact(), 2);
    exact().maxpool.forward(s, {.x = x, .y = y, .argmax = argmax}, {});
    EXPECT_EQ(y.values(), (Values{3, 5}));
    EXPECT_EQ(argmax.values(), (std::vector<uint8_t>{1, 0}));
}

class MaxPoolOn : public OnBackend {};
FP_ON_EVERY_BACKEND(MaxPoolOn);

TEST_P(MaxPoolOn, AgreesWithTheReference) {
    for (const MaxPoolCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const MaxPoolShape s = shape_on({exact()}, c);
        const Type type = table().activation;
        const Values dy = random_values(s.y().logical(), 2, type);
        const Values before = random_values(s.x.logical(), 3, type);
        for (const Values& x : {random_values(s.x.logical(), 1, type), values_with_ties(s.x.logical())})
            for (const Write write : {Write::replace, Write::add}) {
                const auto got = run(table(), c, x, dy, write, before);
                const auto want = run(exact(), c, x, dy, write, before);
                EXPECT_EQ(got.y, want.y);
                expect_close(got.dx, want.dx, tolerance(), "dx");
                EXPECT_EQ(infer(table(), c, x), want.y);
            }
    }
}

// The first NaN of a window wins, whatever is beside it, and has the gradient.
TEST_P(MaxPoolOn, NanWins) {
    if (GetParam().backend == Backend::cudnn) GTEST_SKIP() << "device cudnn decides for itself";
    for (const MaxPoolCase& c :
         {kCases[0], kCases[2], kCases[3], MaxPoolCase{"window 4", {.c = 3, .h = 9, .w = 9}, 4, 3, 1}}) {
        SCOPED_TRACE(c.name);
        const MaxPoolShape s = shape_on({exact()}, c);
        Values x = values_with_ties(s.x.logical());
        x[8] = x[9] = std::nan("");
        x[size_t(s.x.w) + 15] = std::copysign(x[8], -1);
        x[10] = std::numeric_limits<double>::infinity();
        x[11] = -x[10];
        const Values dy = random_values(s.y().logical(), 2, table().activation);
        const auto got = run(table(), c, x, dy, Write::replace, {}), want = run(exact(), c, x, dy, Write::replace, {});
        for (size_t i = 0; i < want.y.size(); ++i)
            ASSERT_TRUE(std::isnan(want.y[i]) ? std::isnan(got.y[i]) : got.y[i] == want.y[i])
                << "output " << i << " is " << got.y[i] << " for " << want.y[i];
        expect_close(got.dx, want.dx, tolerance(), "dx");
    }
}

TEST(MaxPool, BackwardIsTheGradient) {
    for (const MaxPoolCase& c : {MaxPoolCase{"3, 2, 1", {.n = 2, .c = 3, .h = 5, .w = 4}, 3, 2, 1},
                                 MaxPoolCase{"2, 2, 0", {.n = 1, .c = 3, .h = 5, .w = 4}, 2, 2, 0},
                                 MaxPoolCase{"3, 1, 1", {.n = 1, .c = 1, .h = 4, .w = 4}, 3, 1, 1}}) {
        SCOPED_TRACE(c.name);
        expect_gradient(
            {random_values(c.x.logical(), 1)}, [&](const std::vector<Values>& v) { return infer(exact(), c, v[0]); },
            [&](const std::vector<Values>& v, const Values& dy, const std::vector<Values>& before) {
                return std::vector<Values>{run(exact(), c, v[0], dy, Write::add, before[0]).dx};
            });
    }
}

}  // namespace
}  // namespace fp::testing
