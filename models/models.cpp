#include "models/models.h"

namespace fp::models {

const Architectures& all() {
    static const Architectures list{&resnet, &vgg};
    return list;
}

std::string names() {
    std::string out;
    for (const Architecture* a : all())
        for (const std::string_view name : a->names) out.append(out.empty() ? "" : ", ").append(name);
    return out;
}

std::unique_ptr<Network> build(const ModelSpec& spec, const Kernels& k) {
    return std::make_unique<Network>(find_architecture(all(), spec.arch), spec, k);
}

}  // namespace fp::models
