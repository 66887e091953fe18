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

struct Library {
    decltype(&fairprune_cudnn_table) table;
    decltype(&fairprune_cudnn_plans) plans;
};

Library open() {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    std::string said;
    for (const auto& folder : {program, program / ".." / "lib"}) {
        const auto file = folder / "fairprune_cudnn.so";
        if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL))
            return {reinterpret_cast<decltype(Library::table)>(dlsym(library, "fairprune_cudnn_table")),
                    reinterpret_cast<decltype(Library::plans)>(dlsym(library, "fairprune_cudnn_plans"))};
        said += text("\n  ", dlerror());
    }
    fail_with(Exit::device, "device cudnn: its shared object cannot be loaded:", said);
}

const Library& library() {
    static const Library opened = open();
    FP_REQUIRE(opened.table && opened.plans, Exit::device, "device cudnn: its shared object is of another kind");
    return opened;
}

}  // namespace

const Kernels* find(Precision precision) {
    const Kernels* own = cuda::find(precision);
    return own ? library().table(own, precision) : nullptr;
}
std::string plans() { return library().plans(); }

}  // namespace fp::cudnn
