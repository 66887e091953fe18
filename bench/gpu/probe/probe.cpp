// The probes of the machine layer on a GPU (tests/kernels/probe/probe.h).
//
//   gpu_probe list                          their names
//   gpu_probe record FILE DEVICE [NAME..]   runs them (all of them, or these), adds what each gave to FILE and says
//                                           whether the emulated machine gives the same: a line a probe. DEVICE: cuda,
//                                           emulated
//   gpu_probe replay FILE                   what is recorded beside the emulated machine, without a GPU
//
// Ends with 0 where all is held, with 1 where something differs. A fault of a kernel leaves a GPU's process useless:
// what is recorded till then is in the file, and bench/gpu/run goes on behind it in a new process.
#include <fmt/chrono.h>

#include <algorithm>
#include <iostream>

#include "engine/run/version.h"
#include "kernels/error.h"
#include "tests/kernels/probe/recording.h"

namespace fp {
namespace {

const Memory& emulated_memory() { return kernels(Backend::emulated).memory; }

int record(const std::filesystem::path& path, const std::string& device, std::vector<std::string> names) {
    FP_REQUIRE(device == "cuda" || device == "emulated", Exit::usage, device, ": cuda or emulated");
    const bool on_gpu = device == "cuda";
    const Memory& memory = kernels(on_gpu ? Backend::cuda : Backend::emulated).memory;
    const std::vector<Probe>&all = emulated::probes(), &own = on_gpu ? cuda::probes() : all;
    Recording r;
    if (std::filesystem::exists(path)) r = read_recording(path);
    r.device = on_gpu ? gpu() : "the emulated machine";
    r.commit = version().commit;
    r.date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::chrono::system_clock::now()));
    if (names.empty())
        for (const Probe& p : all) names.push_back(p.name);
    bool held = true;
    for (const std::string& name : names) {
        const auto named = [&name](const Probe& p) { return p.name == name; };
        const auto probe = std::find_if(own.begin(), own.end(), named),
                   twin = std::find_if(all.begin(), all.end(), named);
        FP_REQUIRE(probe != own.end() && twin != all.end(), Exit::usage, name, ": no such probe");
        std::cout << name << ": " << std::flush;  // so that a fault is told by name
        try {
            const ProbeOutput got = probe->run(memory), want = twin->run(emulated_memory());
            r.outputs[name] = got;
            write_recording(path, all, r);
            const std::string sentence = difference(*probe, got, want);
            held = held && (sentence.empty() || !probe->binding);
            if (!sentence.empty() && probe->binding)
                std::cout << "DIFFERS, " << sentence.substr(name.size() + 2) << std::endl;
            else if (!sentence.empty())
                std::cout << "recorded, open: not as the emulated machine has it, " << sentence.substr(name.size() + 2)
                          << std::endl;
            else
                std::cout << "the same, " << got.words.size() << " elements" << std::endl;
        } catch (const Error& e) {
            std::cout << "FAILED, " << e.what() << std::endl;
            held = false;
        }
    }
    return held ? 0 : 1;
}

int replay(const std::filesystem::path& path) {
    const Recording r = read_recording(path);
    const std::vector<std::string> sentences = differences(emulated::probes(), r, emulated_memory());
    std::cout << r.outputs.size() << " probes of " << r.device << ", " << r.date << ", commit " << r.commit << ": "
              << sentences.size() << " differ" << std::endl;
    for (const std::string& s : sentences) std::cout << s << std::endl;
    return sentences.empty() ? 0 : 1;
}

int run(const std::vector<std::string>& words) {
    if (words.size() == 1 && words[0] == "list") {
        for (const Probe& p : emulated::probes()) std::cout << p.name << std::endl;
        return 0;
    }
    if (words.size() == 2 && words[0] == "replay") return replay(words[1]);
    if (words.size() >= 3 && words[0] == "record") return record(words[1], words[2], {words.begin() + 3, words.end()});
    fail_with(Exit::usage, "list, record FILE DEVICE [NAME ...], or replay FILE");
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    try {
        return fp::run({argv + 1, argv + argc});
    } catch (const fp::Error& e) {
        std::cerr << "gpu_probe: " << e.what() << "\n";
        return int(e.exit);
    } catch (const std::exception& e) {
        std::cerr << "gpu_probe: " << e.what() << "\n";
        return 1;
    }
}
