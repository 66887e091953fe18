#include <filesystem>
#include <iostream>

#include "kernels/error.h"
#include "tools/options.h"

namespace fp {

int run_tool(int argc,
             const char* const* argv,
             std::string_view purpose,
             const std::function<void(Options&)>& declare,
             const std::function<int(const Options&)>& run) {
    const std::string tool = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "fairprune";
    const auto stop = [&](std::string what, int code) {
        std::replace(what.begin(), what.end(), '\n', ' ');
        std::cerr << tool << ": " << what << std::endl;
        return code;
    };
    try {
        Options options(tool, std::string(purpose));
        declare(options);
        const int code = options.parse(argc, argv) ? run(options) : 0;
        std::cout.flush();
        FP_REQUIRE(std::cout.good() && std::fflush(stdout) == 0, Exit::data, "standard output: cannot be written");
        return code;
    } catch (const Error& error) {
        return stop(error.what(), int(error.exit));
    } catch (const std::bad_alloc&) {
        return stop("out of memory", int(Exit::bug));
    } catch (const std::exception& error) {
        return stop(std::string("internal error: ") + error.what(), int(Exit::bug));
    }
}

}  // namespace fp
