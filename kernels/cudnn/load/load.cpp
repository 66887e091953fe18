// Finds the shared object of the vendor's kernels beside the program or in ../lib, when it is asked for.
#include <dlfcn.h>

#include <filesystem>

#include "kernels/cudnn/load/entry.h"
#include "kernels/error.h"

namespace fp::cuda {
const Kernels* find(Precision);
}

namespace fp::cudnn {
namespace {

using Entry = decltype(&fairprune_cudnn_table);

Entry open() {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    std::string said;
    for (const auto& folder : {program, program / ".." / "lib"}) {
        const auto file = folder / "fairprune_cudnn.so";
        if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL))
            return reinterpret_cast<Entry>(dlsym(library, "fairprune_cudnn_table"));
        said += text("\n  ", dlerror());
    }
    fail_with(Exit::device, "device cudnn: its shared object cannot be loaded:", said);
}

}  // namespace

const Kernels* find(Precision precision) {
    const Kernels* own = cuda::find(precision);
    if (!own) return nullptr;
    static const Entry entry = open();
    FP_REQUIRE(entry, Exit::device, "device cudnn: its shared object is of another kind");
    return entry(own, precision);
}

}  // namespace fp::cudnn
