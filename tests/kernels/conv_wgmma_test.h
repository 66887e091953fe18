// A fixture for tests of the convolutions on Hopper's warpgroup products.
#pragma once

#include "kernels/cuda/plan/conv_choice.h"
#include "tests/kernels/conv_calls.h"

namespace fp::testing {

// A few of the smallest tiles of pixels, the last one incomplete. A 3x3 of 72 channels has 18 steps, more than any ring
// has stages.
inline ConvCase ragged(int c, int k, int window = 3, int stride = 1) {
    return {"ragged", {.n = 3, .c = c, .h = 11, .w = 13}, k, window, stride, window / 2};
}

class ConvWgmma : public OnBackend {
protected:
    void SetUp() override {
        OnBackend::SetUp();
        if (IsSkipped()) return;
        conv_forced() = {.pixels = ConvKernel::stream, .tile = {192, 256}};
        // 429 pixels are three such tiles, and at least four of any other generation.
        const bool hopper = table().conv.moments_parts(shape_on({table()}, ragged(64, 64))) == 3;
        conv_forced() = {};
        if (!hopper) GTEST_SKIP() << "device " << table().name << " is of another generation than Hopper";
    }
    ~ConvWgmma() override {
        emulated::settings() = before_;
        conv_forced() = {};
    }
    bool emulates() const { return GetParam().backend == Backend::emulated; }

    void expect_forward(const ConvCase& c) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        expect_close(forward(table(), c, in, true), forward(exact(), c, in, true), tolerance(), "y");
    }
    void expect_infer(const ConvCase& c) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        expect_close(infer(table(), c, in, true, true, true), infer(exact(), c, in, true, true, true), tolerance(),
                     "inferred");
    }
    void expect_data(const ConvCase& c) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        for (const Write write : {Write::replace, Write::add})
            expect_close(backward_data(table(), c, in, write), backward_data(exact(), c, in, write), tolerance(),
                         write == Write::add ? "dx added" : "dx");
    }
    void expect_filter(const ConvCase& c) {
        SCOPED_TRACE(c.name);
        expect_filter_gradient(table(), c, random_inputs(c, Type::bf16, Type::f32));
    }

    emulated::Settings before_ = emulated::settings();
};

}  // namespace fp::testing
