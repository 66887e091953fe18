#include "kernels/module.h"

#include <dlfcn.h>

#include <filesystem>

#include "kernels/error.h"

namespace fp {

Module::Module(const std::string& device) : device_(device) {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    std::string said;
    for (const auto& folder : {program, program / ".." / "lib"}) {
        const auto file = folder / ("fairprune_" + device + ".so");
        library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library_) return;
        said += text("\n  ", dlerror());
    }
    fail_with(Exit::device, "device ", device, ": its shared object cannot be loaded:", said);
}

void* Module::find(const char* name) const {
    void* const found = dlsym(library_, name);
    FP_REQUIRE(found, Exit::device, "device ", device_, ": its shared object is of another kind");
    return found;
}

}  // namespace fp
