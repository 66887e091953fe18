// Weights that are rounded once per step (kernels/cuda/conv/kept.cu).
#include "tests/kernels/conv_calls.h"

namespace fp::testing {
namespace {

class Kept : public OnBackend {
protected:
    void SetUp() override {
        OnBackend::SetUp();
        if (!IsSkipped() && !table().conv.keep_rounded)
            GTEST_SKIP() << "device " << table().name << " reads weights as they are";
    }
};
FP_ON_EVERY_PRECISION(Kept);

// While weights are kept rounded, and only then, convolutions and linear layers read the rounded copy of any filter
// that is completely in the range and begins at a multiple of 16 bytes of the copy.
TEST_P(Kept, IsWhatConvolutionsAndLinearLayersRead) {
    const Kernels& k = table();
    const Device on{k};
    const ConvCase c{"", {.n = 3, .c = 64, .h = 1, .w = 1}, 64, 1, 1, 0}, three{"", c.x, 3 * c.k, 1, 1, 0};
    const ConvShape s = shape_on(on, c), of_all = shape_on(on, three);
    const LinearShape linear{.x = s.x, .w = s.w, .y_block = s.y_block};
    const Inputs in = random_inputs(c, Type::bf16, Type::f32);
    const Buffer scratch(k, std::max(k.conv.scratch_bytes(s), k.linear.scratch_bytes(linear)));
    const Tensor x = on.act_in(s.x, in.x), dy = on.act_in(s.y(), in.dy);
    const Tensor all = on.par_in(of_all.w, random_inputs(three, Type::bf16, Type::f32).w);
    const int64_t filter = s.w.stored(), kept = 2 * filter;
    const Buffer rounded(k, 2 * size_t(kept));
    enum class Call { forward, data, of_linear };
    const auto now = [&](Call call, int64_t from) {
        const Address place{static_cast<float*>(all) + from};
        const par* w = place;
        const Tensor out = on.act_out(call == Call::data ? s.x : s.y());
        if (call == Call::forward)
            k.conv.forward(s, {.x = x, .w = w, .bias = nullptr, .y = out}, scratch.data(), {});
        else if (call == Call::data)
            k.conv.backward_data(s, {.dy = dy, .w = w, .dx = out, .write = Write::replace}, scratch.data(), {});
        else
            k.linear.forward(linear, {.x = x, .w = w, .bias = nullptr, .y = out}, scratch.data(), {});
        return out.values();
    };
    for (const Call call : {Call::forward, Call::data, Call::of_linear})
        // The first, one further in, the last; one that begins between units of 16 bytes, and two that reach out.
        for (const int64_t from : {int64_t(0), int64_t(8), filter, int64_t(4), filter + 8, kept}) {
            SCOPED_TRACE(text("call ", int(call), ", from weight ", from));
            const bool taken = from + filter <= kept && from % 8 == 0;
            const Values plain = now(call, from);
            k.conv.keep_rounded(all, kept, rounded.data(), {});
            EXPECT_EQ(now(call, from), plain);
            k.memory.zero(rounded.data(), 2 * size_t(kept), {});
            EXPECT_EQ(now(call, from), taken ? Values(plain.size(), 0.0) : plain);
            k.conv.keep_rounded(nullptr, 0, nullptr, {});
            EXPECT_EQ(now(call, from), plain) << "kept after their step";
        }
}

}  // namespace
}  // namespace fp::testing
