#include "bench/worker/forced.h"

#include <algorithm>
#include <charconv>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr const char* kWords =
    " is none of rectified, kernel=NAME, without=NAME (of a ConvKernel), tile=MxN, blocks=N, parts=N, late=1";

int number(std::string_view digits, std::string_view word) {
    int n = 0;
    const char *begin = digits.data(), *end = begin + digits.size();
    const auto [at, error] = std::from_chars(begin, end, n);
    FP_REQUIRE(error == std::errc() && at == end && n > 0, Exit::usage, "conv: ", word, kWords);
    return n;
}

}  // namespace

void force(ConvForced& choice, std::string_view word) {
    const size_t equals = word.find('=');
    FP_REQUIRE(equals != word.npos, Exit::usage, "conv: ", word, kWords);
    const std::string_view name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "blocks") {
        choice.blocks = number(value, word);
    } else if (name == "parts") {
        choice.parts = number(value, word);
    } else if (name == "late") {
        choice.late = number(value, word) > 0;
    } else if (name == "tile") {
        const size_t cross = std::min(value.find('x'), value.size() - 1);
        choice.tile = {number(value.substr(0, cross), word), number(value.substr(cross + 1), word)};
    } else if (name == "without") {
        for (int i = 0; i < kConvKernels; ++i)
            if (value == name_of(ConvKernel{i})) choice.without = ConvKernel{i};
        FP_REQUIRE(choice.without, Exit::usage, "conv: ", word, kWords);
    } else {
        FP_REQUIRE(name == "kernel", Exit::usage, "conv: ", word, kWords);
        for (int i = 0; i < kConvKernels; ++i) {
            const ConvKernel kernel{i};
            using enum ConvKernel;
            if (value != name_of(kernel)) continue;
            const bool of_filters = kernel == filter || kernel == taps || kernel == rows || kernel == halo_filter;
            if (of_filters || kernel == tensor) choice.filter = kernel;
            if (kernel == strided || kernel == tensor) choice.strided = kernel;
            if (!of_filters && kernel != strided) choice.pixels = kernel;
        }
        FP_REQUIRE(choice.pixels || choice.strided || choice.filter, Exit::usage, "conv: ", word, kWords);
    }
}

void force(SnnlForced& choice, std::string_view word) {
    for (const SnnlKernel kernel : {SnnlKernel::differences, SnnlKernel::tensor, SnnlKernel::wgmma})
        if (word == text("kernel=", name_of(kernel))) choice.kernel = kernel;
    FP_REQUIRE(choice.kernel, Exit::usage, "snnl: ", word, " is neither gradient nor kernel=NAME (of a SnnlKernel)");
}

}  // namespace fp
