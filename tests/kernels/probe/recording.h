// Recorded outputs of the probes: one safetensors file a GPU (tests/kernels/recordings), a tensor a probe (I32 words,
// F32 numbers), and metadata: format, device (with its driver), commit, date, hash of all outputs (XXH3);
// axes.PROBE names what a tensor's dimensions are.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "tests/kernels/probe/probe.h"

namespace fp {

struct Recording {
    static constexpr const char* kFormat = "fairprune probes 1";

    std::string device = {}, commit = {}, date = {};
    std::map<std::string, ProbeOutput> outputs;  // by probe

    bool operator==(const Recording&) const = default;
};

// Errors of the file are Exit::model: another format, damage.
Recording read_recording(const std::filesystem::path&);
void write_recording(const std::filesystem::path&, const std::vector<Probe>&, const Recording&);

// Each recorded output beside what the same probe gives on the emulated machine. One sentence a difference; a
// recording of a probe that is not in the list is one too.
std::vector<std::string> differences(const std::vector<Probe>&, const Recording&, const Memory&);

}  // namespace fp
