#include "engine/run/device.h"

#include <omp.h>

#include <charconv>

#include "engine/io/files.h"

namespace fp {
namespace {

// The number behind "cuda:".
int gpu_index(std::string_view device) {
    const std::string_view digits = device.substr(5);
    int index = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    FP_REQUIRE(error == std::errc() && end == digits.data() + digits.size() && index >= 0, Exit::usage, "--device: `",
               printable(device), "` is not cuda:0, cuda:1, ...");
    return index;
}

Device named_device(const std::string& word) {
    if (word == "cuda") return {Backend::cuda};
    if (word.starts_with("cuda:")) return {Backend::cuda, gpu_index(word)};
    for (const Backend b : {Backend::cpu, Backend::emulated, Backend::reference, Backend::cudnn})
        if (word == name(b)) return {b};
    fail_with(Exit::usage, "--device: `", printable(word),
              "` is not one of auto, cpu, cuda, cuda:0, cuda:1, ..., emulated, reference, cudnn");
}

// Why `auto` does not take CUDA; empty where it does.
std::string why_no_gpu() {
    try {
        return find_kernels(Backend::cuda) ? "" : why_missing(Backend::cuda);
    } catch (const Error& error) {
        if (error.exit != Exit::device) throw;
        return error.what();
    }
}

}  // namespace

Device choose_device(const ComputeOptions& compute) {
    Device device{Backend::cpu};
    if (compute.device != "auto") {
        device = named_device(compute.device);
        if (compute.device.starts_with("cuda:")) select_gpu(device.index);
    } else {
        const std::string why_not = why_no_gpu();
        if (why_not.empty()) device = {Backend::cuda};
        device.why = why_not.empty() ? "a GPU is here" : why_not;
    }
    device.precision = compute.precision;
    kernels(device.backend, device.precision);  // throws where it is not present
    return device;
}

const Kernels& use_device(const ComputeOptions& compute, const std::function<void(const std::string&)>& say) {
    if (compute.threads > 0) omp_set_num_threads(compute.threads);
    const Device device = choose_device(compute);
    if (say && !device.why.empty()) say(text("device ", name(device.backend), " (auto: ", device.why, ")"));
    return kernels(device.backend, device.precision);
}

}  // namespace fp
