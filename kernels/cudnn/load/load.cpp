// Opens the vendor's kernels when they are asked for.
#include "kernels/cudnn/load/entry.h"
#include "kernels/error.h"
#include "kernels/module.h"

namespace fp::cuda {
const Kernels* find(Precision);
}

namespace fp::cudnn {
namespace {

struct Library {
    Module module{"cudnn"};
    decltype(&fairprune_cudnn_table) table =
        module.function<decltype(&fairprune_cudnn_table)>("fairprune_cudnn_table");
    decltype(&fairprune_cudnn_plans) plans =
        module.function<decltype(&fairprune_cudnn_plans)>("fairprune_cudnn_plans");
};

const Library& library() {
    static const Library opened;
    return opened;
}

}  // namespace

const Kernels* find(Precision precision) {
    const Kernels* own = cuda::find(precision);
    return own ? library().table(own, precision) : nullptr;
}
std::string plans() { return library().plans(); }

}  // namespace fp::cudnn
