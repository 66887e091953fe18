// What this build is; filled in when it is configured.
#pragma once

#include <string>
#include <string_view>

namespace fp {

struct Version {
    std::string_view number;      // 0.1.0
    std::string_view commit;      // abbreviated, with -dirty; "unknown" outside of a git checkout
    std::string_view build_type;  // Release
    std::string_view compiler;    // GNU 12.2.0
    std::string_view device;      // "cpu", or what it was built with: "CUDA 13.0.48, cuDNN 9.19.0"
};
const Version& version();

// "fp_train 0.1.0, commit 1a2b3c4, Release, cpu"
std::string version_line(std::string_view tool);

}  // namespace fp
