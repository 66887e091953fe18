// A fixture for tests of the emulated machine.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/machine/emulated/machine.cuh"

namespace fp::emulated {

// Restores the settings of the machine after each test.
class Machine : public ::testing::Test {
protected:
    ~Machine() override { settings() = before_; }
    Settings before_ = settings();

    std::vector<float> out_ = std::vector<float>(256, NAN);

    // The text of the Error of launch(); empty if there is none.
    template <class... Params, class... Args>
    std::string complaint(void (*kernel)(Params...), int threads, Args... args) {
        return complaint_with({.threads = threads}, kernel, args...);
    }
    template <class... Params, class... Args>
    std::string complaint_with(const Grid& grid, void (*kernel)(Params...), Args... args) {
        try {
            launch(kernel, grid, {}, args...);
        } catch (const Error& e) {
            return e.what();
        }
        return {};
    }
    int nans() const {
        int count = 0;
        for (const float v : out_) count += v != v;
        return count;
    }
};

inline __global__ void reverse_through_shared(float* out) {
    SHARED(float, tile, [256]);
    const int t = thread_index();
    tile[t] = float(t);
    block_sync();
    out[t] = tile[255 - t];
}

}  // namespace fp::emulated
