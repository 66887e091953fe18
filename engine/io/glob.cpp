#include "engine/io/glob.h"

#include <glob.h>

#include <memory>

#include "engine/io/files.h"

namespace fp {

std::vector<std::string> matching_files(const std::vector<std::string>& patterns) {
    std::vector<std::string> out;
    for (const std::string& pattern : patterns) {
        if (pattern.find_first_of("*?[") == pattern.npos) {
            out.push_back(pattern);
            continue;
        }
        glob_t found{};
        const std::unique_ptr<glob_t, void (*)(glob_t*)> release(&found, globfree);
        const int result = ::glob(pattern.c_str(), 0, nullptr, &found);
        FP_REQUIRE(result == 0, Exit::data, printable(pattern), ": ",
                   result == GLOB_NOMATCH ? "no file matches" : "its folders cannot be read");
        out.insert(out.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    return out;
}

}  // namespace fp
