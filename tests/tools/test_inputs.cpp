#include "tools/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;

struct Chosen {
    const Kernels* kernels = nullptr;
    std::string err;
};

Chosen choose(const auto*... words) {
    ComputeOptions compute;
    Options options("fp_train", "Trains.");
    add_compute_options(options, compute);
    const char* const line[] = {"fp_train", words...};
    options.parse(int(std::size(line)), line);
    std::ostringstream err;
    auto* const old = std::cerr.rdbuf(err.rdbuf());
    setenv("GOMP_SPINCOUNT", "2000", 1);  // so that use_device does not execute the program again
    Chosen chosen;
    try {
        chosen.kernels = &use_device(compute, options);
    } catch (...) {
        std::cerr.rdbuf(old);
        throw;
    }
    std::cerr.rdbuf(old);
    chosen.err = err.str();
    return chosen;
}

TEST(Device, a_device_that_is_named_is_taken) {
    EXPECT_EQ(choose("--device", "cpu").kernels, find_kernels(Backend::cpu));
    EXPECT_EQ(choose("--device", "reference").kernels, find_kernels(Backend::reference));
    EXPECT_EQ(choose("--device", "cpu").err, "") << "nothing was chosen, so nothing is to be said";
}

TEST(Device, auto_says_what_it_took_and_why) {
    const bool gpu = find_kernels(Backend::cuda) != nullptr;
    const Chosen chosen = choose();
    EXPECT_EQ(chosen.kernels, find_kernels(gpu ? Backend::cuda : Backend::cpu));
    EXPECT_THAT(chosen.err, HasSubstr(gpu ? "device cuda (auto: a GPU is here)"
                                          : "device cpu (auto: " + why_missing(Backend::cuda) + ")"));
    EXPECT_EQ(choose("--quiet").err, "");
}

TEST(Device, a_device_that_is_missing_is_an_error_and_no_other_is_taken) {
    int missing = 0;
    for (const Backend b : {Backend::cuda, Backend::cudnn, Backend::emulated}) {
        if (find_kernels(b)) continue;
        ++missing;
        const std::string name(fp::name(b));
        expect_error(
            Exit::device, [&] { choose("--device", name.c_str()); }, name, why_missing(b));
    }
    if (missing == 0) GTEST_SKIP() << "this machine has every device";
}

TEST(Device, words_that_are_no_device_are_a_mistake_of_usage) {
    for (const char* word : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "reference_f64", ""})
        expect_error(
            Exit::usage, [&] { choose("--device", word); }, "--device");
}

TEST(Device, a_precision_that_the_cpu_lacks_is_an_error) {
    for (const char* precision : {"tf32", "bf16"})
        expect_error(
            Exit::device, [&] { choose("--device", "cpu", "--precision", precision); }, "cpu", precision);
    expect_error(
        Exit::usage, [] { choose("--precision", "fp64"); }, "fp64", "fp32, tf32, bf16");
}

}  // namespace
}  // namespace fp
