#include "engine/run/device.h"

#include <omp.h>

#include <charconv>
#include <sstream>

#include "engine/io/files.h"
#include "kernels/isa.h"

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

Backend named_backend(const std::string& word, int gpu) {
    if (word.starts_with("cuda:")) {
        select_gpu(gpu_index(word));
        return Backend::cuda;
    }
    for (const Backend b :
         {Backend::cpu, Backend::cuda, Backend::emulated, Backend::reference, Backend::cudnn, Backend::onednn})
        if (word == name(b)) {
            if (gpu >= 0 && (b == Backend::cuda || b == Backend::cudnn)) select_gpu(gpu);
            return b;
        }
    fail_with(Exit::usage, "--device: `", printable(word),
              "` is not one of auto, cpu, cuda, cuda:0, cuda:1, ..., emulated, reference, cudnn, onednn");
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

// Kernels wait for as many threads as omp_get_max_threads() says, so each parallel region must get all of them.
void set_threads(int threads) {
    omp_set_dynamic(0);
    omp_set_num_threads(std::min(threads > 0 ? threads : omp_get_max_threads(), omp_get_thread_limit()));
}

}  // namespace

const Kernels& use_device(const ComputeOptions& compute, const std::function<void(const std::string&)>& say) {
    set_threads(compute.threads);
    if (compute.device != "auto") return kernels(named_backend(compute.device, compute.gpu), compute.precision);
    const std::string why_not = why_no_gpu();
    const Backend backend = why_not.empty() ? Backend::cuda : Backend::cpu;
    if (backend == Backend::cuda && compute.gpu >= 0) select_gpu(compute.gpu);
    const Kernels& k = kernels(backend, compute.precision);
    if (say) say(text("device ", name(backend), " (auto: ", why_not.empty() ? "a GPU is here" : why_not, ")"));
    return k;
}

bool uses_gpu(const Kernels& k) { return k.name == name(Backend::cuda) || k.name == name(Backend::cudnn); }

std::string processor() {
    std::istringstream lines(read_file("/proc/cpuinfo", 1 << 24));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("model name") && line.find(": ") != line.npos)
            return printable(line.substr(line.find(": ") + 2));
    return "unknown";
}

std::string device_text(const Kernels& k) {
    if (uses_gpu(k)) return text(k.name, ": ", gpu());
    const int threads = omp_get_max_threads();
    return text(k.name, ": ", processor(), ", ", threads, threads == 1 ? " thread, " : " threads, ", host_vector_bits(),
                "-bit vectors");
}

}  // namespace fp
