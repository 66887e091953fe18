// The JSON that fp_bench and fp_export print.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/bench_report.h"

namespace fp {

std::string json_text(const BenchReport&);  // Google Benchmark's shape, and "layers"

// Chrome's trace of the layers (engine/measure/profile.h).
std::string trace_text(const std::vector<NamedProfile>&);

struct WrittenFile {
    std::string format, file;
    uint64_t bytes;
};
std::string json_text(const std::vector<WrittenFile>&);  // {FORMAT:{"file","bytes"}}

}  // namespace fp
