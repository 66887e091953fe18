#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp {
namespace {

TEST(Backends, TheHostComputesInFloat32Only) {
    for (const Backend host : {Backend::reference, Backend::reference_f64, Backend::reference_blocked, Backend::cpu}) {
        EXPECT_EQ(&kernels(host, Precision::f32), find_kernels(host));
        EXPECT_EQ(find_kernels(host, Precision::tf32), nullptr) << name(host);
        EXPECT_EQ(find_kernels(host, Precision::bf16), nullptr) << name(host);
    }
}

TEST(Backends, AMissingPrecisionIsADeviceErrorThatNamesBoth) {
    try {
        kernels(Backend::cpu, Precision::bf16);
        FAIL() << "the host has bf16 kernels";
    } catch (const Error& e) {
        EXPECT_EQ(e.exit, Exit::device);
        EXPECT_STREQ(e.what(), "device cpu has no bf16 kernels");
    }
}

}  // namespace
}  // namespace fp
