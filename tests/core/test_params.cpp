// How parameters lie in a backend's blocks, and which blocks there are.
#include <gtest/gtest.h>

#include "engine/core/network.h"
#include "tests/kernels_with.h"
#include "tests/reference_values.h"

namespace fp {
namespace {

using testing::Formula;

const Kernels* const kTables[] = {find_kernels(Backend::reference), find_kernels(Backend::reference_f64),
                                  find_kernels(Backend::reference_blocked), find_kernels(Backend::cpu),
                                  find_kernels(Backend::emulated)};

struct Case {
    int k, c, r, s;
};
// More elements than one thread takes alone, blocks that are not full on either side, one element.
constexpr Case kCases[] = {{45, 90, 3, 3}, {17, 5, 3, 2}, {16, 32, 1, 1}, {1, 1, 1, 1}};

std::vector<double> values(int64_t count, const char* name) {
    std::vector<double> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(float(Formula(name).s(uint64_t(i))));
    return out;
}

template <class Visit>
void for_each_table(const Visit& visit) {
    for (const Kernels* k : kTables) {
        if (!k) continue;
        SCOPED_TRACE(k->name);
        visit(*k);
    }
}

// The block as it lies in memory, as double.
std::vector<double> stored(const Kernels& k, const void* block, const Filter& f) {
    std::vector<double> out;
    if (k.parameter == Type::f64)
        out = copy_to_host<double>(k.memory, block, size_t(f.stored()));
    else
        for (const float v : copy_to_host<float>(k.memory, block, size_t(f.stored()))) out.push_back(v);
    return out;
}

// The same block by the formula of the layout: zeros but for values times scale.
std::vector<double> expected(const Filter& f, const std::vector<double>& v, const std::vector<double>& scale) {
    std::vector<double> out(size_t(f.stored()), 0.0);
    size_t i = 0;
    for (int k = 0; k < f.k; ++k)
        for (int c = 0; c < f.c; ++c)
            for (int r = 0; r < f.r; ++r)
                for (int s = 0; s < f.s; ++s) out[size_t(f.at(k, c, r, s))] = v[i++] * scale[size_t(k)];
    return out;
}

TEST(Params, lie_where_the_layout_says_and_are_read_back_in_file_order) {
    for_each_table([](const Kernels& k) {
        for (const Case& c : kCases) {
            ParamStore store(k);
            const Param& p = *store.add_filter("w", c.k, c.c, c.r, c.s, k.block(c.c));
            store.allocate();
            const std::vector<double> v = values(p.count(), "w");
            const std::vector<float> v32(v.begin(), v.end());
            store.set(p, v.data());
            EXPECT_EQ(store.get(p), v);
            EXPECT_EQ(store.get_f32(p), v32);
            const auto want = expected(p.shape, v, std::vector<double>(size_t(c.k), 1.0));
            EXPECT_EQ(stored(k, p.value, p.shape), want);
            store.set(p, std::vector<double>(v.size(), 0.0).data());
            store.set_f32(p, v32.data());
            EXPECT_EQ(stored(k, p.value, p.shape), want);
            EXPECT_EQ(stored(k, parameter_block(k, p.shape, v).data(), p.shape), want);
        }
    });
}

TEST(Params, a_scaled_block_has_each_filter_times_its_scale) {
    for_each_table([](const Kernels& k) {
        Buffer memory;
        for (const Case& c : kCases) {
            ParamStore store(k);
            const Param& p = *store.add_filter("w", c.k, c.c, c.r, c.s, k.block(c.c));
            store.allocate();
            const std::vector<double> v = values(p.count(), "w");
            store.set(p, v.data());
            const std::vector<double> scale = values(c.k, "scale");
            auto want = expected(p.shape, v, scale);
            if (k.parameter != Type::f64)
                for (double& w : want) w = float(w);
            EXPECT_EQ(stored(k, scaled_block(k, p, scale, memory), p.shape), want);
            EXPECT_EQ(store.get(p), v);
        }
    });
}

int64_t allocations = 0;

TEST(Params, gradients_have_memory_once_they_are_asked_for) {
    const Kernels& k = kernels(Backend::cpu);
    static const Memory* const host = &k.memory;
    Memory counting = k.memory;
    counting.alloc = [](size_t bytes) {
        ++allocations;
        return host->alloc(bytes);
    };
    const Kernels counted =
        testing::kernels_with(k, {.memory = counting, .streams = k.streams, .graph = k.graph, .conv = k.conv});
    ParamStore store(counted);
    const Param& w = *store.add_filter("w", 17, 5, 3, 3, k.block(5));
    const Param& mean = *store.add_vector("mean", 17, Param::Kind::statistic);
    allocations = 0;
    store.allocate();
    const std::vector<double> v = values(w.count(), "w");
    store.set(w, v.data());
    EXPECT_EQ(store.get(w), v);
    EXPECT_EQ(mean.grad(), nullptr);
    EXPECT_EQ(allocations, 2);  // values and statistics
    EXPECT_EQ(store.get_grad(w), std::vector<double>(v.size(), 0.0));
    EXPECT_EQ(allocations, 3);
    EXPECT_EQ(w.grad(), store.grads());
    EXPECT_EQ(allocations, 3);
}

}  // namespace
}  // namespace fp
